"""Say something: answers, first messages, notes, edits, and taking it back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from onethread.access.model import Actor
from onethread.channels.contract import Content
from onethread.conversations.actions.reaching import Way, choose_way, require_speaker, ways_to
from onethread.conversations.actions.visiting import announce, visit
from onethread.conversations.events import (
    ConversationOpened,
    ConversationReopened,
    DraftChanged,
    MessageEdited,
    MessageSent,
    MessageUnsent,
    NoteAdded,
    ReactionChanged,
)
from onethread.conversations.model import (
    Candidate,
    CannotSend,
    Continue,
    MessageDraft,
    Purpose,
    choose_conversation,
    decide_send,
    preview_of,
    unpack,
)
from onethread.conversations.queries import addresses, placing, screens
from onethread.conversations.receiving.batch import Desk
from onethread.conversations.sender import BELL
from onethread.conversations.store import conversations as conversation_store
from onethread.conversations.store import deliveries as delivery_store
from onethread.conversations.store import messages as message_store
from onethread.conversations.store.conversations import Heard, Locked, NewConversation
from onethread.conversations.store.deliveries import NewDelivery
from onethread.customers import actions as customers
from onethread.customers.model import Sighting
from onethread.kernel.errors import Conflict, Invalid, NotFound
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import (
    AccountId,
    AgentId,
    BrandId,
    ConversationId,
    DeliveryId,
    IdentifierId,
    MessageId,
    new_id,
)
from onethread.kernel.text import one_line
from onethread.platform.db import Tx
from onethread.platform.events import log as events
from onethread.platform.events.model import EventDraft

_UNSENT: Final = "This message was taken back already."


@dataclass(frozen=True, slots=True)
class Say:
    """What somebody wants to say, and how, as far as they care.

    `to` and `over` choose an address and an account; else the customer's last way is taken.
    `hold` is how long the message waits so that it can be taken back; left open, letters wait for
    `hold_letters` and chats leave at once. `client_id` makes a repeat harmless.
    """

    content: Content
    to: Identifier | None = None
    over: AccountId | None = None
    answers: MessageId | None = None
    purpose: Purpose = "service"
    hold: timedelta | None = None
    hold_letters: timedelta = timedelta(0)
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message that was written down, with the delivery that is to carry it (none for a note)."""

    conversation_id: ConversationId
    message_id: MessageId
    delivery_id: DeliveryId | None


async def send(tx: Tx, actor: Actor, desk: Desk, conversation_id: ConversationId, say: Say, now: datetime) -> Spoken:
    """Answer in a conversation over the channel the customer used last, or the one asked for.

    Raises CannotSend with the reason in words, and with the ways that are open.
    """
    actor.require("conversations.reply")
    row = await visit(tx, actor, conversation_id)
    if (before := await _said_before(tx, actor, say)) is not None:
        return before
    desired = await addresses.answering(tx, row.conversation_id)
    if desired is None:
        raise NotFound("There is no such conversation.")
    ways = await ways_to(tx, desk, desired.customer_id, row.brand_id, now, purpose=say.purpose)
    to = await _identifier_id(tx, say.to) if say.to is not None else None
    if say.to is not None:
        require_speaker(desk, say.to.kind, row.brand_id)
    if say.to is not None and to is None:
        raise CannotSend(f"{say.to} is not an address of this customer.")
    way = choose_way(ways, desired, to=to, over=say.over)
    content = say.content
    channel = desk.channels[way.account.channel]
    if channel.declaration.capabilities.subject and content.subject is None:
        # A conversation that began in a chat has none: its letters keep that of the first one, or they fall apart.
        said = desired.subject or await addresses.last_subject(tx, row.conversation_id)
        content = replace(content, subject=said or one_line(content.text, most=60) or None)
    decide_send(content, way.reach, channel.declaration)
    hold = say.hold
    if hold is None:
        hold = say.hold_letters if channel.declaration.capabilities.subject else timedelta(0)
    return await _write(tx, actor, row=row, way=way, say=replace(say, content=content, hold=hold), now=now)


async def start(
    tx: Tx, actor: Actor, desk: Desk, brand_id: BrandId, say: Say, now: datetime, *, name: str | None = None
) -> Spoken:
    """Write first: to an identifier, in what the customer has open or in a new conversation."""
    actor.require("conversations.start")
    actor.require_brand(brand_id)
    if say.to is None:
        raise Invalid("Say whom to write to.", field="to")
    if (before := await _said_before(tx, actor, say)) is not None:
        return before
    person = (await customers.recognise(tx, [Sighting(say.to, name, None, now)]))[say.to]
    await customers.lock_customers(tx, [person.customer_id])
    rules = desk.rules(brand_id)
    found = await placing.continuable(tx, [person.customer_id], closed_after=now - rules.reopen)
    rows = await conversation_store.lock_rows(tx, [one.id for one in found])
    chosen = choose_conversation(
        [
            Candidate(one.id, one.brand_id, rows[one.id].status, one.closed_at, rows[one.id].last_message_at)
            for one in found
            if one.id in rows
        ],
        brand_id=brand_id,
        answered=None,
        automatic=False,
        reopen=rules.reopen,
        now=now,
    )
    if isinstance(chosen, Continue):
        conversation_id = chosen.conversation_id
    else:
        conversation_id = await _open(
            tx,
            actor,
            brand_id=brand_id,
            identifier_id=person.identifier_id,
            subject=say.content.subject or "",
            now=now,
        )
    return await send(tx, actor_for(actor), desk, conversation_id, say, now)


