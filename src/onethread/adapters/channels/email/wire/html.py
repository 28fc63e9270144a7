"""HTML of mail: made harmless, read as lines of text, and written again without what was folded away."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Final

import nh3

from onethread.adapters.channels.email.wire.charsets import safe
from onethread.adapters.channels.email.wire.replies import Line, Mark

MAX_HTML: Final = 1_000_000  # characters; more than that is a file and not a message
MAX_NESTING: Final = 200  # sanitising takes time by the square of it: 200,000 open <div> would take minutes

_TAGS: Final = {
    *("a", "abbr", "address", "b", "bdi", "bdo", "big", "blockquote", "br", "caption", "center", "cite", "code"),
    *("dd", "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "h1", "h2", "h3", "h4", "h5"),
    *("h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "rp", "rt", "ruby", "s", "samp"),
    *("small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt"),
    *("u", "ul", "var", "wbr"),
}
_DROPPED_WHOLE: Final = {
    *("script", "style", "title", "noscript", "template", "iframe", "object", "svg", "math", "select"),
}
# What is read for the marks of mail programs and never comes out again.
_MARKS: Final = {"class", "id", "type", "name"}
_ATTRIBUTES: Final = {
    "*": {"dir", "lang", "title", *_MARKS},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "font": {"color"},
    "ol": {"start"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align"},
}
_CLEANER: Final = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags=_DROPPED_WHOLE,
    attributes=_ATTRIBUTES,
    url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
    url_relative="deny",
    link_rel="noopener noreferrer nofollow",
)

_OPENED: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_NEVER_NESTED: Final = {
    *("br", "hr", "img", "wbr", "col", "meta", "link", "input", "base", "area", "source", "embed", "param", "track"),
    *("p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "html", "head", "body"),
}
# The sanitiser writes every attribute as name="value" and escapes < and > in values.
_TOKEN: Final = re.compile(r'<(/?)([a-z0-9]+)((?: [^\s=<>"]+="[^"]*")*)>|[^<]+|<')
_ATTRIBUTE: Final = re.compile(r' ([^\s=<>"]+)="([^"]*)"')
_VOID: Final = {"br", "hr", "img", "wbr"}
_BLOCKS: Final = {
    *("address", "blockquote", "caption", "center", "dd", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "h3"),
    *("h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "table", "tbody", "tfoot", "thead", "tr", "ul"),
}
_SPACED: Final = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre"}
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_IMAGE_DATA: Final = re.compile(r"data:image/(?:png|gif|jpe?g|webp);base64,[A-Za-z0-9+/=\s]+\Z")

# What mail programs put around the quoted message, before it, and around a signature.
_QUOTE_CLASSES: Final = {"gmail_quote", "yahoo_quoted", "protonmail_quote", "zmail_extra"}
_CUT_IDS: Final = {
    *("divrplyfwdmsg", "appendonsend", "olk_src_body_section", "stopspelling", "zwchr", "skydriveplaceholder"),
    *("mail-editor-reference-message-container",),
}
_SIGNATURE_CLASSES: Final = {"gmail_signature", "moz-signature", "protonmail_signature_block"}
_SIGNATURE_IDS: Final = {"ms-outlook-mobile-signature", "signature"}


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of sanitised HTML; `line` is the line whose ink it is, or -1 for a mere tag."""

    html: str
    tag: str  # empty for text
    closes: bool
    line: int


class Page:
    """Sanitised HTML with the lines a person reads in it."""

    __slots__ = ("_tokens", "inline_ids", "lines", "remote_images")

    def __init__(
        self, lines: Sequence[Line], tokens: Sequence[_Token], inline_ids: frozenset[str], remote_images: int
    ) -> None:
        self.lines = lines
        self.inline_ids = inline_ids  # Content-IDs that its images name
        self.remote_images = remote_images  # how many were kept from loading
        self._tokens = tokens

    def without_folded(self, kept: Sequence[bool]) -> str:
        """Write the HTML again with only the lines that are kept, empty elements pruned."""
        out: list[str] = []
        opened: list[int] = []  # where in `out` each open element stands
        inked: list[bool] = [False]
        for token in self._tokens:
            if token.line >= 0:
                if kept[token.line]:
                    out.append(token.html)
                    inked[-1] = inked[-1] or token.tag != "br"
            elif not token.closes:
                opened.append(len(out))
                inked.append(False)
                out.append(token.html)
            elif opened:
                begin = opened.pop()
                if inked.pop():
                    out.append(token.html)
                    inked[-1] = True
                elif token.tag in {"td", "th"}:
                    out.append(token.html)
                else:
                    del out[begin:]
        return _trimmed("".join(out))


def read(html: str) -> Page | None:
    """Sanitise HTML and read its lines; None when it is too large or nested too deep to be a letter."""
    if len(html) > MAX_HTML or _nested_too_deep(html):
        return None
    return _Reader().page(safe(_CLEANER.clean(html)))


def text_of_hostile(html: str) -> str:
    """Return the bare words of HTML that `read` refused."""
    without = re.sub(r"<(?:script|style)\b[^<]*(?:<(?!/)[^<]*)*", " ", html[:MAX_HTML], flags=re.IGNORECASE)
    return _SPACES.sub(" ", safe(unescape(re.sub(r"<[^<>]*>", " ", without)))).strip()


def _nested_too_deep(html: str) -> bool:
    depth = deepest = 0
    for close, tag in _OPENED.findall(html):
        if tag.lower() in _NEVER_NESTED:
            continue
        depth = max(depth - 1, 0) if close else depth + 1
        deepest = max(deepest, depth)
    return deepest > MAX_NESTING


