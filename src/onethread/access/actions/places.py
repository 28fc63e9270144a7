"""Countries, languages and time zones as people give them."""

import re
from zoneinfo import ZoneInfo

from phonenumbers import SUPPORTED_REGIONS

from onethread.kernel.errors import Invalid

_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


def check_locale(locale: str) -> None:
    """Raise Invalid unless it is a language tag such as `th`, `pt-BR` or `zh-Hant-TW`."""
    if not _LOCALE.fullmatch(locale):
        raise Invalid("This is not a language tag; examples are en, th, fa-IR.", field="locale")


def check_time_zone(name: str) -> None:
    """Raise Invalid unless it is a name of the IANA time zone database."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as unknown:
        raise Invalid("This is not a time zone; examples are Asia/Bangkok, UTC.", field="time_zone") from unknown


def check_country(code: str) -> None:
    """Raise Invalid unless it is an ISO 3166-1 alpha-2 code whose telephone numbers we can read."""
    if code not in SUPPORTED_REGIONS:
        raise Invalid("This is not a country code of two letters; examples are TH, IR, JP.", field="default_country")
