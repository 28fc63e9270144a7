"""Conversations, messages and deliveries as values, and the decisions about them. Pure."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, cast
from uuid import UUID

import msgspec

from onethread.channels.contract import (
    Capabilities,
    Content,
    Declaration,
    Media,
    Shape,
    id_of_reference,
    reference_of,
)
from onethread.conversations.shown import ContentShown
from onethread.kernel.errors import Invalid, Refused
from onethread.kernel.ids import (
    AccountId,
    BrandId,
    ConversationId,
    IdentifierId,
    MessageId,
)

Status = Literal["open", "snoozed", "closed"]
Direction = Literal["in", "out", "note"]
Purpose = Literal["service", "marketing"]
AuthorKind = Literal["customer", "agent", "key", "bot", "system"]
DeliveryStatus = Literal["queued", "sending", "unknown", "sent", "delivered", "read", "failed", "cancelled"]

PREVIEW: Final = 160  # characters of the last message that a list shows
COUNT_CAP: Final = 999  # a list never counts further: it shows "999+"


# ---------------------------------------------------------------- continuing a conversation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A conversation an inbound message could continue."""

    id: ConversationId
    brand_id: BrandId
    status: Status
    closed_at: datetime | None
    last_message_at: datetime


@dataclass(frozen=True, slots=True)
class Continue:
    """The message belongs to a conversation that is there; `wakes` it when it was closed or snoozed."""

    conversation_id: ConversationId
    wakes: bool
    why: str


@dataclass(frozen=True, slots=True)
class OpenNew:
    """The message opens a conversation; `closed` at once when no person wrote it."""

    closed: bool
    why: str


def choose_conversation(
    candidates: Sequence[Candidate],
    *,
    brand_id: BrandId,
    answered: ConversationId | None,
    automatic: bool,
    reopen: timedelta,
    now: datetime,
) -> Continue | OpenNew:
    """Decide where a message goes: what it answers, else what is open, else what was just closed, else new."""
    for candidate in candidates:
        if candidate.id == answered:
            return Continue(candidate.id, _wakes(candidate, automatic), "It answers a message of this conversation.")
    here = [candidate for candidate in candidates if candidate.brand_id == brand_id]
    running = [candidate for candidate in here if candidate.status != "closed"]
    if running:
        latest = max(running, key=_recent)
        return Continue(latest.id, _wakes(latest, automatic), "The customer has this conversation open.")
    ended = [candidate for candidate in here if candidate.closed_at and candidate.closed_at > now - reopen]
    if ended:
        latest = max(ended, key=_recent)
        return Continue(latest.id, _wakes(latest, automatic), "It was closed only a short while ago.")
    if automatic:
        return OpenNew(closed=True, why="Nothing of this customer's is open, and no person wrote this.")
    return OpenNew(closed=False, why="The customer has no conversation to continue.")


def _wakes(candidate: Candidate, automatic: bool) -> bool:
    return candidate.status != "open" and not automatic


def _recent(candidate: Candidate) -> tuple[datetime, ConversationId]:
    return candidate.last_message_at, candidate.id


# ---------------------------------------------------------------- reply tokens

_MAC_BYTES: Final = 8  # 64 bits: out of reach for guessing over a network


def reply_token(key: bytes, conversation_id: ConversationId, address: str) -> str:
    """Return the token that brings an answer from this address back into the conversation.

    Letters and digits only, 42 of them, so that it fits beside a local part of a mail address.
    """
    return reference_of(conversation_id) + _mac(key, conversation_id, address)


def read_reply_token(key: bytes, token: str, address: str) -> ConversationId | None:
    """Return the conversation of a token if it was given to this very address, else None."""
    found = id_of_reference(token[:26])
    if found is None:
        return None
    conversation_id = ConversationId(found)
    expected = _mac(key, conversation_id, address)
    return conversation_id if hmac.compare_digest(expected.encode(), token[26:].lower().encode()) else None


def _mac(key: bytes, conversation_id: ConversationId, address: str) -> str:
    digest = hmac.digest(key, conversation_id.bytes + address.casefold().encode(), hashlib.sha256)
    return digest[:_MAC_BYTES].hex()


# ---------------------------------------------------------------- contents


def pack(content: Content) -> ContentShown:
    """Return the content as JSON values, what is empty left out."""
    packed: dict[str, object] = {}
    if content.text:
        packed["text"] = content.text
    for name in ("html", "subject", "chosen", "quoted"):
        value = getattr(content, name)
        if value is not None:
            packed[name] = value
    if content.media:
        packed["media"] = [msgspec.to_builtins(media) for media in content.media]
    if content.location is not None:
        packed["location"] = msgspec.to_builtins(content.location)
    if content.choices:
        packed["choices"] = [msgspec.to_builtins(choice) for choice in content.choices]
    if content.call is not None:
        packed["call"] = msgspec.to_builtins(content.call)
    return cast("ContentShown", packed)


def unpack(packed: Mapping[str, object]) -> Content:
    """Return the content that `pack` packed."""
    return msgspec.convert(packed, Content)


