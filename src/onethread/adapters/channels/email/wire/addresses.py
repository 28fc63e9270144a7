"""Our own addresses with something behind the plus sign: what an answer, a bounce or a farewell carries back.

`support+r.<token>@` answers into a conversation, `support+b.<delivery>@` takes bounces, `support+u.<delivery>@`
takes farewells from a list.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Purpose = Literal["r", "b", "u"]

_TAGGED: Final = re.compile(
    r"(?P<local>[^@+]+)\+(?P<purpose>[rbu])\.(?P<word>[A-Za-z0-9_~.-]{1,64})@(?P<domain>[^@+]+)\Z"
)
_MOST_LOCAL: Final = 64  # octets, RFC 5321 4.5.3.1.1


@dataclass(frozen=True, slots=True)
class Tags:
    """What our addresses among the recipients carried."""

    token: str | None = None
    bounced: str | None = None
    farewell: str | None = None


def tagged(address: str, purpose: Purpose, word: str) -> str:
    """Return `local+r.word@domain`; the plain address when it would become too long for mail servers."""
    local, _, domain = address.rpartition("@")
    tag = f"{local}+{purpose}.{word}"
    return f"{tag}@{domain}" if word and len(tag) <= _MOST_LOCAL else address


def untagged(address: str) -> str:
    """Return an address in lower case without what stands behind the plus sign."""
    local, _, domain = address.strip().lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def read_tags(recipients: Iterable[str], ours: frozenset[str]) -> Tags:
    """Read the tags of those recipients that are ours; the first of each kind counts."""
    found: dict[str, str] = {}
    for recipient in recipients:
        match = _TAGGED.match(recipient)
        if match and untagged(recipient) in ours:
            found.setdefault(match["purpose"], match["word"])
    return Tags(found.get("r"), found.get("b"), found.get("u"))
