"""What mail programs put before a subject, in the languages they are sold in."""

import re
from typing import Final

from onethread.kernel.text import one_line

# Each group is one mail program's or language's word for "reply".
_REPLY: Final = (
    *("re", "res", "r", "ref", "rif", "rv", "aw", "antw", "antwort", "sv", "vs", "vá", "odp", "ynt", "yan", "bls"),
    *("ats", "atb", "hl", "tr re", "απ", "σχετ", "отв", "ответ", "на", "відп", "תגובה", "השב", "رد", "الرد"),
    *("پاسخ", "در پاسخ", "ตอบ", "ตอบกลับ", "回复", "回覆", "答复", "返信", "回信", "회신", "답장", "trả lời", "tl"),
    *("balas", "bal", "jawab"),
)
_FORWARD: Final = (
    *("fw", "fwd", "wg", "weitergeleitet", "tr", "rv fwd", "enc", "i", "inoltra", "inoltrato", "doorst", "vb", "vl"),
    *("vs fwd", "vidsend", "vidarebefordrat", "továbbítás", "pd", "przekazane", "ilt", "i̇lt", "yönlendirilen", "prt"),
    *("pr", "redir", "trim", "πρθ", "προωθ", "пересл", "переслано", "препр", "הועבר", "إعادة توجيه", "بازارسال"),
    *("ارسال مجدد", "هدایت", "ส่งต่อ", "转发", "轉寄", "轉發", "転送", "전달", "chuyển tiếp", "teruskan", "trs"),
)
_COUNT: Final = r"(?:\s*[\[(^]\s*\d{1,4}\s*[\])]?|\d{1,2})?"
_COLON: Final = r"\s*[:：]\s*"


def _words(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_PREFIX: Final = re.compile(rf"\s*(?:{_words(_REPLY + _FORWARD)}){_COUNT}{_COLON}", re.IGNORECASE)
_FORWARDED: Final = re.compile(rf"(?:{_words(_FORWARD)}){_COUNT}{_COLON}", re.IGNORECASE)
_LONGEST: Final = 400
_MOST_PREFIXES: Final = 20


def stripped(subject: str) -> str:
    """Return a subject without any `Re:`, `Fwd:`, `AW:`, `ตอบกลับ:`, `پاسخ:`, `返信:`… before it, on one line."""
    text = one_line(subject, most=_LONGEST)
    for _ in range(_MOST_PREFIXES):
        match = _PREFIX.match(text)
        if match is None:
            break
        text = text[match.end() :]
    return text.strip()


def is_forward(subject: str) -> bool:
    """Tell whether the outermost prefix says that this mail passes another one on."""
    return _FORWARDED.match(one_line(subject, most=_LONGEST)) is not None


def replying(subject: str) -> str:
    """Return the subject of an answer: exactly one `Re:`, the word every mail program understands."""
    return f"Re: {stripped(subject)}".strip()
