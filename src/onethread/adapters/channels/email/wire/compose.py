"""An answer of ours written as a mail: headers that thread, a way back for answers and bounces, enclosures."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Final

from onethread.adapters.channels.email.wire.addresses import tagged
from onethread.adapters.channels.email.wire.charsets import safe
from onethread.adapters.channels.email.wire.reading import OUR_MARK
from onethread.adapters.channels.email.wire.subjects import replying
from onethread.channels.contract import Media, Outgoing, reference_of
from onethread.kernel.text import one_line

_MOST_REFERENCES: Final = 20  # a References field much longer than a screen is cut by servers
_ID: Final = re.compile(r"<[^<>\s]{1,250}>\Z")
_MEDIA_TYPE: Final = re.compile(r"([a-z0-9!#$&^_.+-]+)/([a-z0-9!#$&^_.+-]+)\Z")

# What a signature must cover; the two List fields by RFC 8058, section 4.
SIGNED: Final = (
    *(b"from", b"to", b"reply-to", b"subject", b"date", b"message-id", b"in-reply-to", b"references"),
    *(b"mime-version", b"content-type", b"list-unsubscribe", b"list-unsubscribe-post"),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom an account writes: its plain address and what it puts below every letter."""

    address: str
    display_name: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A file of the letter with its content."""

    media: Media
    body: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail ready to be handed over. `external_id` is its Message-ID; `raw` has CRLF line ends."""

    external_id: str
    envelope_sender: str
    recipient: str
    raw: bytes
    needs_utf8: bool


class CannotBeWritten(ValueError):
    """The mail cannot be put into words a mail server understands (an impossible address, for instance)."""


def external_id(outgoing: Outgoing, identity: Identity) -> str:
    """Return the Message-ID of a delivery: the same for every attempt, so that a copy is known as one."""
    return f"<{reference_of(outgoing.delivery_id)}@{identity.address.rpartition('@')[2]}>"


def write(outgoing: Outgoing, identity: Identity, enclosures: Sequence[Enclosure] = ()) -> Letter:
    """Write a delivery as a mail. Raises CannotBeWritten."""
    reference = reference_of(outgoing.delivery_id)
    utf8 = not outgoing.to.value.isascii()
    message = EmailMessage(policy=SMTPUTF8 if utf8 else SMTP)
    try:
        _head(message, outgoing, identity, reference)
        _body(message, outgoing, identity, enclosures)
        raw = message.as_bytes()
    except (ValueError, MessageError, IndexError, LookupError, UnicodeError) as impossible:
        raise CannotBeWritten(one_line(str(impossible), most=200)) from impossible
    return Letter(
        external_id=external_id(outgoing, identity),
        envelope_sender=tagged(identity.address, "b", reference),
        recipient=outgoing.to.value,
        raw=raw,
        needs_utf8=utf8,
    )


# ---------------------------------------------------------------- the head


def _head(message: EmailMessage, outgoing: Outgoing, identity: Identity, reference: str) -> None:
    message["From"] = _address(_from_name(outgoing, identity), identity.address)
    message["To"] = _address(one_line(outgoing.to.name or "", most=80), outgoing.to.value)
    message["Subject"] = _subject(outgoing)
    message["Date"] = format_datetime(outgoing.sent_at)
    message["Message-ID"] = external_id(outgoing, identity)
    # Answers are given nearest first; References goes from the oldest to the nearest.
    followed = [id_ for id_ in outgoing.answers if _ID.match(id_) and id_.isascii()][:_MOST_REFERENCES]
    if followed:
        message["In-Reply-To"] = followed[0]
        message["References"] = " ".join(reversed(followed))
    reply_to = tagged(identity.address, "r", outgoing.token)
    if reply_to != identity.address:
        message["Reply-To"] = _address(_from_name(outgoing, identity), reply_to)
    message[OUR_MARK] = reference
    message["Auto-Submitted"] = "no"
    if outgoing.unsubscribe_url:
        _farewell(message, outgoing.unsubscribe_url, tagged(identity.address, "u", reference))


