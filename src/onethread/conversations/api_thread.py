"""The route of the thread: everything that happened with a customer, with what was said."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request

from onethread.access.acting import Acting, needs
from onethread.access.model import Actor
from onethread.conversations.api_shapes import Limit, house_of
from onethread.conversations.queries import inbox, messages
from onethread.conversations.queries.messages import MessageLine
from onethread.customers import queries as customers
from onethread.kernel.errors import NotFound
from onethread.kernel.ids import ConversationId, CustomerId, EventId, MessageId
from onethread.platform.db import Tx
from onethread.platform.events.model import Event
from onethread.platform.wire import EventShape, Page, read_cursor, shown, write_cursor

routes = APIRouter()

_SAID: Final = frozenset({"MessageReceived", "MessageSent", "NoteAdded"})


class ThreadLine(EventShape):
    """An event of the thread; where something was said, the message as it is now. Others name it by its id."""

    message: MessageLine | None = None


class ThreadPage(Page[ThreadLine]):
    """A page of the thread; `customer_id` is what the id asked for stands for now."""

    customer_id: CustomerId


@routes.get(
    "/customers/{customer_id}/thread", operation_id="get_customer_thread", openapi_extra=needs("customers.read")
)
async def get_customer_thread(
    request: Request,
    actor: Acting,
    customer_id: CustomerId,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
) -> ThreadPage:
    """Show everything that happened with a customer on every channel, the newest first."""
    actor.require("customers.read")
    before = read_cursor(cursor, tuple[datetime, EventId])
    async with house_of(request).database.transaction() as tx:
        current = await customers.current_id(tx, customer_id)
        if current is None:
            raise NotFound("There is no such customer.")
        events = await customers.thread(tx, current, before=before, limit=limit + 1, brands=actor.brands)
        lines = await _with_messages(tx, actor, events[:limit])
    more = events[limit - 1] if len(events) > limit else None
    place = write_cursor((more.occurred_at, more.id)) if more else None
    return ThreadPage(items=lines, next=place, customer_id=current)


async def _with_messages(tx: Tx, actor: Actor, events: Sequence[Event]) -> list[ThreadLine]:
    """Add what was said, as far as the actor may read it; a fixed number of statements."""
    named = {event.seq: MessageId(UUID(str(event.payload["message_id"]))) for event in events if event.type in _SAID}
    said = {line.id: line for line in await messages.lines(tx, sorted(set(named.values())))} if named else {}
    readable = await _readable(tx, actor, {line.conversation_id for line in said.values()})
    lines = []
    for event in events:
        line = said.get(named[event.seq]) if event.seq in named else None
        readable_line = line if line is not None and line.conversation_id in readable else None
        lines.append(ThreadLine(**dict(shown(event)), message=readable_line))
    return lines


async def _readable(tx: Tx, actor: Actor, ids: set[ConversationId]) -> set[ConversationId]:
    """Return the conversations whose words the actor may read."""
    if not actor.may("conversations.read"):
        return set()
    rows = await inbox.rows(tx, sorted(ids)) if ids else []
    return {row.id for row in rows if actor.sees(row.brand_id, row.team_id, row.assignee_id)}
