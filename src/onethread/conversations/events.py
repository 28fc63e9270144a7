"""What the conversations room announces. Texts stay in messages: a fact carries ids and reasons."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A customer said something. `seq` is its place in the conversation."""

    message_id: UUID
    seq: int
    automatic: bool


@dataclass(frozen=True, slots=True)
class MessageSent:
    """We said something; its deliveries are on their way."""

    message_id: UUID
    seq: int


@dataclass(frozen=True, slots=True)
class NoteAdded:
    message_id: UUID
    seq: int
    mentions: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class MessageEdited:
    message_id: UUID


@dataclass(frozen=True, slots=True)
class MessageUnsent:
    """The words are gone from us too."""

    message_id: UUID


@dataclass(frozen=True, slots=True)
class MediaStored:
    """A file of a message was fetched, or could not be: then `reason` says why."""

    message_id: UUID
    position: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReactionChanged:
    """`emoji` None: the reaction was taken back."""

    message_id: UUID
    emoji: str | None


@dataclass(frozen=True, slots=True)
class DeliveryChanged:
    """A delivery moved on. `repeated`: an earlier attempt of unknown outcome may have arrived too."""

    delivery_id: UUID
    message_id: UUID
    status: str
    reason: str | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class ConversationOpened:
    """`why` says in words why this is a new conversation."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class ConversationReopened:
    why: str


@dataclass(frozen=True, slots=True)
class ConversationClosed:
    pass


@dataclass(frozen=True, slots=True)
class ConversationSnoozed:
    until: datetime


@dataclass(frozen=True, slots=True)
class ConversationAssigned:
    """Who has the work now, and who had it before."""

    assignee_id: UUID | None
    team_id: UUID | None
    before_assignee_id: UUID | None = None
    before_team_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """Subject or priority were changed."""

    subject: str
    priority: int


@dataclass(frozen=True, slots=True)
class ConversationsJoined:
    """Everything of this conversation is now in `into`; the id goes on resolving to it."""

    into: UUID


@dataclass(frozen=True, slots=True)
class ConversationSplit:
    """Some messages left for a conversation of their own."""

    into: UUID
    messages: int


@dataclass(frozen=True, slots=True)
class ConversationRead:
    """An agent has read up to `upto`."""

    agent_id: UUID
    upto: int


@dataclass(frozen=True, slots=True)
class DraftChanged:
    """The shared draft has a new version. `empty`: it was sent or thrown away."""

    version: int
    empty: bool = False


@dataclass(frozen=True, slots=True)
class AddressSuppressed:
    """Nothing of this purpose is sent to the address over this channel any more."""

    purpose: str
    reason: str