def preview_of(content: Content) -> str:
    """Return one line that stands for the content in a list."""
    if content.text.strip():
        return " ".join(content.text[: PREVIEW * 4].split())[:PREVIEW]
    if content.media:
        return content.media[0].name[:PREVIEW]
    if content.location is not None:
        return (content.location.title or f"{content.location.latitude}, {content.location.longitude}")[:PREVIEW]
    return (content.subject or content.chosen or "")[:PREVIEW]


def shapes_of(content: Content) -> frozenset[Shape]:
    """Return which shapes a channel must be able to say for this content."""
    shapes: set[Shape] = set()
    if content.text or not (content.media or content.location):
        shapes.add("text")
    if content.media:
        shapes.add("media")
    if content.location is not None:
        shapes.add("location")
    if content.choices:
        shapes.add("choices")
    return frozenset(shapes)


# ---------------------------------------------------------------- sending


class CannotSend(Refused):
    """A message cannot go this way; `detail` says why and what would."""

    code = "cannot_send"
    status = 422
    title = "This message cannot be sent this way"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message may go: one identifier over one account, and what stands in the way."""

    identifier_id: IdentifierId
    identifier: str
    account_id: AccountId
    channel: str
    last_heard_at: datetime | None
    suppressed: str | None = None
    account_fault: str | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether we may write to an address now. `why` says what stands in the way, in words."""

    address: Address
    open: bool
    why: str


def reach(address: Address, capabilities: Capabilities | None, now: datetime) -> Reach:
    """Decide, before anybody types, whether an address can be written to."""
    if capabilities is None:
        return Reach(address, False, "There is no account for this channel any more.")
    if address.account_fault:
        return Reach(address, False, address.account_fault)
    if address.suppressed:
        return Reach(address, False, address.suppressed)
    if capabilities.window_hours is not None:
        ends = address.last_heard_at and address.last_heard_at + timedelta(hours=capabilities.window_hours)
        if ends is None or ends <= now:
            hours = capabilities.window_hours
            return Reach(address, False, f"The customer has not written here in the last {hours} hours.")
    return Reach(address, True, "")


def decide_send(content: Content, reached: Reach, declaration: Declaration) -> None:
    """Raise CannotSend, in words, when this content may not or cannot go to this address."""
    if not reached.open:
        raise CannotSend(reached.why, channel=declaration.name)
    capabilities = declaration.capabilities
    if content.html and not content.text.strip():
        raise Invalid("What is said in HTML needs its plain text too: not every screen shows HTML.", field="text")
    if not (content.text.strip() or content.media or content.location is not None):
        raise Invalid("A message needs a text, a file or a place.", field="text")
    missing = shapes_of(content) - capabilities.says
    if missing:
        raise CannotSend(f"{declaration.title} cannot carry: {', '.join(sorted(missing))}.", channel=declaration.name)
    if len(content.text) > capabilities.max_text:
        raise CannotSend(
            f"{declaration.title} takes {capabilities.max_text:,} characters at the most; this has "
            f"{len(content.text):,}.",
            channel=declaration.name,
        )
    large = [media for media in content.media if (media.size or 0) > capabilities.max_media]
    if large:
        raise CannotSend(
            f"{declaration.title} takes files of {capabilities.max_media:,} bytes at the most; "
            f"{large[0].name} is larger.",
            channel=declaration.name,
        )


# ---------------------------------------------------------------- deliveries

_RANK: Final[Mapping[DeliveryStatus, int]] = {
    "queued": 0,
    "sending": 1,
    "unknown": 2,
    "failed": 3,
    "sent": 4,
    "delivered": 5,
    "read": 6,
    "cancelled": 7,
}


def climbs(old: DeliveryStatus, new: DeliveryStatus) -> bool:
    """Tell whether news changes a delivery: statuses only climb, and failed gives way to anything better.

    Something sent may still fail (a bounce); something delivered may not.
    """
    if new == "failed":
        return old in {"queued", "sending", "unknown", "sent"}
    return old != "cancelled" and _RANK[new] > _RANK[old]


RETRY_PAUSES: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 10800.0)  # seconds before each next attempt


def next_pause(attempts: int, wanted: float) -> float | None:
    """Return the seconds to wait after so many attempts, None when it is time to give up."""
    if attempts > len(RETRY_PAUSES):
        return None
    return max(wanted, RETRY_PAUSES[attempts - 1])


# ---------------------------------------------------------------- messages to be written down


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message to be written down."""

    id: MessageId
    conversation_id: ConversationId
    seq: int
    direction: Direction
    content: Content
    at: datetime
    channel: str | None = None
    account_id: AccountId | None = None
    identifier_id: IdentifierId | None = None
    author_kind: AuthorKind = "customer"
    author_id: UUID | None = None
    author_name: str | None = None
    external_id: str | None = None
    answers_id: MessageId | None = None
    purpose: Purpose = "service"
    trust: str | None = None
    trust_reason: str | None = None
    automatic: bool = False
    receipt_seq: int | None = None
    client_id: str | None = None
    fetch: Sequence[Media] = field(default=())
