"""What a person wrote just now, apart from what their mail program quoted and how they sign.

Language lives in the tables of `phrases`; the rules here know shapes only: a line that announces a quotation,
a block of header fields, lines with `>`, the place of a signature. One pass, linear, never an exception.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from onethread.adapters.channels.email.wire import phrases

Mark = Literal["", "cut", "signature"]
_Kind = Literal["own", "quote", "signature"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a mail as a person sees it. `mark` is what the mail program itself said about it."""

    text: str
    quoted: bool = False
    mark: Mark = ""

    @property
    def blank(self) -> bool:
        return not self.text.strip()


@dataclass(frozen=True, slots=True)
class Folded:
    """`reply` is what was said; `signature` and `quoted` are folded away. `kept` tells it for every line."""

    reply: str
    signature: str
    quoted: str
    kept: tuple[bool, ...]


def fold(lines: Sequence[Line], *, sender_name: str = "", forwards: bool = False) -> Folded:
    """Part a mail into reply, signature and quotation. Of a forwarded mail nothing is folded away."""
    end = len(lines) if not forwards else 0
    end = next((i for i in range(end) if phrases.FORWARDED.match(lines[i].text)), end)
    kinds = _quotes(lines, end)
    if forwards or end < len(lines):
        return _folded(lines, kinds)
    _sign(lines, kinds, sender_name)
    return _folded(lines, kinds)


def plain_lines(text: str, *, flowed: bool = False, delsp: bool = False) -> list[Line]:
    """Cut a text/plain body into lines; `format=flowed` paragraphs become one line again (RFC 3676)."""
    texts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if flowed:
        texts = _unflowed(texts, delsp=delsp)
    return [Line(line.rstrip(), quoted=line.lstrip(" \u00a0").startswith(">")) for line in texts]


def _unflowed(texts: Sequence[str], *, delsp: bool) -> list[str]:
    joined: list[list[str]] = []
    open_ = ""  # the quote marks of a paragraph that goes on, or "-" when none does
    for number, text in enumerate(texts):
        marks = text[: len(text) - len(text.lstrip(">"))]
        said = text[len(marks) :].removeprefix(" ")
        if number and joined and open_ == marks:
            joined[-1].append(said)
        else:
            joined.append([marks + " " if marks else "", said])
        soft = said.endswith(" ") and said != "-- "
        if soft and delsp:
            joined[-1][-1] = said[:-1]
        open_ = marks if soft else "-"
    return ["".join(pieces) for pieces in joined]


# ---------------------------------------------------------------- quotations


def _quotes(lines: Sequence[Line], end: int) -> list[_Kind]:
    kinds: list[_Kind] = ["own"] * len(lines)
    at = 0
    while at < end:
        line = lines[at]
        if line.quoted:
            kinds[at] = "quote"
            at += 1
        elif line.blank:
            at += 1
        elif wide := _attribution(lines, at, end):
            after = _next_written(lines, at + wide, end)
            stop = after if after < end and lines[after].quoted else end
            kinds[at:stop] = ["quote"] * (stop - at)
            at = stop
        elif line.mark == "cut" or _begins_original(lines, at, end):
            begin = _with_rule_before(lines, at)
            kinds[begin:end] = ["quote"] * (end - begin)
            at = end
        else:
            at += 1
    if _interleaved(lines, kinds) or not _says_something(lines, kinds):
        return ["own"] * len(lines)
    return kinds


def _attribution(lines: Sequence[Line], at: int, end: int) -> int:
    """Return over how many lines `On …, … wrote:` goes from here; 0 when it does not begin here."""
    if phrases.is_attribution(lines[at].text):
        return 1
    if not phrases.may_begin_attribution(lines[at].text):
        return 0
    text = lines[at].text
    for wide in range(2, 5):
        last = at + wide - 1
        if last >= end or lines[last].blank or lines[last].quoted or phrases.is_attribution(lines[last].text):
            return 0
        text = f"{text} {lines[last].text.strip()}"
        if phrases.is_attribution(text):
            return wide
    return 0


def _begins_original(lines: Sequence[Line], at: int, end: int) -> bool:
    """Tell whether `-----Original Message-----` or a block of `From: … Sent: … Subject: …` begins here."""
    if phrases.ORIGINAL.match(lines[at].text):
        return True
    first = phrases.field_of(lines[at].text)
    if first is None or first == "to":
        return False
    seen: set[phrases.FieldWord] = {first}
    strange = 0
    for line in lines[at + 1 : min(at + 10, end)]:
        found = phrases.field_of(line.text)
        if found is not None:
            seen.add(found)
            strange = 0
        elif not line.blank:
            strange += 1  # a long field goes on, or its value stands below its name
            if strange > 2:
                break
    return len(seen) >= 3 and bool(seen & {"from", "date"})


_RULE: Final = re.compile(r"\s*[-_=*─━＿－~]{3,}\s*\Z")


