"""A raw mail read into what came: a message, a report, a farewell, or nothing for us."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from onethread.adapters.channels.email.wire import addresses, letters, mime, reports, trust
from onethread.adapters.channels.email.wire import headers as fields
from onethread.adapters.channels.email.wire.headers import Headers, Mailbox
from onethread.channels.contract import (
    Came,
    Handle,
    Ignored,
    MessageCame,
    OptedOut,
    StatusCame,
    Unreadable,
    id_of_reference,
)
from onethread.kernel.ids import DeliveryId

OUR_MARK: Final = "X-Onethread"
_MOST_ANSWERS: Final = 30
_RECIPIENT_FIELDS: Final = ("delivered-to", "x-original-to", "envelope-to", "to", "cc", "resent-to")
_NOBODY: Final = re.compile(r"(?:mailer-daemon|postmaster)@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ours:
    """What an account knows about itself: its addresses without tags, in lower case, and its mail server."""

    addresses: frozenset[str]
    authserv_id: str = ""


def sender_key(raw: bytes) -> str:
    """Return who a mail is from, for keeping the order of one sender; cheap, and never raises."""
    try:
        found = _sender(mime.read_headers(raw))
    except Unreadable:
        return "unknown"
    return found.address.lower()[:254] if found else "unknown"


def fingerprint(raw: bytes) -> str:
    """Return the id of a mail's receipt: the same bytes, however they came, are the same mail."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def read(raw: bytes, *, external_id: str, received_at: datetime, ours: Ours) -> Sequence[Came]:
    """Read one mail. Raises Unreadable with the reason, and nothing else, whatever the bytes are."""
    message = mime.read(raw)
    head = message.headers
    at = fields.date(head.get("date"), otherwise=received_at)
    tags = addresses.read_tags(_recipients(head), ours.addresses)
    if _is_own(head, ours):
        return [Ignored("A mail of our own that came back.")]
    if (report := reports.read(message, bounced=tags.bounced, at=at)) is not None:
        return report
    sender = _sender(head)
    if sender is None:
        raise Unreadable("This mail does not say who sent it.")
    if addresses.untagged(sender.address) in ours.addresses:
        return [Ignored("A mail from our own address.")]
    if tags.bounced is not None and (bounce := _plain_bounce(message, sender, tags.bounced, at)) is not None:
        return [bounce]
    handle = Handle("email", sender.address, name=sender.name or None)
    if tags.farewell is not None:
        return [OptedOut(handle, "marketing", at, "Wrote to the farewell address of our mail.")]
    verdict = trust.judge(head, authserv_id=ours.authserv_id, sender=sender.address)
    return [
        MessageCame(
            external_id=fields.message_id(head.get("message-id")) or _synthesised(external_id, raw),
            sender=handle,
            at=at,
            content=letters.content(message, sender_name=sender.name),
            answers=_answers(head),
            token=tags.token,
            trust=verdict.trust,
            trust_reason=verdict.reason,
            automatic=_is_automatic(head, sender),
        )
    ]


def _recipients(head: Headers) -> list[str]:
    return [
        address for name in _RECIPIENT_FIELDS for value in head.all(name) for address in fields.addresses_in(value)
    ][:500]


def _sender(head: Headers) -> Mailbox | None:
    for name in ("from", "sender", "return-path"):
        for value in head.all(name):
            if boxes := fields.mailboxes(value):
                return boxes[0]
    return None


def _is_own(head: Headers, ours: Ours) -> bool:
    """Tell whether we sent this ourselves: our mark, and the id we made from it in our own domain."""
    mark = head.get(OUR_MARK.lower()).strip()
    if not mark or id_of_reference(mark) is None:
        return False
    id_ = (fields.message_id(head.get("message-id")) or "").strip("<>")
    local, _, domain = id_.rpartition("@")
    return local == mark and any(address.endswith(f"@{domain.lower()}") for address in ours.addresses)


def _synthesised(external_id: str, raw: bytes) -> str:
    """Name a mail without a Message-ID by its bytes, so that it is the same at each reading."""
    digest = external_id.removeprefix("sha256:") if external_id.startswith("sha256:") else fingerprint(raw)[7:]
    return f"<{digest}@no-id>"


def _answers(head: Headers) -> tuple[str, ...]:
    """Return the ids this mail follows, nearest first; some programs write the nearest in only one of the fields."""
    nearest = fields.message_ids(head.get("in-reply-to"))
    further = reversed(fields.message_ids(head.get("references")))
    return tuple(dict.fromkeys((*nearest, *further)))[:_MOST_ANSWERS]


def _is_automatic(head: Headers, sender: Mailbox) -> bool:
    """Tell whether no person wrote this, by RFC 3834 and by what came before it."""
    submitted = head.get("auto-submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return True
    if head.get("precedence").strip().lower() in {"bulk", "junk", "list", "auto_reply"}:
        return True
    if head.get("x-auto-response-suppress").strip().lower() not in {"", "none"}:
        return True
    if any(head.get(name) for name in ("list-id", "x-autoreply", "x-autorespond", "x-auto-reply")):
        return True
    if head.get("return-path").strip() == "<>":
        return True
    return _NOBODY.match(sender.address) is not None


_REFUSAL: Final = re.compile(r"\b(5\d\d)[ -]+(5\.\d{1,3}\.\d{1,3})?([^\r\n]{0,200})")


def _plain_bounce(message: mime.Part, sender: Mailbox, bounced: str, at: datetime) -> Came | None:
    """Read a bounce of a server that knows no reports: from nobody, to the bounce address of one delivery."""
    if message.headers.get("return-path").strip() != "<>" and not _NOBODY.match(sender.address):
        return None
    delivery = id_of_reference(bounced)
    if delivery is None:
        return None
    said = letters.content(message, sender_name="")
    refusal = _REFUSAL.search(f"{said.text}\n{said.quoted or ''}"[:20_000])
    code = (refusal[2] or "") if refusal else ""
    text = refusal[3] if refusal else ""
    return StatusCame(
        "failed",
        at,
        delivery_id=DeliveryId(delivery),
        reason=reports.status_words(code, text) or "It was returned.",
        permanent=refusal is not None and reports.is_dead(code, text),
    )