class _Reader:
    """Goes once over the tokens of clean HTML."""

    def __init__(self) -> None:
        self._tokens: list[_Token] = []
        self._lines: list[Line] = []
        self._words: list[str] = []
        self._open: list[tuple[str, bool, Mark]] = []  # tag, quoted, mark
        self._quoted = 0
        self._pre = 0
        self._pending: Mark = ""
        self._gap = False
        self._inked = False
        self._inline: set[str] = set()
        self._remote = 0

    def page(self, html: str) -> Page:
        for match in _TOKEN.finditer(html):
            closing, tag = match[1], match[2]
            if tag is None:
                self._text(match[0])
            elif closing:
                self._close(tag)
            else:
                attributes = dict(_ATTRIBUTE.findall(match[3])) if match[3] else {}
                if tag in _VOID:
                    self._void(tag, attributes)
                else:
                    self._begin(tag, attributes)
        self._break()
        return Page(self._lines, self._tokens, frozenset(self._inline), self._remote)

    def _text(self, html: str) -> None:
        if self._pre:
            for number, piece in enumerate(html.split("\n")):
                if number:
                    self._ink("\n", "br")
                    self._end_line(always=True)
                if piece:
                    self._words.append(unescape(piece))
                    self._ink(piece, "")
            return
        words = _SPACES.sub(" ", unescape(html))
        if words == " " and not self._words:
            return
        self._words.append(words)
        self._ink(html, "")

    def _ink(self, html: str, tag: str) -> None:
        self._tokens.append(_Token(html, tag, False, self._line()))
        self._inked = True

    def _line(self) -> int:
        """Return the number of the line being written, the blank line before it counted."""
        if self._gap and not self._inked and self._lines and not self._lines[-1].blank:
            self._lines.append(Line(""))
        self._gap = False
        return len(self._lines)

    def _begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in _BLOCKS:
            self._break()
            self._gap = self._gap or tag in _SPACED
        classes = set(attributes.get("class", "").lower().split())
        id_ = attributes.get("id", "").lower().removeprefix("x_")
        quoted = tag == "blockquote" and not _merely_indents(attributes, classes)
        mark: Mark = ""
        if id_ in _CUT_IDS or (classes & _QUOTE_CLASSES and tag != "blockquote"):
            self._pending = "cut"
        if classes & _SIGNATURE_CLASSES or id_ in _SIGNATURE_IDS:
            mark = "signature"
        self._open.append((tag, quoted, mark))
        self._quoted += quoted
        self._pre += tag == "pre"
        self._tokens.append(_Token(_opening(tag, attributes), tag, False, -1))
        if tag == "li":
            self._words.append("- ")
        elif tag in {"td", "th"} and self._words:
            self._words.append(" ")

    def _close(self, tag: str) -> None:
        if not self._open:
            return
        if tag in _BLOCKS:
            self._break()
            self._gap = self._gap or tag in _SPACED
        name, quoted, _ = self._open.pop()
        self._quoted -= quoted
        self._pre -= name == "pre"
        self._tokens.append(_Token(f"</{name}>", name, True, -1))

    def _void(self, tag: str, attributes: Mapping[str, str]) -> None:
        if attributes.get("id", "").lower() in _CUT_IDS:
            self._pending = "cut"
        if tag == "br":
            self._ink("<br>", "br")
            self._end_line(always=True)
        elif tag == "hr":
            self._break()
            self._words.append("----------")
            self._ink("<hr>", "hr")
            self._break()
        elif tag == "img":
            self._image(attributes)

    def _image(self, attributes: Mapping[str, str]) -> None:
        source = unescape(attributes.get("src", ""))
        kept = {name: attributes[name] for name in ("alt", "width", "height", "title") if name in attributes}
        if attributes.get("width") in {"0", "1"} and attributes.get("height") in {"0", "1"}:
            return  # a tracking pixel
        if source.lower().startswith("cid:"):
            self._inline.add(source[4:].strip("<> "))
            kept["src"] = attributes["src"]
        elif _IMAGE_DATA.match(source):
            kept["src"] = attributes["src"]
        elif source.lower().startswith(("http:", "https:")):
            # Loading it would tell the sender who reads and when; the screen asks first.
            kept["data-src"] = attributes["src"]
            self._remote += 1
        else:
            return
        self._ink(_tag("img", kept), "img")

    def _break(self) -> None:
        self._end_line(always=False)

    def _end_line(self, *, always: bool) -> None:
        text = _SPACES.sub(" ", "".join(self._words)).strip(" ") if not self._pre else "".join(self._words).rstrip()
        used, self._inked = self._inked, False
        self._words.clear()
        if not (text or always or used):
            return
        mark: Mark = "signature" if any(mark == "signature" for _, _, mark in self._open) else ""
        if text and self._pending:
            mark, self._pending = self._pending, ""
        self._lines.append(Line(text.replace("\u00a0", " ").rstrip(), quoted=self._quoted > 0, mark=mark))


def _merely_indents(attributes: Mapping[str, str], classes: set[str]) -> bool:
    """Tell whether a blockquote only moves text to the right, as old editors do."""
    return attributes.get("type") != "cite" and "webkit-indent-blockquote" in classes


def _opening(tag: str, attributes: Mapping[str, str]) -> str:
    kept = {name: value for name, value in attributes.items() if name not in _MARKS}
    if "href" in kept and not unescape(kept["href"]).lower().startswith(("http:", "https:", "mailto:", "tel:")):
        del kept["href"]
    return _tag(tag, kept)


def _tag(tag: str, attributes: Mapping[str, str]) -> str:
    return f"<{tag}" + "".join(f' {name}="{value}"' for name, value in attributes.items()) + ">"


_EDGES: Final = re.compile(r"\A(?:\s|<br>|&nbsp;)+|(?:\s|<br>|&nbsp;)+\Z")


def _trimmed(html: str) -> str:
    return _EDGES.sub("", html)
