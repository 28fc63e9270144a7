"""Header fields of mail: unfolding, encoded words, parameters, addresses, message ids and dates.

Everything a stranger can write here is read without raising; what makes no sense reads as nothing.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from onethread.adapters.channels.email.wire.charsets import decoded, safe
from onethread.kernel.text import one_line

Params = Mapping[str, str]

_LONGEST_ADDRESS_FIELD: Final = 8192
_LONGEST_DATE: Final = 128
_LONGEST_ID: Final = 512
_MOST_IDS: Final = 50


class Headers:
    """The fields of one header block in their order; names in lower case, values unfolded on demand."""

    __slots__ = ("_fields", "_values")

    def __init__(self, fields: Sequence[tuple[str, bytes]]) -> None:
        self._fields = fields
        self._values: dict[str, list[bytes]] = {}
        for name, raw in fields:
            self._values.setdefault(name, []).append(raw)

    def get(self, name: str) -> str:
        """Return the first field of a name, unfolded but not decoded; empty when there is none."""
        values = self._values.get(name)
        return _unfolded(values[0]) if values else ""

    def all(self, name: str) -> Iterator[str]:
        """Yield every field of a name, the topmost first."""
        return map(_unfolded, self._values.get(name, ()))

    def names(self) -> list[str]:
        """Return the names in the order they were written."""
        return [name for name, _ in self._fields]

    def text(self, name: str) -> str:
        """Return the first field of a name with its encoded words read."""
        return words(self.get(name))


def _unfolded(raw: bytes) -> str:
    line = raw.replace(b"\r", b"").replace(b"\n", b"").strip() if b"\n" in raw else raw.strip()
    return safe(line.decode("ascii")) if line.isascii() else decoded(line, None)


# ---------------------------------------------------------------- encoded words (RFC 2047)

_WORD: Final = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_GAP: Final = re.compile(r"[ \t]+\Z")


def words(value: str) -> str:
    """Return a field with its encoded words read; what is wrongly encoded stays as it is written."""
    if "=?" not in value:
        return value
    pieces: list[str] = []
    at, run, charset = 0, b"", ""
    for match in _WORD.finditer(value):
        between = value[at : match.start()]
        at = match.end()
        data = _word_bytes(match[2], match[3])
        # Neighbours in one charset are joined before they are decoded: letters are split between words.
        if run and (between.strip() or match[1].lower() != charset):
            pieces.append(decoded(run, charset))
            run = b""
        if between.strip() or (not pieces and not run):
            pieces.append(between)
        run += data
        charset = match[1].lower()
    if run:
        pieces.append(decoded(run, charset))
    pieces.append(value[at:])
    return "".join(pieces)


def _word_bytes(encoding: str, data: str) -> bytes:
    raw = data.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    try:
        return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        return b""


# ---------------------------------------------------------------- parameters (RFC 2045, RFC 2231)

_PARAM: Final = re.compile(r';\s*([^\s=;"*]+)(\*\d+)?(\*)?\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_ESCAPE: Final = re.compile(r"\\(.)")


def params(value: str) -> tuple[str, dict[str, str]]:
    """Split `attachment; filename="a.pdf"` into the word before and the parameters after it, all decoded."""
    head, _, _ = value.partition(";")
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, str]]] = {}
    for match in _PARAM.finditer(value, len(head)):
        name, section, encoded = match[1].lower(), match[2], match[3] is not None
        text = match[4].strip()
        if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
            text = _ESCAPE.sub(r"\1", text[1:-1]) if "\\" in text else text[1:-1]
        if section or encoded:
            sections.setdefault(name, []).append((int(section[1:]) if section else 0, encoded, text))
        else:
            plain.setdefault(name, words(text))
    for name, pieces in sections.items():
        plain[name] = _joined(sorted(pieces)[:100])
    return head.strip(), plain


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    charset: str | None = None
    data = b""
    for number, (_, encoded, text) in enumerate(pieces):
        if encoded:
            claimed, _, rest = text.partition("'")
            if number == 0 and "'" in rest:
                charset = claimed
                data += unquote_to_bytes(rest.partition("'")[2])
            else:
                data += unquote_to_bytes(text)
        else:
            data += text.encode("utf-8", "replace")
    return decoded(data, charset or "utf-8")


# ---------------------------------------------------------------- addresses, ids, dates


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address with the name written beside it."""

    name: str
    address: str


_SIMPLE: Final = re.compile(r'\s*"?([^"<>,;:()\\]*?)"?\s*<\s*([^\s<>@,;:()"\\]+@[^\s<>@,;:()"\\]+)\s*>\s*\Z')
_BARE: Final = re.compile(r'[^\s<>@,;:()"\\]+@[^\s<>@,;:()"\\]+')


def mailboxes(value: str) -> list[Mailbox]:
    """Return the addresses of a From, To or Cc field, in order."""
    value = value[:_LONGEST_ADDRESS_FIELD]
    if simple := _SIMPLE.match(value):
        return [Mailbox(_name(simple[1]), simple[2])]
    if _BARE.fullmatch(value.strip()):
        return [Mailbox("", value.strip())]
    try:
        found = getaddresses([value])
    except (ValueError, IndexError, RecursionError):  # comments nested a thousand deep
        found = [("", address) for address in _BARE.findall(value)]
    boxes = [Mailbox(_name(name), address.strip()) for name, address in found if "@" in address]
    return boxes or [Mailbox("", address) for address in _BARE.findall(value)]


def addresses_in(value: str) -> list[str]:
    """Return everything in a field that looks like an address; quick and blind to grammar."""
    return _BARE.findall(value[:65536])


def _name(written: str) -> str:
    return one_line(words(written), most=120).strip("\"'")


_ID: Final = re.compile(r"<([^<>\s]+)>")


def message_ids(value: str) -> list[str]:
    """Return the ids of a References or In-Reply-To field in their angle brackets, as written."""
    found = _ID.findall(value[:65536])[-_MOST_IDS:]
    return [f"<{id_}>" for id_ in found if len(id_) <= _LONGEST_ID]


def message_id(value: str) -> str | None:
    """Return a Message-ID in angle brackets (added when a program forgot them), or None."""
    if found := message_ids(value):
        return found[0]
    word = value.strip().strip("<>")
    if word and len(word) <= _LONGEST_ID and not any(c.isspace() or c in "<>" for c in word):
        return f"<{word}>"
    return None


def date(value: str, *, otherwise: datetime) -> datetime:
    """Return the moment a Date field names, never after `otherwise`, which also stands in for nonsense."""
    if not value or len(value) > _LONGEST_DATE:
        return otherwise
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return otherwise
    return moment if moment.year >= 1980 and moment <= otherwise else otherwise
