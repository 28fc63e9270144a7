"""Identifiers as written by people and providers, brought to the one form we compare and store."""

import re
import unicodedata
from functools import lru_cache
from typing import ClassVar, Final, Literal, NamedTuple

import idna
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from onethread.kernel.errors import Invalid
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.text import has_unsafe, with_plain_digits, without_invisible

Reason = Literal[
    "empty",
    "placeholder",
    "too_long",
    "unsafe",
    "not_an_address",
    "not_a_number",
    "extension",
    "no_country",
]

MOST_CHARACTERS: Final = 256
_MOST_ADDRESS: Final = 254  # octets, RFC 5321 4.5.3.1.3 with RFC 3696 erratum 1690
_MOST_LOCAL: Final = 64
_MOST_WRITTEN: Final = 1024  # nothing longer is worth reading at all

_SENTENCES: Final[dict[Reason, str]] = {
    "empty": "There is nothing written.",
    "placeholder": "This stands for “nothing” or for a test, not for a person.",
    "too_long": "This is too long.",
    "unsafe": "This holds control characters.",
    "not_an_address": "This is not an e-mail address.",
    "not_a_number": "This is not a telephone number.",
    "extension": "An extension does not reach a person; give the number without it.",
    "no_country": "Write the number with its country code, or choose a default country.",
}


class NotAnIdentifier(Invalid):
    """What was written recognises nobody; `reason` is the stable word for why."""

    code: ClassVar[str] = "not_an_identifier"
    title: ClassVar[str] = "This does not recognise anybody"

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SENTENCES[reason], reason=reason)
        self.reason: Reason = reason


def normalise(kind: IdentifierKind, raw: str, country: str | None = None, *, scope: str = "") -> Identifier:
    """Return the identifier that `raw` writes; `country` (ISO 3166, "TH") completes national numbers.

    Raises NotAnIdentifier, and nothing else, whatever is written.
    """
    if kind == "email":
        value = _address(raw)
    elif kind == "phone":
        found = _number(raw, country)
        if isinstance(found, _Refusal):
            raise NotAnIdentifier(found.reason)
        value = found
    else:
        value = _opaque(raw)
    return Identifier(kind, value, scope)


# --- values that stand for nobody ---------------------------------------------------------------

# What forms, scripts and tills send when they know nobody; each has merged strangers somewhere.
_PLACEHOLDERS: Final = frozenset(
    [
        *("-1", "null", "none", "nil", "nan", "undefined", "true", "false", "[object object]"),
        *("anonymous", "guest", "unknown", "not_authenticated", "n/a", "test"),
        *("distinctid", "distinct_id", "id", "email"),
        *("test@test.com", "email@email.com", "mail@mail.com", "null@null.com", "none@none.com"),
        *("no@no.com", "noemail@noemail.com", "anonymous@anonymous.com", "guest@guest.com"),
    ]
)
_NOUGHTS: Final = re.compile(r"[0-]*\Z")


def _is_placeholder(value: str) -> bool:
    return value.lower() in _PLACEHOLDERS or _NOUGHTS.match(value) is not None


# --- ids of other systems -----------------------------------------------------------------------


def _opaque(raw: str) -> str:
    if len(raw) > _MOST_WRITTEN:
        raise NotAnIdentifier("too_long")
    value = raw.strip()
    if not value.isascii():
        value = unicodedata.normalize("NFC", without_invisible(value)).strip()
    if not value:
        raise NotAnIdentifier("empty")
    if has_unsafe(value):
        raise NotAnIdentifier("unsafe")
    if len(value) > MOST_CHARACTERS:
        raise NotAnIdentifier("too_long")
    if _is_placeholder(value):
        raise NotAnIdentifier("placeholder")
    return value


# --- e-mail -------------------------------------------------------------------------------------

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN: Final = rf"(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}"
# Dots in a row or at the end are against the RFC and in the address books of Japanese carriers.
_ADDRESS: Final = re.compile(rf"[a-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,{_MOST_LOCAL}}}@{_DOMAIN}\Z")
_ASCII_DOMAIN: Final = re.compile(rf"{_DOMAIN}\Z")
_BRACKETED: Final = re.compile(r"[^<>]*<([^<>]*)>\Z")
_NOT_IN_LOCAL: Final = re.compile(r"[\s()<>\[\]:;@\\,\"\u200c\u200d]")


