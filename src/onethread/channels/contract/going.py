"""What is handed to an adapter, and the outcomes it may answer with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from onethread.channels.contract.content import Content, Handle
from onethread.kernel.ids import ConversationId, DeliveryId, MessageId

Act = Literal["message", "edit", "unsend", "reaction"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One delivery handed to a channel. `delivery_id` is our reference at the provider.

    `answers` are external ids of the messages this one follows, nearest first. `token` brings the
    answer back into this conversation. `target` is the provider's id of the message an edit, unsend
    or reaction speaks of. `repeated` says an earlier attempt may have arrived.
    """

    delivery_id: DeliveryId
    message_id: MessageId
    conversation_id: ConversationId
    act: Act
    to: Handle
    content: Content
    sender_name: str
    brand_name: str
    locale: str
    sent_at: datetime
    answers: tuple[str, ...] = ()
    token: str = ""
    target: str | None = None
    emoji: str | None = None
    unsubscribe_url: str | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has it. `external_id` is its id for the message; `status` what we know already."""

    external_id: str
    status: Literal["sent", "delivered"] = "sent"


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now: the same delivery again after so many seconds.

    `no_line`: the provider could not be reached at all, which says something of the account, not of the message.
    """

    after: float
    reason: str
    no_line: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """This address cannot be reached over this channel. `permanent`: do not try it again."""

    reason: str
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class WindowClosed:
    reason: str


@dataclass(frozen=True, slots=True)
class NeedsConsent:
    reason: str


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """The account itself needs a person (a wrong password, a revoked token): `what` says how to mend it."""

    what: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been sent or not. Nothing is tried before the provider spoke or its time ran out."""

    reason: str


Outcome = Sent | TryLater | Unreachable | WindowClosed | NeedsConsent | NeedsAttention | Unknown


@dataclass(frozen=True, slots=True)
class Health:
    """How an account is. `what` says in words what is wrong and how to mend it."""

    well: bool
    what: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """A fetched file."""

    body: bytes
    media_type: str
    name: str


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no letter looks like a digit


def reference_of(id_: UUID) -> str:
    """Return the short form of an id (26 letters and digits, no case) for addresses and headers."""
    value, letters = id_.int, []
    for _ in range(26):
        value, rest = divmod(value, 32)
        letters.append(_ALPHABET[rest])
    return "".join(reversed(letters))


def id_of_reference(reference: str) -> UUID | None:
    """Return the id a short form stands for, or None when it is not one."""
    if len(reference) != 26:
        return None
    value = 0
    for letter in reference.lower():
        digit = _ALPHABET.find(letter)
        if digit < 0:
            return None
        value = value * 32 + digit
    return UUID(int=value) if value < 1 << 128 else None
