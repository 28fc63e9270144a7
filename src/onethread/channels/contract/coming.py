"""The shapes in which an adapter tells us what came in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from onethread.channels.contract.content import Claim, Content, Handle
from onethread.kernel.ids import DeliveryId

# Whether the channel vouches that the sender is who the address says.
Trust = Literal["verified", "unverified", "failed"]


@dataclass(frozen=True, slots=True)
class MessageCame:
    """A message. `answers` are external ids it replies to, nearest first; `token` is our reply token.

    `automatic` marks what no person wrote (auto-replies, lists): kept, but it wakes nobody.
    """

    external_id: str
    sender: Handle
    at: datetime
    content: Content
    answers: tuple[str, ...] = ()
    token: str | None = None
    claims: tuple[Claim, ...] = ()
    trust: Trust = "unverified"
    trust_reason: str = ""
    automatic: bool = False


StatusWord = Literal["sent", "delivered", "read", "failed"]


@dataclass(frozen=True, slots=True)
class StatusCame:
    """News of a delivery, found by the provider's id or by our delivery id.

    `permanent` failures say the address itself cannot be reached; `complaint`: do not market to it.
    """

    status: StatusWord
    at: datetime
    external_id: str | None = None
    delivery_id: DeliveryId | None = None
    reason: str = ""
    permanent: bool = False
    complaint: bool = False


@dataclass(frozen=True, slots=True)
class ReactionCame:
    """`emoji` None takes the reaction back."""

    sender: Handle
    target: str
    emoji: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class EditCame:
    sender: Handle
    target: str
    content: Content
    at: datetime


@dataclass(frozen=True, slots=True)
class UnsendCame:
    sender: Handle
    target: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OptedOut:
    sender: Handle
    purpose: Literal["service", "marketing", "all"]
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class OptedIn:
    sender: Handle
    purpose: Literal["service", "marketing", "all"]
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CallCame:
    """A call that was made to us: who, when and how long (seconds)."""

    external_id: str
    sender: Handle
    at: datetime
    seconds: int
    answered: bool


@dataclass(frozen=True, slots=True)
class KnownAs:
    """The sender is known by other handles too, without having said anything (a log-in, a form)."""

    sender: Handle
    claims: tuple[Claim, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing for us in it; `why` is counted and shown."""

    why: str


Came = (
    MessageCame | StatusCame | ReactionCame | EditCame | UnsendCame | OptedOut | OptedIn | CallCame | KnownAs | Ignored
)