def _address(raw: str) -> str:
    if len(raw) > _MOST_WRITTEN:
        raise NotAnIdentifier("too_long")
    value = raw.strip().lower()
    if _ADDRESS.match(value) is None or "xn--" in value:
        value = _unusual_address(raw)
    if len(value) > _MOST_ADDRESS or len(value.encode()) > _MOST_ADDRESS:
        raise NotAnIdentifier("too_long")
    if value in _PLACEHOLDERS:
        raise NotAnIdentifier("placeholder")
    return value


def _unusual_address(raw: str) -> str:
    """Read an address in brackets, in quotes or in a script of its own (RFC 6531, UTS 46)."""
    text = unicodedata.normalize("NFKC", without_invisible(raw)).strip()
    if bracketed := _BRACKETED.match(text):
        text = bracketed[1].strip()
    if not text:
        raise NotAnIdentifier("empty")
    if has_unsafe(text):
        raise NotAnIdentifier("unsafe")
    if _is_placeholder(text):
        raise NotAnIdentifier("placeholder")
    local, at, domain = text.rpartition("@")
    if not at:
        raise NotAnIdentifier("not_an_address")
    return f"{_local(local)}@{_domain(domain)}"


def _local(written: str) -> str:
    if len(written) > 2 and written[0] == written[-1] == '"':
        written = written[1:-1]
    local = unicodedata.normalize("NFKC", written.lower())
    # A few letters have no stable lower case; an address that changes at each reading is none.
    if local != unicodedata.normalize("NFKC", local.lower()):
        raise NotAnIdentifier("not_an_address")
    if not local or _NOT_IN_LOCAL.search(local) or has_unsafe(local):
        raise NotAnIdentifier("not_an_address")
    if len(local.encode()) > _MOST_LOCAL:
        raise NotAnIdentifier("too_long")
    return local


def _domain(written: str) -> str:
    domain = written.removesuffix(".").lower()
    if not domain.isascii() or "xn--" in domain:
        try:
            domain = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()
        except (UnicodeError, ValueError, IndexError):
            raise NotAnIdentifier("not_an_address") from None
    if _ASCII_DOMAIN.match(domain) is None:
        raise NotAnIdentifier("not_an_address")
    return domain


# --- telephone ----------------------------------------------------------------------------------

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_WRITTEN: Final = re.compile(r"\+?[0-9 ()./-]+\Z")
_EXTENSION: Final = re.compile(
    r"[0-9 )](?:;\s*ext\s*=|ext(?:ension)?\.?|x|#|,|ต่อ|داخلی|内線)[\s:.]*[0-9]{1,11}#?\Z",
    re.IGNORECASE,
)
# Every dash people type between digits, the Japanese prolonged sound mark included.
_DASHES: Final = dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0x2043, 0x30FC, 0xFE58, 0x301C], "-")


class _Rewrite(NamedTuple):
    """Two writings of one subscriber. `always`: the old one no longer exists in the numbering plan."""

    pattern: re.Pattern[str]
    into: str
    always: bool


# Data, by country code. Landlines never match a pattern marked `always`.
_REWRITES: Final[dict[str, tuple[_Rewrite, ...]]] = {
    # Brazil: mobiles got a ninth digit (Anatel, finished 2016); messengers still know the old form.
    "+55": (
        _Rewrite(re.compile(r"\+55([1-9][0-9])([6-9][0-9]{7})\Z"), r"+55\g<1>9\2", True),
        _Rewrite(re.compile(r"\+55([1-9][0-9])9([6-9][0-9]{7})\Z"), r"+55\1\2", False),
    ),
    # Mexico: the 1 before mobiles was dropped (IFT, 2019); messengers still write it.
    "+52": (
        _Rewrite(re.compile(r"\+521([1-9][0-9]{9})\Z"), r"+52\1", True),
        _Rewrite(re.compile(r"\+52([1-9][0-9]{9})\Z"), r"+521\1", False),
    ),
    # Argentina: 9 marks a mobile when called from abroad; without it the number may be a landline.
    "+54": (
        _Rewrite(re.compile(r"\+549([1-9][0-9]{9})\Z"), r"+54\1", False),
        _Rewrite(re.compile(r"\+54([1-8][0-9]{9})\Z"), r"+549\1", False),
    ),
}