def _with_rule_before(lines: Sequence[Line], at: int) -> int:
    """Return where the ruled line above a quotation stands, when there is one."""
    above = at - 1
    while above >= 0 and lines[above].blank:
        above -= 1
    return above if above >= 0 and _RULE.match(lines[above].text) else at


def _next_written(lines: Sequence[Line], at: int, end: int) -> int:
    while at < end and lines[at].blank:
        at += 1
    return at


def _interleaved(lines: Sequence[Line], kinds: Sequence[_Kind]) -> bool:
    """Tell whether answers stand between quoted questions: neither can be read without the other."""
    runs = [kind for kind, line in zip(kinds, lines, strict=True) if not line.blank]
    runs = [kind for i, kind in enumerate(runs) if i == 0 or runs[i - 1] != kind]
    return "".join(kind[0] for kind in runs).find("qoq") >= 0


def _says_something(lines: Sequence[Line], kinds: Sequence[_Kind]) -> bool:
    return any(kind == "own" and not line.blank for kind, line in zip(kinds, lines, strict=True))


# ---------------------------------------------------------------- signatures

_MOST_LINES: Final = 14
_SHORT: Final = 64
_CONTACT: Final = re.compile(
    r"https?://|www\.|[^\s@]+@[^\s@]+\.|\+?\d[\d\s().-]{6,}\d|〒|\b(?:tel|fax|skype|mob)\b", re.IGNORECASE
)


def _sign(lines: Sequence[Line], kinds: list[_Kind], sender_name: str) -> None:
    """Mark the signature among the lines that are the writer's own."""
    own = [i for i, kind in enumerate(kinds) if kind == "own" and not lines[i].blank]
    texts = [lines[i].text.strip() for i in own]
    starts = [
        start
        for start in (
            next((n for n, i in enumerate(own) if lines[i].mark == "signature"), None),
            _after_dashes(texts),
            _sent_from(texts),
            _closing(texts),
            _named(texts, sender_name),
            _ruled_off(texts),
        )
        if start
    ]
    if starts:
        for i in range(own[min(starts)], len(lines)):
            if kinds[i] == "own":
                kinds[i] = "signature"


def _after_dashes(texts: Sequence[str]) -> int | None:
    """Find the `-- ` of RFC 3676; a signature has no long lines."""
    at = next((n for n in range(len(texts) - 1, -1, -1) if texts[n] in {"--", "—", "__"}), None)
    if at is None or len(texts) - at > _MOST_LINES + 6 or any(len(text) > 78 for text in texts[at:]):
        return None
    return at


def _sent_from(texts: Sequence[str]) -> int | None:
    tail = range(max(len(texts) - 3, 0), len(texts))
    return next((n for n in tail if len(texts[n]) <= 90 and phrases.SENT_FROM.match(texts[n])), None)


def _closing(texts: Sequence[str]) -> int | None:
    """Find `Best regards,` with a name and perhaps an address below; thanks alone may be the message."""
    for n in range(len(texts) - 1, max(len(texts) - 9, 0), -1):
        below = texts[n + 1 :]
        if not _all_short(below):
            return None
        if phrases.REGARDS.fullmatch(texts[n]) or (below and phrases.THANKS.fullmatch(texts[n])):
            return n
    return None


def _named(texts: Sequence[str], sender_name: str) -> int | None:
    name = sender_name.casefold().strip()
    if len(name) < 2:
        return None
    for n in range(len(texts) - 1, max(len(texts) - 9, 0), -1):
        if not _all_short(texts[n:]):
            return None
        if texts[n].casefold().strip(" ,.-*") in {name, name.split()[0]}:
            return n
    return None


def _ruled_off(texts: Sequence[str]) -> int | None:
    """Find a ruled line with somebody's address below it, as is the custom in Japan."""
    for n in range(max(len(texts) - _MOST_LINES, 1), len(texts)):
        if _RULE.match(texts[n]) and any(_CONTACT.search(text) for text in texts[n + 1 :]):
            return n
    return None


def _all_short(texts: Sequence[str]) -> bool:
    return all(len(text) <= _SHORT and not text.endswith(("?", "？", "؟")) for text in texts)


# ---------------------------------------------------------------- putting together

_GAPS: Final = re.compile(r"\n{3,}")


def _folded(lines: Sequence[Line], kinds: Sequence[_Kind]) -> Folded:
    return Folded(
        reply=_text(lines, kinds, "own"),
        signature=_text(lines, kinds, "signature"),
        quoted=_text(lines, kinds, "quote"),
        kept=tuple(kind == "own" for kind in kinds),
    )


def _text(lines: Sequence[Line], kinds: Sequence[_Kind], wanted: _Kind) -> str:
    text = "\n".join(line.text for line, kind in zip(lines, kinds, strict=True) if kind == wanted)
    return _GAPS.sub("\n\n", text).strip("\n").rstrip()
