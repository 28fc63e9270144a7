"""The body of a mail as a letter: its text, its HTML and its enclosures, chosen from the tree of parts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from onethread.adapters.channels.email.wire import html, replies, subjects
from onethread.adapters.channels.email.wire.charsets import decoded
from onethread.adapters.channels.email.wire.headers import params, words
from onethread.adapters.channels.email.wire.mime import Part
from onethread.channels.contract import Content, Media
from onethread.kernel.text import one_line

MAX_TEXT: Final = 500_000  # characters of one text part that are read; the mail itself stays whole in its receipt
MAX_QUOTED: Final = 100_000
_MOST_MEDIA: Final = 200

# Seals and leftovers of mail programs that are of no use to a person.
_NOT_ENCLOSED: Final = {
    *("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"),
    *("application/applefile", "application/pgp-encrypted"),
}
_EXTENSION: Final = {
    "text/plain": "txt",
    "text/html": "html",
    "text/calendar": "ics",
    "text/csv": "csv",
    "text/vcard": "vcf",
    "message/rfc822": "eml",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/heic": "heic",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "video/mp4": "mp4",
    "application/pdf": "pdf",
    "application/zip": "zip",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """Body parts in reading order, and what is enclosed."""

    plain: tuple[Part, ...]
    rich: tuple[Part, ...]
    enclosed: tuple[Part, ...]


def content(message: Part, *, sender_name: str) -> Content:
    """Return what the mail says: the new words as text and HTML, the rest folded into `quoted`."""
    found = _find(message)
    subject = message.headers.text("subject")
    forwards = subjects.is_forward(subject)
    page = _page(found.rich)
    plain = _plain(found.plain)
    if not plain and page is None:
        plain = _last_resort(found)
    kept_html: str | None = None
    if page is not None:
        folded_page = replies.fold(page.lines, sender_name=sender_name, forwards=forwards)
        kept_html = page.without_folded(folded_page.kept) or None
    if plain:
        folded = replies.fold(plain, sender_name=sender_name, forwards=forwards)
    else:
        folded = folded_page if page is not None else replies.fold(())
    return Content(
        text=folded.reply[:MAX_TEXT],
        html=kept_html,
        subject=subjects.stripped(subject) or None,
        media=tuple(_media(part, page) for part in found.enclosed[:_MOST_MEDIA]),
        quoted="\n\n".join(filter(None, (folded.signature, folded.quoted)))[:MAX_QUOTED] or None,
    )


# ---------------------------------------------------------------- choosing


def _find(message: Part) -> _Found:
    plain: list[Part] = []
    rich: list[Part] = []
    enclosed: list[Part] = []
    _sort(message, plain, rich, enclosed)
    return _Found(tuple(plain), tuple(rich), tuple(enclosed))


def _sort(part: Part, plain: list[Part], rich: list[Part], enclosed: list[Part]) -> None:
    if part.is_multipart and part.parts:
        for child in _children(part):
            _sort(child, plain, rich, enclosed)
    elif part.is_multipart:
        plain.append(part)  # no part was found in it: what stands there is text
    elif _is_body(part):
        (rich if part.media_type == "text/html" else plain).append(part)
    elif part.media_type not in _NOT_ENCLOSED and (part.raw.strip() or _file_name(part)):
        enclosed.append(part)


def _children(part: Part) -> Iterator[Part]:
    """Yield the parts to be read: of alternatives one plain and the best rich one."""
    if part.media_type != "multipart/alternative":
        yield from part.parts
        return
    chosen = {child.media_type: child for child in part.parts if child.media_type.startswith("text/")}
    for child in part.parts:
        if child.media_type in {"text/plain", "text/html"} and chosen[child.media_type] is not child:
            continue
        if child.media_type in {"text/x-amp-html", "text/watch-html", "text/enriched", "text/richtext"}:
            continue
        yield child


def _is_body(part: Part) -> bool:
    if part.media_type not in {"text/plain", "text/html"}:
        return False
    word, parameters = params(part.headers.get("content-disposition"))
    return word.lower() != "attachment" and not parameters.get("filename") and "name" not in part.params


def _last_resort(found: _Found) -> list[replies.Line]:
    """Read a mail that is nothing but HTML we refuse to sanitise, as bare words."""
    if not found.rich:
        return []
    return replies.plain_lines(html.text_of_hostile(_text(found.rich[0])))


def _plain(parts: tuple[Part, ...]) -> list[replies.Line]:
    lines: list[replies.Line] = []
    for part in parts:
        flowed = part.params.get("format", "").lower() == "flowed"
        delsp = part.params.get("delsp", "").lower() == "yes"
        if lines:
            lines.append(replies.Line(""))
        lines += replies.plain_lines(_text(part), flowed=flowed, delsp=delsp)
    return lines if any(not line.blank for line in lines) else []


def _page(parts: tuple[Part, ...]) -> html.Page | None:
    """Read the HTML bodies as one page; mailing lists and Apple's mail program send several."""
    if not parts:
        return None
    page = html.read("<hr>".join(_text(part) for part in parts))
    return page if page is not None and (any(not line.blank for line in page.lines) or page.inline_ids) else None


def _text(part: Part) -> str:
    return decoded(part.body, part.params.get("charset"))[:MAX_TEXT]


# ---------------------------------------------------------------- enclosures


def _media(part: Part, page: html.Page | None) -> Media:
    content_id = part.headers.get("content-id").strip().strip("<>")
    inline = page is not None and content_id in page.inline_ids
    return Media(
        ref=f"part:{part.path}",
        name=name_of(part),
        media_type=part.media_type,
        size=part.size,
        inline_id=content_id if inline and content_id else None,
    )


def name_of(part: Part) -> str:
    """Return a file name for an enclosure: never a path, never empty, at most 120 characters."""
    name = _file_name(part)
    if name:
        return name
    if part.message is not None and (subject := subjects.stripped(part.message.headers.text("subject"))):
        return f"{_safe_name(subject)[:100]}.eml"
    return f"{part.media_type.partition('/')[0]}.{_EXTENSION.get(part.media_type, 'bin')}"


def _file_name(part: Part) -> str:
    _, parameters = params(part.headers.get("content-disposition"))
    return _safe_name(parameters.get("filename") or words(part.params.get("name", "")))


_PATH: Final = re.compile(r"[/\\:]")


def _safe_name(written: str) -> str:
    name = one_line(_PATH.split(written)[-1] if "/" in written or "\\" in written else written, most=400)
    name = name.replace(":", "_").strip(". ")
    if len(name) <= 120:
        return name
    stem, dot, extension = name.rpartition(".")
    return f"{stem[: 119 - len(extension)]}.{extension}" if dot and len(extension) <= 12 else name[:120]
