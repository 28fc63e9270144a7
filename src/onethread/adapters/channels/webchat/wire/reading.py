"""From raw bytes to receipts and from receipts to known shapes."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, assert_never
from uuid import UUID

from onethread.adapters.channels.webchat.wire.frames import (
    MAX_FRAME,
    MAX_REQUEST,
    Delivered,
    Edit,
    File,
    Form,
    Identify,
    Message,
    MessagesBody,
    Reaction,
    Read,
    SignedRequest,
    Unsend,
    read_address,
    read_envelope,
    read_request,
)
from onethread.adapters.channels.webchat.wire.identity import Identity, read_form, read_identity
from onethread.channels.contract import (
    Account,
    Came,
    Content,
    EditCame,
    Handle,
    Ignored,
    KnownAs,
    Location,
    Media,
    MessageCame,
    ReactionCame,
    Receipt,
    ReceiptDraft,
    StatusCame,
    Unreadable,
    UnsendCame,
    reference_of,
)
from onethread.kernel.errors import Malformed
from onethread.kernel.text import has_unsafe, one_line

# How a receipt came: from a visitor's own screen, or in a request the company signed.
FROM_SCREEN: Final = "frame"
FROM_COMPANY: Final = "signed"

_ENVELOPE: Final = 256  # bytes around a frame
_OLDEST: Final = timedelta(days=1)  # a client's clock that is further off is not believed


class Proofs(Protocol):
    """Tells what a visitor has uploaded."""

    def proved(self, file: File, *, account: Account, visitor: UUID, now: datetime) -> Media | None:
        """Return the file if the proof is ours, for this very visitor and still fresh."""
        ...


# ---------------------------------------------------------------- receipts


def external_id_of(visitor: UUID, client_id: str) -> str:
    """Return the id of a frame in its account: the same however often it is sent."""
    return f"{visitor}:{client_id}"


def receipt_of(visitor: UUID, client_id: str, raw: bytes) -> ReceiptDraft:
    """Return the receipt of a frame that came from the visitor's own screen."""
    body = b'{"visitor":"%b","frame":%b}' % (str(visitor).encode(), raw)
    return ReceiptDraft(external_id_of(visitor, client_id), f"visitor:{visitor}", body, FROM_SCREEN)


def split_request(body: bytes) -> list[ReceiptDraft]:
    """Cut a signed request into receipts.

    Raises Unreadable when there is nothing to cut, Malformed for a request that is too large to be kept.
    """
    if len(body) > MAX_REQUEST:
        raise Malformed(f"A request may have {MAX_REQUEST:,} bytes at the most; send fewer events at once.")
    request = read_request(body)
    if request.events is not None:
        return [_receipt(bytes(event)) for event in request.events]
    return [_single(request, body)]


def _single(request: SignedRequest, body: bytes) -> ReceiptDraft:
    if request.visitor is None:
        raise Unreadable("visitor: Whose event is it? Give the visitor's id.")
    if request.frame is None:
        raise Unreadable("frame: There is no frame, and no events either.")
    visitor = str(request.visitor)
    return ReceiptDraft(f"{visitor}:{request.frame.id}", f"visitor:{visitor}", body, FROM_COMPANY)


def _receipt(event: bytes) -> ReceiptDraft:
    """One event of several: one that cannot be read is kept by its digest and parked alone."""
    try:
        address = read_address(event)
    except Unreadable:
        digest = hashlib.sha256(event).hexdigest()
        return ReceiptDraft(f"unreadable:{digest}", "unreadable", event, FROM_COMPANY)
    visitor = str(address.visitor)
    return ReceiptDraft(f"{visitor}:{address.frame.id}", f"visitor:{visitor}", event, FROM_COMPANY)


# ---------------------------------------------------------------- shapes


