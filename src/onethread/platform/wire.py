"""Shapes every room's routes share on the wire: bodies, pages and cursors."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict

from onethread.kernel.errors import Invalid
from onethread.platform.events.model import ActorKind, Event

T = TypeVar("T")
C = TypeVar("C")


class Body(BaseModel):
    """What a client sends; a field we do not know is refused, for it was meant to do something."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the cursor of the page after it."""

    items: Sequence[T]
    next: str | None = None


class Doer(BaseModel):
    """Who did it."""

    kind: ActorKind
    id: UUID | None


class EventShape(BaseModel):
    """One event of the log. `seq` grows from event to event and has gaps."""

    id: UUID
    seq: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    identifier_id: UUID | None
    conversation_id: UUID | None
    brand_id: UUID | None
    actor: Doer
    channel: str | None
    payload: Mapping[str, object]


def shown(event: Event) -> EventShape:
    """Return an event as the API shows it."""
    return EventShape(
        id=event.id,
        seq=event.seq,
        type=event.type,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        identifier_id=event.identifier_id,
        conversation_id=event.conversation_id,
        brand_id=event.brand_id,
        actor=Doer(kind=event.actor_kind, id=event.actor_id),
        channel=event.channel,
        payload=event.payload,
    )


def write_cursor(place: object) -> str:
    """Return an opaque cursor for a place in a list."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(cursor: str | None, shape: type[C]) -> C | None:
    """Return the place a cursor stands for. Raises Invalid for one we did not give out."""
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=shape)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as wrong:
        raise Invalid("This is not a cursor we gave out.", field="cursor") from wrong
