"""The tree of a MIME message, cut out of the raw bytes in linear time and with limits.

The parser of the standard library walks line by line through nested generators: a hostile nesting costs it
seconds per megabyte, and encoded `message/rfc822` parts stay shut. This one finds boundaries by searching, goes
at most `MAX_DEPTH` deep, decodes nothing before it is asked, and agrees with the trees of Apache James mime4j.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from onethread.adapters.channels.email.wire.headers import Headers, Params, params
from onethread.channels.contract import Unreadable

MAX_DEPTH: Final = 24  # real mail, forwarded ten times, stays below
MAX_PARTS: Final = 1000
MAX_BOUNDARIES: Final = 20_000
MAX_HEADER: Final = 256 * 1024  # bytes of one header block; MTAs stop at 100 KiB
MAX_FIELDS: Final = 2000


@dataclass(frozen=True, slots=True)
class Part:
    """One node. `path` is `1.2` for the second part of the first part, empty for the message itself.

    `raw` is its body as it was sent; of a multipart the text before its first part.
    """

    path: str
    headers: Headers
    media_type: str
    params: Params
    raw: bytes
    parts: tuple["Part", ...] = ()

    def walk(self) -> Iterator["Part"]:
        """Yield this part and every part below it, in the order they were written."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def at(self, path: str) -> "Part | None":
        """Return the part at a path, or None."""
        return next((part for part in self.walk() if part.path == path), None)

    @property
    def is_multipart(self) -> bool:
        return self.media_type.startswith("multipart/")

    @property
    def message(self) -> "Part | None":
        """The message inside a message/rfc822 part."""
        return self.parts[0] if self.parts and self.media_type == "message/rfc822" else None

    @property
    def body(self) -> bytes:
        """The body, its transfer encoding undone as far as it can be."""
        return _decoded(self.raw, self.headers.get("content-transfer-encoding"))

    @property
    def size(self) -> int:
        """Bytes of the decoded body: exact when it is cleanly encoded, without decoding it."""
        encoding = _encoding(self.headers.get("content-transfer-encoding"))
        if encoding == "base64":
            raw = self.raw.rstrip(b"\r\n\t ")
            letters = len(raw) - raw.count(b"\n") - raw.count(b"\r")
            return max(letters * 3 // 4 - raw[-2:].count(b"="), 0)
        return len(self.body)


def read(raw: bytes) -> Part:
    """Cut a message into its tree. Raises Unreadable when a limit is passed."""
    return _Reader().entity(raw, 0, len(raw), path="", depth=0, default="text/plain")


def read_headers(raw: bytes) -> Headers:
    """Read the header of a message alone. Raises Unreadable when it is too large."""
    return _header_block(raw, 0, len(raw))[0]


class _Reader:
    """Counts the parts of one message."""

    def __init__(self) -> None:
        self._parts = 0

    def entity(self, raw: bytes, start: int, end: int, *, path: str, depth: int, default: str) -> Part:
        if depth > MAX_DEPTH:
            raise Unreadable(f"The parts of this mail are nested more than {MAX_DEPTH} deep.")
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Unreadable(f"This mail has more than {MAX_PARTS} parts.")
        headers, body_start = _header_block(raw, start, end)
        media_type, parameters = _content_type(headers, default)
        boundary = parameters.get("boundary")
        if media_type.startswith("multipart/") and boundary:
            inner = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
            preamble, ranges = _cut(raw, body_start, end, boundary)
            parts = tuple(
                self.entity(raw, *range_, path=_below(path, number), depth=depth + 1, default=inner)
                for number, range_ in enumerate(ranges, start=1)
            )
            return Part(path, headers, media_type, parameters, raw[body_start:preamble], parts)
        body = raw[body_start:end]
        if media_type == "message/rfc822":
            inner_raw = _decoded(body, headers.get("content-transfer-encoding"))
            message = self.entity(
                inner_raw, 0, len(inner_raw), path=_below(path, 1), depth=depth + 1, default="text/plain"
            )
            return Part(path, headers, media_type, parameters, body, (message,))
        return Part(path, headers, media_type, parameters, body)


def _below(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)


# ---------------------------------------------------------------- headers

_BLANK: Final = re.compile(rb"^\r?\n", re.MULTILINE)
_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)\Z", re.DOTALL)
_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+")
_MBOX: Final = re.compile(rb">?From .*\r?\n")


