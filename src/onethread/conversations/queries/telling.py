"""What an event tells the screens: the event with the rows it changed, as they are now.

The rows are the latest, not those of the moment of the event: applying frames in order to a stale
screen, each row replacing what was there, ends at the fresh state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from onethread.conversations.model import COUNT_CAP
from onethread.conversations.queries import inbox, messages
from onethread.conversations.queries.inbox import InboxRow
from onethread.conversations.queries.messages import MessageLine
from onethread.conversations.shown import DeliveryShown, ReactionShown
from onethread.kernel.ids import ConversationId, CustomerId, MessageId
from onethread.platform.db import Tx
from onethread.platform.events.model import Event
from onethread.platform.live import LiveFrame

# Events a visitor's own window hears of; a delivery shows them our message once it is sent.
_VISITOR_HEARS: Final = frozenset(
    {"MessageReceived", "DeliveryChanged", "MessageEdited", "MessageUnsent", "ReactionChanged", "MediaStored"}
)
_LEFT: Final = frozenset({"sent", "delivered", "read"})


# Rows a frame brings along when a whole customer changed; older ones are right once they are loaded again.
_MOST_ROWS: Final = 500
# Messages moved from one conversation to another: screens load both anew.
_MOVES: Final = frozenset({"ConversationsJoined", "ConversationSplit"})


@dataclass(frozen=True, slots=True)
class _Changed:
    """What an event changed, as it is now. `further`: rows beside the event's own conversation."""

    row: InboxRow | None
    line: MessageLine | None
    further: Sequence[InboxRow]


async def frames(tx: Tx, events: Sequence[Event]) -> list[LiveFrame]:
    """Return the frames of a batch of events, with a fixed number of statements."""
    conversation_ids = {id_ for event in events for id_ in (event.conversation_id, _moved_into(event)) if id_}
    message_ids = {id_ for event in events if (id_ := _message_id(event)) is not None}
    customer_ids = {id_ for event in events for id_ in _customer_ids(event)}
    rows = {row.id: row for row in await inbox.rows(tx, sorted(conversation_ids))} if conversation_ids else {}
    lines = {line.id: line for line in await messages.lines(tx, sorted(message_ids))} if message_ids else {}
    theirs: dict[CustomerId, list[InboxRow]] = {}
    if customer_ids:
        for row in await inbox.rows_of_customers(tx, sorted(customer_ids), limit=_MOST_ROWS):
            theirs.setdefault(row.customer_id, []).append(row)
    made = []
    for event in events:
        message_id, into = _message_id(event), _moved_into(event)
        further = [row for id_ in _customer_ids(event) for row in theirs.get(id_, ())]
        if into is not None and into in rows:
            further.append(rows[into])
        changed = _Changed(
            row=rows.get(event.conversation_id) if event.conversation_id is not None else None,
            line=lines.get(message_id) if message_id is not None else None,
            further=further,
        )
        made.append(_for_agents(event, changed))
        if (visitor := _for_visitor(event, changed.line)) is not None:
            made.append(visitor)
    return made


def _message_id(event: Event) -> MessageId | None:
    written = event.payload.get("message_id")
    return MessageId(UUID(written)) if isinstance(written, str) else None


def _moved_into(event: Event) -> ConversationId | None:
    return ConversationId(UUID(str(event.payload["into"]))) if event.type in _MOVES else None


def _customer_ids(event: Event) -> list[CustomerId]:
    """Return the customers who are others now than they were."""
    match event.type:
        case "CustomersMerged" | "CustomerRenamed":
            named = [event.payload["customer_id"]]
        case "CustomerSplit":
            into = event.payload["into"]
            named = [event.payload["customer_id"], *(into if isinstance(into, list) else ())]
        case _:
            named = []
    return [CustomerId(UUID(str(id_))) for id_ in dict.fromkeys(named)]


def _for_agents(event: Event, changed: _Changed) -> LiveFrame:
    data: dict[str, object] = {"event": told(event)}
    if changed.row is not None:
        data["conversation"] = row_shown(changed.row)
    elif event.conversation_id is not None:
        data["gone"] = [str(event.conversation_id)]
    if changed.line is not None:
        data["message"] = msgspec.to_builtins(changed.line)
    if changed.further:
        data["conversations"] = [row_shown(row) for row in changed.further]
    if anew := _to_load_anew(event, changed):
        data["reload"] = anew
    return LiveFrame(topics=_topics(event, changed), seq=event.seq, type=event.type, data=data)


def _to_load_anew(event: Event, changed: _Changed) -> list[str]:
    """Return the conversations many of whose messages look different now."""
    if event.type in _MOVES:
        return [str(event.conversation_id), str(_moved_into(event))]
    if event.type == "CustomerRenamed":
        return [str(row.id) for row in changed.further]
    return []


def _topics(event: Event, changed: _Changed) -> tuple[str, ...]:
    """Say who hears it: the brands, the conversations, and the teams and agents who have or had the work."""
    row = changed.row
    topics = []
    brand_id = event.brand_id or (row.brand_id if row is not None else None)
    if brand_id is not None:
        topics.append(f"brand:{brand_id}")
    if event.conversation_id is not None:
        topics.append(f"conversation:{event.conversation_id}")
    for one in changed.further:
        topics += [f"brand:{one.brand_id}", f"conversation:{one.id}"]
    for one in (*((row,) if row is not None else ()), *changed.further):
        if one.team_id is not None:
            topics.append(f"team:{one.team_id}")
        if one.assignee_id is not None:
            topics.append(f"agent:{one.assignee_id}")
    for kind in ("team", "assignee"):
        if former := event.payload.get(f"before_{kind}_id"):
            topics.append(f"{'agent' if kind == 'assignee' else kind}:{former}")
    if brand_id is None and event.conversation_id is None:
        topics.append("organisation")
    return tuple(dict.fromkeys(topics))


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
    if line.identifier_id is None or not (line.identifier or "").startswith(("visitor:", "visitor@")):
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
            "reactions": [{"by": _side(reaction), "emoji": reaction["emoji"]} for reaction in line.reactions],
        },
    )


def _side(reaction: ReactionShown) -> str:
    """Say from whose side a reaction is: a machine of ours is us."""
    return "customer" if reaction["by_kind"] == "customer" else "agent"


def _status(deliveries: Sequence[DeliveryShown]) -> str | None:
    for delivery in deliveries:
        if delivery["act"] == "message":
            return delivery["status"]
    return None