def actor_for(actor: Actor) -> Actor:
    """Whoever may start a conversation may say its first word."""
    return replace(actor, permissions=actor.permissions | {"conversations.reply", "conversations.read"}, teams=None)


async def add_note(
    tx: Tx,
    actor: Actor,
    conversation_id: ConversationId,
    text: str,
    now: datetime,
    *,
    mentions: Sequence[AgentId] = (),
    client_id: str | None = None,
) -> Spoken:
    """Write what only colleagues see."""
    actor.require("conversations.note")
    if not text.strip():
        raise Invalid("A note needs a text.", field="text")
    row = await visit(tx, actor, conversation_id)
    say = Say(Content(text=text), client_id=client_id)
    if (before := await _said_before(tx, actor, say)) is not None:
        return before
    draft = _draft(actor, row, say, now, direction="note", way=None)
    await message_store.insert_messages(tx, [draft])
    await conversation_store.write_heard(tx, [_heard(row, draft, unread=row.unread, waiting=row.waiting_since)])
    await announce(tx, actor, row, NoteAdded(draft.id, draft.seq, tuple(mentions)), now)
    return Spoken(row.conversation_id, draft.id, None)


async def take_back(tx: Tx, actor: Actor, message_id: MessageId, now: datetime) -> Content:
    """Undo a message that has not left yet; return what it said. Raises Conflict when it has left."""
    actor.require("conversations.reply")
    message = await screens.message_place(tx, message_id)
    if message is None or message.direction != "out":
        raise NotFound("There is no such message of ours.")
    row = await visit(tx, actor, message.conversation_id)
    if message.unsent:
        raise Conflict(_UNSENT)
    if not await delivery_store.cancel_queued(tx, message_id):
        raise Conflict("It has left already and cannot be taken back.")
    content = unpack(message.content)
    await message_store.forget_content(tx, message_id, at=now)
    await message_store.refresh_preview(tx, row.conversation_id, message.seq, "")
    await announce(tx, actor, row, MessageUnsent(message_id), now)
    return content


async def edit(tx: Tx, actor: Actor, desk: Desk, message_id: MessageId, text: str, now: datetime) -> None:
    """Change the words of a message of ours, where its channel can."""
    message, row, way = await _carried(tx, actor, desk, message_id, "edit")
    content = replace(unpack(message.content), text=text, html=None)
    if not await message_store.replace_content(tx, message_id, content, at=now):
        raise Conflict(_UNSENT)
    await message_store.refresh_preview(tx, row.conversation_id, message.seq, preview_of(content))
    await delivery_store.insert_deliveries(tx, [_act(message_id, way, now, "edit")])
    tx.ring(BELL)
    await announce(tx, actor, row, MessageEdited(message_id), now)


async def unsend(tx: Tx, actor: Actor, desk: Desk, message_id: MessageId, now: datetime) -> None:
    """Remove a message of ours from the customer's screen and from here, where its channel can."""
    message, row, way = await _carried(tx, actor, desk, message_id, "unsend")
    never_left = await delivery_store.cancel_queued(tx, message_id)
    if not await message_store.forget_content(tx, message_id, at=now):
        return
    await message_store.refresh_preview(tx, row.conversation_id, message.seq, "")
    if not never_left:
        await delivery_store.insert_deliveries(tx, [_act(message_id, way, now, "unsend")])
    tx.ring(BELL)
    await announce(tx, actor, row, MessageUnsent(message_id), now)


async def react(tx: Tx, actor: Actor, desk: Desk, message_id: MessageId, emoji: str | None, now: datetime) -> None:
    """Set or (None) take back our reaction to a message, where its channel can."""
    if actor.id is None:
        raise Invalid("Only somebody in person can react.")
    _, row, way = await _carried(tx, actor, desk, message_id, "reaction")
    await message_store.set_reaction(tx, message_id, by_kind=actor.kind, by_id=actor.id, emoji=emoji, at=now)
    await delivery_store.insert_deliveries(tx, [replace(_act(message_id, way, now, "reaction"), emoji=emoji)])
    tx.ring(BELL)
    await announce(tx, actor, row, ReactionChanged(message_id, emoji), now)