def parse_receipt(receipt: Receipt, account: Account, proofs: Proofs) -> Sequence[Came]:
    """Read one receipt. Raises Unreadable, naming the field."""
    if len(receipt.body) > MAX_FRAME + _ENVELOPE:
        raise Unreadable(f"A frame may have {MAX_FRAME:,} bytes at the most.")
    envelope = read_envelope(receipt.body)
    visitor, frame = envelope.visitor, envelope.frame
    signed = receipt.form == FROM_COMPANY
    at = _moment(frame.ts, receipt.received_at)
    match frame:
        case Message():
            return (_message(frame, visitor, account, proofs, at=at, now=receipt.received_at, signed=signed),)
        case Identify():
            identity = read_identity(frame.body, account, signed=signed, now=receipt.received_at)
            return (_known(visitor, account, identity, at),)
        case Form():
            return (_known(visitor, account, read_form(frame.body), at),)
        case Delivered():
            return _statuses(frame.body, "delivered", at)
        case Read():
            return _statuses(frame.body, "read", at)
        case Reaction():
            target = _target(visitor, frame.body.message, frame.body.own)
            if frame.body.emoji is not None and has_unsafe(frame.body.emoji):
                raise Unreadable("body.emoji: This is not an emoji.")
            return (ReactionCame(_sender(visitor, account), target, frame.body.emoji, at),)
        case Edit():
            own = external_id_of(visitor, frame.body.own)
            if not frame.body.text.strip():
                raise Unreadable("body.text: There is nothing left; take the message back instead.")
            return (EditCame(_sender(visitor, account), own, Content(text=frame.body.text), at),)
        case Unsend():
            return (UnsendCame(_sender(visitor, account), external_id_of(visitor, frame.body.own), at),)
        case _:
            assert_never(frame)


def _message(
    frame: Message, visitor: UUID, account: Account, proofs: Proofs, *, at: datetime, now: datetime, signed: bool
) -> MessageCame:
    body = frame.body
    media = tuple(_proved(file, place, visitor, account, proofs, now) for place, file in enumerate(body.files))
    place = body.location
    location = Location(place.latitude, place.longitude, place.title) if place is not None else None
    if not (body.text.strip() or media or location is not None or body.chosen):
        raise Unreadable("body.text: A message needs a text, a file, a place or a choice.")
    answers = () if not (body.answers or body.answers_own) else (_target(visitor, body.answers, body.answers_own),)
    return MessageCame(
        external_id=external_id_of(visitor, frame.id),
        sender=_sender(visitor, account, body.name, body.locale),
        at=at,
        content=Content(text=body.text or body.chosen or "", media=media, location=location, chosen=body.chosen),
        answers=answers,
        # A token says which browser it is, not whose: who they are is proven by a signed identify alone.
        trust="verified" if signed else "unverified",
        trust_reason="Signed by the company." if signed else "The browser's own token; who uses it is not proven.",
    )


def _proved(file: File, place: int, visitor: UUID, account: Account, proofs: Proofs, now: datetime) -> Media:
    media = proofs.proved(file, account=account, visitor=visitor, now=now)
    if media is None:
        raise Unreadable(f"body.files[{place}].proof: This visitor has not uploaded the file, or too long ago.")
    return media


def _known(visitor: UUID, account: Account, identity: Identity, at: datetime) -> Came:
    if not identity.claims and not identity.name:
        return Ignored("Nothing is claimed.")
    return KnownAs(_sender(visitor, account, identity.name, identity.locale), identity.claims, at)


def _statuses(body: MessagesBody, status: Literal["delivered", "read"], at: datetime) -> Sequence[Came]:
    return tuple(StatusCame(status, at, external_id=reference_of(message)) for message in body.messages)


def _target(visitor: UUID, message: UUID | None, own: str | None) -> str:
    if (message is None) == (own is None):
        raise Unreadable("body.message: Name one message: ours by its id, or the visitor's own by its client id.")
    return reference_of(message) if message is not None else external_id_of(visitor, own or "")


def _sender(visitor: UUID, account: Account, name: str | None = None, locale: str | None = None) -> Handle:
    shown = one_line(name, most=200) if name else None
    return Handle("visitor", str(visitor), scope=str(account.id), name=shown or None, locale=locale)


def _moment(told: datetime | None, received_at: datetime) -> datetime:
    """Believe the client's clock within a day: a message written offline keeps its time."""
    if told is None or not received_at - _OLDEST <= told <= received_at:
        return received_at
    return told
