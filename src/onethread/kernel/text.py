"""Text as people and machines send it, made safe to keep: invisible marks, digits, spaces, length."""

import re
import unicodedata
from typing import Final

# Directions, joins of words and byte order marks that phones, spreadsheets and chat apps paste along.
# The joiners U+200C and U+200D stay: Persian and Indic words and names are spelled with them.
_INVISIBLE: Final = dict.fromkeys(
    [0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
_SPACES: Final = re.compile(r"\s+")
# Controls cannot be shown, NUL cannot be stored, lone surrogates cannot be written as UTF-8.
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def without_invisible(text: str) -> str:
    """Drop direction marks, zero-width spaces and byte order marks."""
    return text if text.isascii() else text.translate(_INVISIBLE)


def with_plain_digits(text: str) -> str:
    """Write every decimal digit (Thai, Persian, Arabic-Indic, full-width…) as 0 to 9."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def has_unsafe(text: str) -> bool:
    """Tell whether text holds control characters, NUL or lone surrogates."""
    return _UNSAFE.search(text) is not None


def one_line(text: str, *, most: int) -> str:
    """Return text on one line, safe to store and show, at most `most` characters; maybe empty.

    For names and subjects: marks of direction stay out, so that a name cannot turn the line it is shown in.
    """
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()[:most].rstrip()
    spaced = _SPACES.sub(" ", without_invisible(text))
    return _UNSAFE.sub("", spaced).strip()[:most].rstrip()