async def _carried(
    tx: Tx, actor: Actor, desk: Desk, message_id: MessageId, act: str
) -> tuple[screens.MessagePlace, Locked, screens.MessagePlace]:
    """Find a message whose channel can do this to it. Raises CannotSend when it cannot."""
    actor.require("conversations.reply")
    message = await screens.message_place(tx, message_id)
    if message is None or message.direction == "note" or (message.direction != "out" and act != "reaction"):
        raise NotFound("There is no such message.")
    row = await visit(tx, actor, message.conversation_id)
    if message.unsent:
        raise Conflict(_UNSENT)
    channel = desk.channels.get(message.channel or "")
    if channel is None or message.account_id is None or act not in channel.declaration.capabilities.says:
        title = channel.declaration.title if channel else "This channel"
        raise CannotSend(f"{title} cannot carry: {act}.")
    return message, row, message


def _act(message_id: MessageId, way: screens.MessagePlace, now: datetime, act: str) -> NewDelivery:
    assert way.account_id is not None
    assert way.identifier_id is not None
    assert way.channel is not None
    return NewDelivery(
        id=DeliveryId(new_id()),
        message_id=message_id,
        account_id=way.account_id,
        channel=way.channel,
        identifier_id=way.identifier_id,
        due_at=now,
        act="edit" if act == "edit" else "unsend" if act == "unsend" else "reaction",
    )


async def _said_before(tx: Tx, actor: Actor, say: Say) -> Spoken | None:
    """Return what an earlier try with the same client id said."""
    if say.client_id is None or actor.id is None:
        return None
    before = await screens.message_by_client_id(tx, actor.id, say.client_id)
    return None if before is None else Spoken(before.conversation_id, before.id, before.delivery_id)


async def _identifier_id(tx: Tx, identifier: Identifier) -> IdentifierId | None:
    return await screens.identifier_id(tx, identifier)


async def _write(tx: Tx, actor: Actor, *, row: Locked, way: Way, say: Say, now: datetime) -> Spoken:
    draft = _draft(actor, row, say, now, direction="out", way=way)
    await message_store.insert_messages(tx, [draft])
    delivery = NewDelivery(
        id=DeliveryId(new_id()),
        message_id=draft.id,
        account_id=way.account.id,
        channel=way.account.channel,
        identifier_id=way.identifier.id,
        due_at=now + (say.hold or timedelta(0)),
    )
    await delivery_store.insert_deliveries(tx, [delivery])
    if row.status != "open":
        await conversation_store.wake(tx, [row.conversation_id])
        await announce(tx, actor, row, ConversationReopened("We wrote in it."), now)
    await conversation_store.write_heard(tx, [_heard(row, draft, unread=0, waiting=None)])
    if (version := await message_store.empty_draft(tx, row.conversation_id)) is not None:
        await announce(tx, actor, row, DraftChanged(version, empty=True), now)
    sent = EventDraft(
        MessageSent(draft.id, draft.seq),
        occurred_at=now,
        by=actor.by,
        identifier_id=way.identifier.id,
        conversation_id=row.conversation_id,
        brand_id=row.brand_id,
        channel=way.account.channel,
    )
    await events.append(tx, [sent])
    tx.ring(BELL)
    return Spoken(row.conversation_id, draft.id, delivery.id)


def _draft(actor: Actor, row: Locked, say: Say, now: datetime, *, direction: str, way: Way | None) -> MessageDraft:
    return MessageDraft(
        id=MessageId(new_id()),
        conversation_id=row.conversation_id,
        seq=row.last_seq + 1,
        direction="note" if direction == "note" else "out",
        content=say.content,
        at=now,
        channel=way.account.channel if way else None,
        account_id=way.account.id if way else None,
        identifier_id=way.identifier.id if way else None,
        author_kind=actor.kind,
        author_id=actor.id,
        # A machine's name is ours to know: the customer hears the brand.
        author_name=actor.name if actor.agent_id is not None else None,
        answers_id=say.answers,
        purpose=say.purpose,
        client_id=say.client_id,
    )


def _heard(row: Locked, draft: MessageDraft, *, unread: int, waiting: datetime | None) -> Heard:
    return Heard(
        conversation_id=row.conversation_id,
        status="open" if draft.direction == "out" else row.status,
        last_seq=draft.seq,
        unread=unread,
        waiting_since=waiting,
        last_message_at=max(row.last_message_at, draft.at),
        last_text=preview_of(draft.content),
        last_direction=draft.direction,
        last_channel=draft.channel,
        answer_identifier_id=None,
        answer_account_id=None,
    )


async def _open(
    tx: Tx, actor: Actor, *, brand_id: BrandId, identifier_id: IdentifierId, subject: str, now: datetime
) -> ConversationId:
    conversation_id = ConversationId(new_id())
    new = NewConversation(conversation_id, brand_id, identifier_id, subject, "open", now, now)
    numbers = await conversation_store.insert_conversations(tx, [new])
    opened = EventDraft(
        ConversationOpened(numbers[conversation_id], "We wrote first."),
        occurred_at=now,
        by=actor.by,
        identifier_id=identifier_id,
        conversation_id=conversation_id,
        brand_id=brand_id,
    )
    await events.append(tx, [opened])
    return conversation_id
