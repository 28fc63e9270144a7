"""Says what a file is by looking at it. Pure; what a stranger claims counts only where looking cannot tell."""

from typing import Final

import filetype

HEAD: Final = 8192  # bytes of the beginning that decide

# Formats that are a zip or an OLE container: the claim may say which, not something else.
_IN_ZIP: Final = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/epub+zip",
    "application/x-zip-compressed",
)
_IN_OLE: Final = ("application/msword", "application/vnd.ms-", "application/x-ole-storage")
_PLAIN_TEXT: Final = frozenset(
    {"text/plain", "text/csv", "text/markdown", "text/calendar", "text/vcard", "application/json"}
)
# What a browser may run is named first, whatever else the text may be.
_RUNS: Final = (
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
    (b"<head", "text/html"),
    (b"<body", "text/html"),
    (b"<script", "text/html"),
    (b"<iframe", "text/html"),
    (b"<svg", "image/svg+xml"),
    (b"<?xml", "application/xml"),
)
_INLINE: Final = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "audio/mpeg",
        "audio/ogg",
        "audio/mp4",
        "audio/wav",
        "audio/webm",
        "video/mp4",
        "video/webm",
    }
)
_UNKNOWN: Final = "application/octet-stream"
_ALIASES: Final = {"audio/x-wav": "audio/wav", "audio/m4a": "audio/mp4", "audio/x-m4a": "audio/mp4"}


def media_type(head: bytes, claimed: str | None = None) -> str:
    """Return the media type of a file from its first bytes (up to HEAD) and what its sender calls it."""
    claim = (claimed or "").partition(";")[0].strip().lower()
    if not head:
        return claim if claim in _PLAIN_TEXT else _UNKNOWN
    running = _what_runs(head)
    if running:
        return running
    guessed = filetype.guess_mime(head)
    if guessed:
        return _refined(str(guessed), claim)
    if _is_text(head):
        return claim if claim in _PLAIN_TEXT else "text/plain"
    return _UNKNOWN


def may_be_shown(kind: str) -> bool:
    """Tell whether a browser may show this in place; everything else is a download."""
    return kind in _INLINE


def _what_runs(head: bytes) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1024].lower()
    for mark, kind in _RUNS:
        if start.startswith(mark):
            return "image/svg+xml" if kind == "application/xml" and b"<svg" in start else kind
    # A comment or a doctype may stand before the root element.
    if start.startswith((b"<!--", b"<!doctype")):
        return next((kind for mark, kind in _RUNS if mark in start), None)
    return None


def _refined(guessed: str, claim: str) -> str:
    if guessed == "application/zip" and claim.startswith(_IN_ZIP):
        return claim
    if guessed == "application/x-ole-storage" and claim.startswith(_IN_OLE):
        return claim
    # Containers of sound and pictures look alike at the beginning.
    same_container = {guessed.partition("/")[2], claim.partition("/")[2]} in ({"mp4"}, {"webm"}, {"ogg"})
    if same_container and claim.startswith(("audio/", "video/")):
        return claim
    return _ALIASES.get(guessed, guessed)


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    for cut in range(4):  # the last character may be cut in two
        try:
            head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False
