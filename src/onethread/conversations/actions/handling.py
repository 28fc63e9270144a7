"""Handle a conversation: join, split, read, draft, and wake it when its snooze is over."""

from collections.abc import Sequence
from datetime import datetime

from onethread.access.model import Actor
from onethread.channels.contract import Content
from onethread.conversations.actions.changing import SUBJECT_MOST
from onethread.conversations.actions.visiting import announce, visit
from onethread.conversations.events import (
    ConversationOpened,
    ConversationRead,
    ConversationReopened,
    ConversationsJoined,
    ConversationSplit,
    DraftChanged,
)
from onethread.conversations.model import pack
from onethread.conversations.queries import screens
from onethread.conversations.receiving.acts import delivery_news
from onethread.conversations.sender import BELL
from onethread.conversations.store import conversations as store
from onethread.conversations.store import deliveries as delivery_store
from onethread.conversations.store import messages as message_store
from onethread.conversations.store.conversations import Locked, NewConversation
from onethread.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from onethread.kernel.ids import (
    ConversationId,
    DeliveryId,
    MessageId,
    new_id,
)
from onethread.platform.db import Tx
from onethread.platform.events import log as events
from onethread.platform.events.model import BY_SYSTEM, EventDraft


async def wake_due(tx: Tx, now: datetime, *, limit: int = 200) -> int:
    """Bring back the conversations whose snooze is over; return how many."""
    woken = await store.wake_due(tx, now=now, limit=limit)
    await events.append(
        tx,
        [
            EventDraft(
                ConversationReopened("Its snooze is over."),
                occurred_at=now,
                by=BY_SYSTEM,
                identifier_id=identifier_id,
                conversation_id=id_,
                brand_id=brand_id,
            )
            for id_, brand_id, identifier_id in woken
        ],
    )
    return len(woken)


async def mark_read(tx: Tx, actor: Actor, conversation_id: ConversationId, *, upto: int, now: datetime) -> None:
    """Note that an agent has read the messages up to `upto` (their place in the conversation).

    Nothing is unread for the team any more once somebody has read it who could answer; whoever may only look
    keeps a mark of their own. Raises NotAllowed for a key: it reads for nobody.
    """
    if actor.agent_id is None:
        raise NotAllowed("Only an agent can have read something: a key reads for nobody.")
    row = await visit(tx, actor, conversation_id)
    upto = min(upto, row.last_seq)
    serves = actor.may("conversations.reply") or actor.may("conversations.handle")
    if await store.mark_read(tx, row.conversation_id, actor.agent_id, upto=upto, for_all=serves):
        await announce(tx, actor, row, ConversationRead(actor.agent_id, upto), now)


async def join(
    tx: Tx, actor: Actor, conversation_id: ConversationId, into_id: ConversationId, now: datetime
) -> ConversationId:
    """Move everything of a conversation behind another one of the same customer; its id goes on resolving."""
    actor.require("conversations.handle")
    source, target = await _both(tx, actor, conversation_id, into_id)
    if not await screens.same_customer(tx, source.identifier_id, target.identifier_id):
        raise Conflict("These are of two customers. Join the customers first, if they are one person.")
    if source.brand_id != target.brand_id:
        raise Conflict("These are of two brands; each brand keeps its own conversations.")
    await message_store.move_messages(
        tx,
        from_id=source.conversation_id,
        into_id=target.conversation_id,
        ids=None,
        after_seq=target.last_seq,
    )
    await store.mark_joined(tx, source.conversation_id, target.conversation_id, at=now)
    await store.recount(tx, [target.conversation_id])
    if source.status == "open" and target.status != "open":
        await store.wake(tx, [target.conversation_id])
        await announce(tx, actor, target, ConversationReopened("An open conversation was joined into it."), now)
    await message_store.empty_draft(tx, source.conversation_id)
    await announce(tx, actor, source, ConversationsJoined(target.conversation_id), now)
    return target.conversation_id


async def split(
    tx: Tx,
    actor: Actor,
    conversation_id: ConversationId,
    message_ids: Sequence[MessageId],
    *,
    subject: str,
    now: datetime,
) -> ConversationId:
    """Move some messages into a conversation of their own; return it."""
    actor.require("conversations.handle")
    row = await visit(tx, actor, conversation_id)
    theirs = await screens.messages_of(tx, row.conversation_id, message_ids)
    if len(theirs) != len(set(message_ids)) or not theirs:
        raise Invalid("These are not all messages of this conversation.", field="message_ids")
    if len(theirs) == await screens.message_count(tx, row.conversation_id):
        raise Invalid("Leave at least one message behind.", field="message_ids")
    anchor = next((one.identifier_id for one in theirs if one.identifier_id is not None), row.identifier_id)
    new_one = ConversationId(new_id())
    numbers = await store.insert_conversations(
        tx, [NewConversation(new_one, row.brand_id, anchor, subject.strip()[:SUBJECT_MOST], "open", now, now)]
    )
    await message_store.move_messages(
        tx, from_id=row.conversation_id, into_id=new_one, ids=[one.id for one in theirs], after_seq=0
    )
    await store.recount(tx, [row.conversation_id, new_one])
    opened = (await store.lock_rows(tx, [new_one]))[new_one]
    why = f"{actor.name} split it off."
    await announce(tx, actor, opened, ConversationOpened(numbers[new_one], why), now)
    await announce(tx, actor, row, ConversationSplit(new_one, len(theirs)), now)
    return new_one


async def save_draft(
    tx: Tx, actor: Actor, conversation_id: ConversationId, content: Content, *, seen: int, now: datetime
) -> int:
    """Save the draft colleagues share, over the version one has seen (0 for none); return its new version.

    Empty content throws it away. Raises Conflict when somebody else was quicker: load it and look.
    """
    actor.require("conversations.reply")
    row = await visit(tx, actor, conversation_id)
    packed = pack(content)
    version = await message_store.save_draft(tx, row.conversation_id, packed, by=actor.by, seen=seen)
    if version is None:
        raise Conflict("Somebody else changed this draft meanwhile.", field="version")
    await announce(tx, actor, row, DraftChanged(version, empty=not packed), now)
    return version


async def retry_delivery(tx: Tx, actor: Actor, delivery_id: DeliveryId, now: datetime) -> None:
    """Send a failed delivery once more."""
    actor.require("conversations.reply")
    conversation_id = await screens.conversation_of_delivery(tx, delivery_id)
    if conversation_id is None:
        raise NotFound("There is no such delivery.")
    await visit(tx, actor, conversation_id)
    moved = await delivery_store.requeue(tx, delivery_id)
    if moved is None:
        raise Conflict("Only a delivery that failed can be sent again.")
    await events.append(tx, delivery_news([moved], now))
    tx.ring(BELL)


async def _both(tx: Tx, actor: Actor, one_id: ConversationId, other_id: ConversationId) -> tuple[Locked, Locked]:
    """Visit two conversations in the order of their ids."""
    if one_id == other_id:
        raise Invalid("A conversation cannot be joined with itself.", field="into")
    rows = {id_: await visit(tx, actor, id_) for id_ in sorted((one_id, other_id))}
    if rows[one_id].conversation_id == rows[other_id].conversation_id:
        raise Conflict("They are one conversation already.")
    return rows[one_id], rows[other_id]
