"""What an event tells the screens: the event with the rows it changed, as they are now.

The rows are the latest, not those of the moment of the event: applying frames in order to a stale
screen, each row replacing what was there, ends at the fresh state.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from onethread.conversations.model import COUNT_CAP
from onethread.conversations.queries import inbox, messages
from onethread.conversations.queries.inbox import InboxRow
from onethread.conversations.queries.messages import MessageLine
from onethread.conversations.shown import DeliveryShown
from onethread.kernel.ids import ConversationId, MessageId
from onethread.platform.db import Tx
from onethread.platform.events.model import Event
from onethread.platform.live import LiveFrame

# Events a visitor's own window hears of; a delivery shows them our message once it is sent.
_VISITOR_HEARS: Final = frozenset(
    {"MessageReceived", "DeliveryChanged", "MessageEdited", "MessageUnsent", "ReactionChanged", "MediaStored"}
)
_LEFT: Final = frozenset({"sent", "delivered", "read"})


async def frames(tx: Tx, events: Sequence[Event]) -> list[LiveFrame]:
    """Return the frames of a batch of events, with a fixed number of statements."""
    conversation_ids = {event.conversation_id for event in events if event.conversation_id is not None}
    message_ids = {id_ for event in events if (id_ := _message_id(event)) is not None}
    rows = {row.id: row for row in await inbox.rows(tx, sorted(conversation_ids))} if conversation_ids else {}
    lines = {line.id: line for line in await messages.lines(tx, sorted(message_ids))} if message_ids else {}
    made = []
    for event in events:
        message_id = _message_id(event)
        row = rows.get(event.conversation_id) if event.conversation_id is not None else None
        line = lines.get(message_id) if message_id is not None else None
        made.append(_for_agents(event, row, line))
        if (visitor := _for_visitor(event, line)) is not None:
            made.append(visitor)
    return made


def _message_id(event: Event) -> MessageId | None:
    written = event.payload.get("message_id")
    return MessageId(UUID(written)) if isinstance(written, str) else None


def _for_agents(event: Event, row: InboxRow | None, line: MessageLine | None) -> LiveFrame:
    data: dict[str, object] = {"event": told(event)}
    if row is not None:
        data["conversation"] = row_shown(row)
    if line is not None:
        data["message"] = msgspec.to_builtins(line)
    return LiveFrame(topics=_topics(event, row), seq=event.seq, type=event.type, data=data)


def _topics(event: Event, row: InboxRow | None) -> tuple[str, ...]:
    """Say who hears it: the brand, the conversation, and the team and agent who have the work."""
    topics = []
    brand_id = event.brand_id or (row.brand_id if row is not None else None)
    if brand_id is not None:
        topics.append(f"brand:{brand_id}")
    if event.conversation_id is not None:
        topics.append(f"conversation:{event.conversation_id}")
    if row is not None and row.team_id is not None:
        topics.append(f"team:{row.team_id}")
    if row is not None and row.assignee_id is not None:
        topics.append(f"agent:{row.assignee_id}")
    if brand_id is None and event.conversation_id is None:
        topics.append("organisation")
    return tuple(topics)


def told(event: Event) -> dict[str, object]:
    """Return an event as the API shows it."""
    return {
        "id": str(event.id),
        "seq": event.seq,
        "type": event.type,
        "occurred_at": event.occurred_at.isoformat(),
        "recorded_at": event.recorded_at.isoformat(),
        "identifier_id": _text(event.identifier_id),
        "conversation_id": _text(event.conversation_id),
        "brand_id": _text(event.brand_id),
        "actor": {"kind": event.actor_kind, "id": _text(event.actor_id)},
        "channel": event.channel,
        "payload": event.payload,
    }


def row_shown(row: InboxRow) -> dict[str, object]:
    """Return an inbox row as the API shows it, its count capped."""
    shown: dict[str, object] = msgspec.to_builtins(row)
    shown["unread"] = min(row.unread, COUNT_CAP + 1)
    return shown


def _text(id_: UUID | ConversationId | None) -> str | None:
    return None if id_ is None else str(id_)


def _for_visitor(event: Event, line: MessageLine | None) -> LiveFrame | None:
    """Return what the visitor a message belongs to sees of an event."""
    if line is None or event.type not in _VISITOR_HEARS or line.direction == "note":
        return None
    if line.identifier_id is None or not (line.identifier or "").startswith("visitor:"):
        return None
    status = _status(line.deliveries)
    if line.direction == "out" and status not in _LEFT:
        return None
    return LiveFrame(
        topics=(f"visitor:{line.identifier_id}",),
        seq=event.seq,
        type=event.type,
        data={
            "message_id": str(line.id),
            "conversation_id": str(line.conversation_id),
            "seq": line.seq,
            "direction": line.direction,
            "author_name": line.author_name if line.direction == "out" else None,
            "at": line.at.isoformat(),
            "content": dict(line.content),
            "edited_at": line.edited_at.isoformat() if line.edited_at else None,
            "unsent_at": line.unsent_at.isoformat() if line.unsent_at else None,
            "status": status,
            "external_id": line.external_id,
            "client_id": line.client_id,
            "reactions": [{"by": reaction["by_kind"], "emoji": reaction["emoji"]} for reaction in line.reactions],
        },
    )


def _status(deliveries: Sequence[DeliveryShown]) -> str | None:
    for delivery in deliveries:
        if delivery["act"] == "message":
            return delivery["status"]
    return None
