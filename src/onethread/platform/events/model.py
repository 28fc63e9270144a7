"""What happened, as values: the draft a room announces and the event as the log keeps it."""

from dataclasses import Field, dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable
from uuid import UUID

from onethread.kernel.ids import BrandId, ConversationId, EventId, IdentifierId, new_id

ActorKind = Literal["customer", "agent", "key", "bot", "system"]


@runtime_checkable
class Fact(Protocol):
    """A frozen dataclass named in the past tense; its fields become the event's payload."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@dataclass(frozen=True, slots=True)
class By:
    """Who did it."""

    kind: ActorKind
    id: UUID | None = None


BY_SYSTEM = By("system")


@dataclass(frozen=True, slots=True)
class EventDraft:
    """One fact to be appended. With a `source_id` it is appended once per (source, source_id).

    What belongs to a brand names it: a conversation's events always do. `brand_id` None means the whole
    organisation (agents, teams, customers, who are the same people for every brand), so whoever is limited
    to brands hears it as well: in the log, by webhooks, in threads and live.
    """

    fact: Fact
    occurred_at: datetime
    by: By = BY_SYSTEM
    identifier_id: IdentifierId | None = None
    conversation_id: ConversationId | None = None
    brand_id: BrandId | None = None
    channel: str | None = None
    source: str | None = None
    source_id: str | None = None
    id: EventId = field(default_factory=lambda: EventId(new_id()))

    @property
    def type(self) -> str:
        return type(self.fact).__name__


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the log. `seq` is unique and grows; it has gaps."""

    id: EventId
    seq: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    identifier_id: IdentifierId | None
    conversation_id: ConversationId | None
    brand_id: BrandId | None
    actor_kind: ActorKind
    actor_id: UUID | None
    channel: str | None
    source: str | None
    source_id: str | None
    payload: dict[str, object]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event a subscriber could not take, kept until somebody replays or dismisses it."""

    id: UUID
    subscriber: str
    event_id: EventId
    event_seq: int
    event_type: str
    error: str
    attempts: int
    parked_at: datetime
    replayed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CursorLag:
    """How far behind a subscriber is: `behind` in positions of the log, `waiting` its oldest unread."""

    name: str
    seq: int
    behind: int
    oldest_unread_at: datetime | None