def _farewell(message: EmailMessage, url: str, mailto: str) -> None:
    """Offer to leave by one click (RFC 8058) and by mail (RFC 2369)."""
    if not url.isascii() or any(c in url for c in "<>, \r\n"):
        raise CannotBeWritten("The address for unsubscribing is not fit for a header.")
    message["List-Unsubscribe"] = f"<{url}>, <mailto:{mailto.replace('+', '%2B')}?subject=unsubscribe>"
    if url.startswith("https://"):
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _from_name(outgoing: Outgoing, identity: Identity) -> str:
    brand = one_line(identity.display_name or outgoing.brand_name, most=60)
    agent = one_line(outgoing.sender_name, most=60)
    return f"{agent} via {brand}" if agent and brand and agent != brand else brand or agent


def _address(name: str, address: str) -> Address:
    if address.isascii():
        return Address(display_name=name, addr_spec=address)
    # Addresses in letters of their own (RFC 6532) are not parsed by the library, so they are looked at here.
    local, _, domain = address.rpartition("@")
    if not local or not domain or any(c in ' \t\r\n<>()[]:;,"\\@' for c in local + domain):
        raise CannotBeWritten("This is not an address that mail can be sent to.")
    return Address(display_name=name, username=local, domain=domain)


def _subject(outgoing: Outgoing) -> str:
    subject = one_line(outgoing.content.subject or "", most=300)
    if outgoing.answers:
        return replying(subject)
    return subject or one_line(outgoing.content.text, most=60) or one_line(outgoing.brand_name, most=60)


# ---------------------------------------------------------------- the body


def _body(message: EmailMessage, outgoing: Outgoing, identity: Identity, enclosures: Sequence[Enclosure]) -> None:
    signature = safe(identity.signature).strip()
    text = safe(outgoing.content.text).rstrip()
    message.set_content(f"{text}\n\n-- \n{signature}\n" if signature else f"{text}\n", cte=_encoding(text + signature))
    inline = [one for one in enclosures if one.media.inline_id and outgoing.content.html]
    if outgoing.content.html:
        html = safe(outgoing.content.html)
        if signature:
            html = f"{html}<p>-- <br>{_escaped(signature)}</p>"
        message.add_alternative(_page(html, outgoing.locale), subtype="html", cte=_encoding(html))
        page = message.get_body(("html",))
        for one in inline:
            assert page is not None
            major, minor = _media_type(one.media.media_type)
            page.add_related(one.body, major, minor, cid=f"<{_content_id(one.media)}>", filename=_name(one.media))
    for one in enclosures:
        if one not in inline:
            major, minor = _media_type(one.media.media_type)
            message.add_attachment(one.body, major, minor, filename=_name(one.media))


def _encoding(text: str) -> str:
    """Choose how a text travels: as it is when it is plain and narrow, else in the smaller of the two codes."""
    if text.isascii():
        return "7bit" if all(len(line) <= 900 for line in text.split("\n")) else "quoted-printable"
    wide = sum(not c.isascii() for c in text)
    return "base64" if wide * 4 > len(text) else "quoted-printable"


def _page(html: str, locale: str) -> str:
    language = re.sub(r"[^A-Za-z-]", "", locale)[:20]
    return f'<!DOCTYPE html>\n<html lang="{language}"><body dir="auto">{html}</body></html>\n'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>")


def _media_type(written: str) -> tuple[str, str]:
    match = _MEDIA_TYPE.match(written.lower())
    # A part that claims to be a message or a multipart would have to be parsed to be written.
    if match is None or match[1] in {"message", "multipart"}:
        return "application", "octet-stream"
    return match[1], match[2]


def _content_id(media: Media) -> str:
    return re.sub(r"[^A-Za-z0-9@._+-]", "", media.inline_id or "")[:200]


def _name(media: Media) -> str:
    return one_line(media.name, most=120).replace("/", "_").replace("\\", "_") or "file"
