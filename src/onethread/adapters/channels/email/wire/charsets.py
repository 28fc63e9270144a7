"""Bytes of mail made into text that can be stored and shown, whatever charset they claim."""

import codecs
import re
from functools import lru_cache
from typing import Final

# What mail programs call charsets and Python does not, or what they mean by those names (WHATWG Encoding).
_MEANT: Final = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "x-unknown": "utf-8",
    "unknown-8bit": "utf-8",
    "8bit": "utf-8",
    "binary": "utf-8",
    "default": "utf-8",
}
_ASCII_LIKE: Final = {"cp1252", "utf-8"}
# NUL cannot be stored, other controls cannot be shown, lone surrogates cannot be sent on.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def decoded(raw: bytes, charset: str | None) -> str:
    """Return text for bytes; never raises. Without a charset, or with a lying one, UTF-8 is tried first."""
    codec = _codec(charset)
    if codec in _ASCII_LIKE:
        try:
            return safe(raw.decode("utf-8"))
        except UnicodeDecodeError:
            return safe(raw.decode("cp1252", "replace"))
    try:
        return safe(raw.decode(codec, "replace"))
    except (LookupError, UnicodeError, ValueError):
        return safe(raw.decode("utf-8", "replace"))


def safe(text: str) -> str:
    """Drop what cannot be stored or shown; tabs and line breaks stay."""
    return _UNSAFE.sub("", text) if not text.isprintable() else text


@lru_cache(maxsize=512)
def _codec(charset: str | None) -> str:
    name = (charset or "utf-8").strip(" '\"").lower()[:64]
    name = _MEANT.get(name, name)
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return "utf-8"
    # `rot13` and `zlib` are codecs too, and would be a way to blow up a small mail.
    if not getattr(info, "_is_text_encoding", True) or info.name in _NOT_FOR_MAIL:
        return "utf-8"
    return info.name if info.name not in {"ascii", "iso8859-1"} else "cp1252"


_NOT_FOR_MAIL: Final = {"idna", "punycode", "undefined", "unicode_escape", "raw-unicode-escape", "mbcs", "oem"}