def variants(identifier: Identifier) -> tuple[Identifier, ...]:
    """Return the identifier and every other writing of it to look up, the normal one first."""
    if identifier.kind != "phone":
        return (identifier,)
    writings = [identifier.value]
    for rewrite in _REWRITES.get(identifier.value[:3], ()):
        other = rewrite.pattern.sub(rewrite.into, identifier.value)
        if other not in writings:
            writings.append(other)
    return tuple(Identifier("phone", value, identifier.scope) for value in writings)


class _Refusal(NamedTuple):
    """Why a writing is no number: a value and not an exception, so that it can be cached."""

    reason: Reason


def _number(raw: str, country: str | None) -> str | _Refusal:
    if _E164.match(raw):
        return _from_e164(raw)
    if len(raw) > _MOST_WRITTEN:
        return _Refusal("too_long")
    return _from_writing(raw, country)


@lru_cache(maxsize=16_384)
def _from_e164(value: str) -> str | _Refusal:
    return _e164(value, None, sure=False) or _Refusal("not_a_number")


@lru_cache(maxsize=16_384)
def _from_writing(raw: str, country: str | None) -> str | _Refusal:
    text = _plain_number(raw)
    if not text:
        return _Refusal("empty")
    if has_unsafe(text):
        return _Refusal("unsafe")
    if _is_placeholder(text) or not text.strip("0+-(). /"):
        return _Refusal("placeholder")
    if _EXTENSION.search(text):
        return _Refusal("extension")
    if _WRITTEN.match(text) is None:
        return _Refusal("not_a_number")
    if text.startswith("+"):
        return _e164(text, None, sure=False) or _Refusal("not_a_number")
    return _national(text, country)


def _plain_number(raw: str) -> str:
    text = unicodedata.normalize("NFKC", without_invisible(raw).translate(_DASHES))
    text = with_plain_digits(text.replace("\t", " ").translate(_DASHES)).strip()
    return text[4:].strip() if text[:4].lower() == "tel:" else text


def _national(text: str, country: str | None) -> str | _Refusal:
    """Read a number without +: `00` and a country code, or as dialled within `country`."""
    region = country.upper() if country is not None else None
    if region not in phonenumbers.SUPPORTED_REGIONS:
        region = None
    digits = re.sub(r"[^0-9]", "", text)
    abroad = "+" + digits[2:] if digits.startswith("00") else None
    found = (
        (abroad and _e164(abroad, None, sure=True))
        or (region and _e164(text, region, sure=True))
        or (abroad and _e164(abroad, None, sure=False))
    )
    if found:
        return found
    return _Refusal("not_a_number" if region or abroad else "no_country")


def _e164(text: str, region: str | None, *, sure: bool) -> str | None:
    """Parse; `sure` demands an allotted range, else a possible length is enough.

    Numbering plans grow faster than any metadata: a stranger's full number is not refused for being new.
    """
    if text[0] == "+":
        text = _renewed("+" + re.sub(r"[^0-9]", "", text))
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    if number.extension is not None:
        return None
    if not (phonenumbers.is_valid_number(number) if sure else phonenumbers.is_possible_number(number)):
        return None
    value = _renewed(phonenumbers.format_number(number, PhoneNumberFormat.E164))
    return value if _E164.match(value) else None


def _renewed(value: str) -> str:
    """Write a number as today's numbering plan does."""
    for rewrite in _REWRITES.get(value[:3], ()):
        if rewrite.always:
            value = rewrite.pattern.sub(rewrite.into, value)
    return value
