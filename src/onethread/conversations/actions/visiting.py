"""The way every act begins and ends: find and lock the conversation, tell what was done."""

from datetime import datetime

from onethread.access.model import Actor
from onethread.conversations.queries import inbox, screens
from onethread.conversations.queries.inbox import InboxRow
from onethread.conversations.store import conversations as store
from onethread.conversations.store.conversations import Locked
from onethread.kernel.errors import NotFound
from onethread.kernel.ids import ConversationId
from onethread.platform.db import Tx
from onethread.platform.events import log as events
from onethread.platform.events.model import EventDraft, Fact


async def visit(tx: Tx, actor: Actor, conversation_id: ConversationId) -> Locked:
    """Return the conversation, locked; a joined one leads to the one it went into.

    Raises NotFound for what is not there and for what the actor may not know of.
    """
    actor.require("conversations.read")
    row = None
    current = await screens.current_id(tx, conversation_id)
    while row is None and current is not None:
        row = (await store.lock_rows(tx, [current])).get(current)
        if row is None:  # joined into another one while we waited for the lock
            current, before = await screens.current_id(tx, conversation_id), current
            current = None if current == before else current
    if row is None or not actor.sees(row.brand_id, row.team_id, row.assignee_id):
        raise NotFound("There is no such conversation.")
    return row


async def look(tx: Tx, actor: Actor, conversation_id: ConversationId) -> InboxRow:
    """Return the conversation as the inbox shows it. Raises NotFound like `visit`."""
    actor.require("conversations.read")
    current = await screens.current_id(tx, conversation_id)
    rows = [] if current is None else await inbox.rows(tx, [current])
    if not rows or not actor.sees(rows[0].brand_id, rows[0].team_id, rows[0].assignee_id):
        raise NotFound("There is no such conversation.")
    return rows[0]


async def announce(tx: Tx, actor: Actor, row: Locked, fact: Fact, now: datetime) -> None:
    """Tell what an actor did with a conversation."""
    draft = EventDraft(
        fact,
        occurred_at=now,
        by=actor.by,
        identifier_id=row.identifier_id,
        conversation_id=row.conversation_id,
        brand_id=row.brand_id,
    )
    await events.append(tx, [draft])