def _header_block(raw: bytes, start: int, end: int) -> tuple[Headers, int]:
    """Return the fields and where the body starts.

    A line that is no field ends the header and begins the body, so that no text is lost; a field with a broken
    name is dropped.
    """
    if mbox := _MBOX.match(raw, start, min(end, start + 1000)):
        start = mbox.end()
    limit = min(end, start + MAX_HEADER)
    blank = _BLANK.search(raw, start, limit)
    block_end = blank.start() if blank else limit
    fields: list[tuple[str, bytes]] = []
    position, pending = start, b""
    for line in _LINE.findall(raw, start, block_end):
        if pending and line[0] in b" \t":
            pending += line
        elif b":" in line:
            _keep(fields, pending)
            pending = line
        else:
            _keep(fields, pending)
            return Headers(fields), position
        position += len(line)
        if len(fields) > MAX_FIELDS:
            raise Unreadable(f"The header of this mail has more than {MAX_FIELDS} fields.")
    _keep(fields, pending)
    if blank is None and end > limit:
        raise Unreadable(f"The header of this mail is larger than {MAX_HEADER // 1024} KiB.")
    return Headers(fields), blank.end() if blank else block_end


def _keep(fields: list[tuple[str, bytes]], line: bytes) -> None:
    if line and (field := _FIELD.match(line)):
        fields.append((field[1].decode("ascii").lower(), field[2]))


_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}/[a-z0-9!#$&^_.+-]{1,120}\Z")


def _content_type(headers: Headers, default: str) -> tuple[str, Params]:
    value = headers.get("content-type")
    if not value:
        return default, {}
    word, parameters = params(value)
    media_type = word.lower()
    if not _MEDIA_TYPE.match(media_type):
        return "text/plain", parameters
    return media_type, parameters


# ---------------------------------------------------------------- bodies


def _cut(raw: bytes, start: int, end: int, boundary: str) -> tuple[int, list[tuple[int, int]]]:
    """Return where the preamble ends and the ranges of the parts. A part left open ends where its parent does."""
    mark = b"--" + boundary.encode("utf-8", "surrogateescape")
    preamble, ranges = end, list[tuple[int, int]]()
    opened: int | None = None
    for before, after, closes in _boundary_lines(raw, start, end, mark):
        if opened is None:
            preamble = before
        else:
            ranges.append((opened, max(before, opened)))
        opened = after
        if closes:
            return preamble, ranges
    if opened is not None and (opened < end or not ranges):
        ranges.append((opened, end))
    return preamble, ranges


def _boundary_lines(raw: bytes, start: int, end: int, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield (end of the text before, start of the text after, is the closing one) of each boundary line."""
    broken = b"\n" + mark
    at = start
    for _ in range(MAX_BOUNDARIES):
        if at == start and raw.startswith(mark, start, end):
            before = start
            at += len(mark)
        else:
            # The line break before a boundary belongs to the boundary; it may also end the one before.
            before = raw.find(broken, max(at - 1, start), end)
            if before < 0:
                return
            at = before + len(broken)
            if before > start and raw[before - 1] == 0x0D:
                before -= 1
        if tail := _TAIL.match(raw, at, end):
            at = tail.end()
            yield before, at, tail[1] is not None
    raise Unreadable(f"This mail has more than {MAX_BOUNDARIES} lines that look like boundaries.")


# Whatever follows a space on a boundary line is ignored (RFC 2046, 5.1.1: note to implementors).
_TAIL: Final = re.compile(rb"(--)?(?:[ \t]*| [^\n]*)(?:\r?\n|\Z)")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")


def _encoding(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _decoded(raw: bytes, encoding: str) -> bytes:
    word = _encoding(encoding)
    if word == "quoted-printable":
        return binascii.a2b_qp(raw)
    if word != "base64":
        return raw
    try:
        return binascii.a2b_base64(raw)
    except binascii.Error:
        letters = _NOT_BASE64.sub(b"", raw)
        return binascii.a2b_base64(letters[: len(letters) // 4 * 4])
