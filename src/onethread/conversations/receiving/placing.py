"""Where messages go: answered, running, just closed or new; then written down in sets."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from onethread.channels.contract import Content, Media
from onethread.conversations.events import ConversationOpened, ConversationReopened, MessageReceived
from onethread.conversations.model import Candidate, Continue, MessageDraft, Status, choose_conversation, preview_of
from onethread.conversations.queries import placing as queries
from onethread.conversations.queries.placing import Found, Referred
from onethread.conversations.receiving.batch import Desk, Incoming
from onethread.conversations.store import conversations as conversation_store
from onethread.conversations.store import messages as message_store
from onethread.conversations.store.conversations import Heard, Locked, NewConversation
from onethread.customers import actions as customers
from onethread.customers.model import Recognised
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import AccountId, BrandId, ConversationId, CustomerId, IdentifierId, MessageId, new_id
from onethread.platform.db import Tx
from onethread.platform.events.model import By, EventDraft

People = Mapping[Identifier, Recognised]

_UNREAD_CAP: Final = 30_000


class CustomersMoved(Exception):
    """Customers or conversations changed while the batch was under way: it is to be applied once more."""


@dataclass(slots=True)
class Row:
    """An inbox row while a batch works on it."""

    conversation_id: ConversationId
    brand_id: BrandId
    identifier_id: IdentifierId
    status: Status
    last_seq: int
    unread: int
    waiting_since: datetime | None
    last_message_at: datetime
    last: Incoming | None = None
    last_by: IdentifierId | None = None
    opened: str | None = None
    woken: str | None = None
    subject: str = ""
    number: int = 0


@dataclass(slots=True)
class Board:
    """Everything the fold over a batch reads and changes."""

    candidates: dict[CustomerId, list[Candidate]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[ConversationId, Row] = field(default_factory=dict)
    drafts: list[MessageDraft] = field(default_factory=list)


async def place(
    tx: Tx,
    desk: Desk,
    *,
    messages: Sequence[Incoming],
    people: People,
    answered: Mapping[int, Found],
    referred: Sequence[Referred],
    now: datetime,
) -> list[EventDraft]:
    """Write new messages into their conversations; return what is to be announced.

    `answered` holds, by receipt, the conversation a message proved to answer.
    """
    messages = _new_ones(messages, referred, people)
    if not messages:
        return []
    board = await _board(tx, desk, messages=messages, people=people, answered=answered, now=now)
    by_external = {(one.account_id, one.external_id): one.message_id for one in referred}
    for incoming in messages:
        told = ((incoming.account.id, one) for one in incoming.came.answers)
        _seat(
            board,
            desk,
            incoming=incoming,
            person=people[incoming.sender],
            answered=answered.get(incoming.receipt.seq),
            answers_id=next((by_external[one] for one in told if one in by_external), None),
            now=now,
        )
    await _write(tx, board)
    return _news(board)


def _new_ones(messages: Sequence[Incoming], referred: Sequence[Referred], people: People) -> list[Incoming]:
    """Drop what is there already; a different message under a used id gets an id of its own."""
    known = {(one.account_id, one.external_id): one for one in referred if one.direction == "in"}
    first: dict[tuple[AccountId, str], Incoming] = {}
    fresh = []
    for incoming in messages:
        key = (incoming.account.id, incoming.came.external_id)
        before, beside = known.get(key), first.get(key)
        if before is not None and _is_same(before, incoming, people):
            continue
        if beside is not None and _says_the_same(beside, incoming):
            continue
        fresh.append(incoming if before is None and beside is None else _under_its_own_id(incoming))
        first.setdefault(key, incoming)
    return fresh


def _under_its_own_id(incoming: Incoming) -> Incoming:
    external_id = f"{incoming.came.external_id}#{incoming.receipt.seq}"
    return replace(incoming, came=replace(incoming.came, external_id=external_id))


def _says_the_same(one: Incoming, other: Incoming) -> bool:
    return one.sender == other.sender and one.came.content.text == other.came.content.text


def _is_same(before: Referred, incoming: Incoming, people: People) -> bool:
    same_sender = before.identifier_id == people[incoming.sender].identifier_id
    return same_sender and (before.text or "") == incoming.came.content.text


async def _board(
    tx: Tx,
    desk: Desk,
    *,
    messages: Sequence[Incoming],
    people: People,
    answered: Mapping[int, Found],
    now: datetime,
) -> Board:
    """Load, and lock in the order of ids, every conversation the batch may continue."""
    everybody = {people[one.sender].customer_id: people[one.sender] for one in messages}
    closed_after = now - max(desk.rules(one.account.brand_id).reopen for one in messages)
    strangers = {customer_id for customer_id, person in everybody.items() if person.fresh}
    acquainted = [customer_id for customer_id in everybody if customer_id not in strangers]
    found = await queries.continuable(tx, acquainted, closed_after=closed_after) if acquainted else []
    running = {(one.customer_id, one.brand_id) for one in found}
    seeking = {(people[one.sender].customer_id, one.account.brand_id) for one in messages}
    idle = sorted({customer_id for customer_id, _ in seeking - running} - strangers)
    if idle:
        # Nobody else may open a conversation for them meanwhile: lock, then look again.
        current = await customers.lock_customers(tx, idle)
        if any(now_id != id_ for id_, now_id in current.items()):
            raise CustomersMoved
        found += await queries.continuable(tx, idle, closed_after=closed_after)
    board = Board()
    everything = {one.id: one for one in [*found, *answered.values()]}
    locked = await conversation_store.lock_rows(tx, list(everything)) if everything else {}
    if any(id_ not in locked or locked[id_].status != one.status for id_, one in everything.items()):
        raise CustomersMoved  # closed, joined or brought back while we waited for the lock
    for one in everything.values():
        if (row := locked.get(one.id)) is not None:
            board.rows[one.id] = _row(row)
            board.candidates[one.customer_id].append(_candidate(one, row))
    return board


def _row(locked: Locked) -> Row:
    return Row(
        conversation_id=locked.conversation_id,
        brand_id=locked.brand_id,
        identifier_id=locked.identifier_id,
        status=locked.status,
        last_seq=locked.last_seq,
        unread=locked.unread,
        waiting_since=locked.waiting_since,
        last_message_at=locked.last_message_at,
    )


def _candidate(found: Found, row: Locked) -> Candidate:
    return Candidate(found.id, found.brand_id, row.status, found.closed_at, row.last_message_at)


def _seat(
    board: Board,
    desk: Desk,
    *,
    incoming: Incoming,
    person: Recognised,
    answered: Found | None,
    answers_id: MessageId | None,
    now: datetime,
) -> None:
    """Choose the conversation of one message and note everything that follows from it."""
    row = _choose(board, desk, incoming=incoming, person=person, answered=answered, now=now)
    _count(row, incoming, person, now)
    board.drafts.append(_draft(row, incoming, person, answers_id))


def _choose(
    board: Board, desk: Desk, *, incoming: Incoming, person: Recognised, answered: Found | None, now: datetime
) -> Row:
    """Return the row a message belongs to: continued, brought back or new."""
    came, account = incoming.came, incoming.account
    candidates = board.candidates[person.customer_id]
    if answered is not None and answered.id in board.rows:
        row = board.rows[answered.id]
        candidates = [Candidate(answered.id, answered.brand_id, row.status, answered.closed_at, row.last_message_at)]
    chosen = choose_conversation(
        candidates,
        brand_id=account.brand_id,
        answered=answered.id if answered is not None else None,
        automatic=came.automatic,
        reopen=desk.rules(account.brand_id).reopen,
        now=now,
    )
    if not isinstance(chosen, Continue):
        return _open(board, incoming, person, now, closed=chosen.closed, why=chosen.why)
    row = board.rows[chosen.conversation_id]
    if chosen.wakes:
        row.status, row.woken = "open", chosen.why
        _refresh(board, person.customer_id, row)
    return row


def _count(row: Row, incoming: Incoming, person: Recognised, now: datetime) -> None:
    """Let the row hear a message: it is its last one, and unread unless no person wrote it."""
    row.last_seq += 1
    row.last, row.last_by = incoming, person.identifier_id
    row.last_message_at = max(row.last_message_at, now)
    if not incoming.came.automatic:
        row.unread = min(row.unread + 1, _UNREAD_CAP)
        row.waiting_since = row.waiting_since or now


def _draft(row: Row, incoming: Incoming, person: Recognised, answers_id: MessageId | None) -> MessageDraft:
    """Return the message as it is written down, in the place the row just gave it."""
    came, account = incoming.came, incoming.account
    return MessageDraft(
        id=MessageId(new_id()),
        conversation_id=row.conversation_id,
        seq=row.last_seq,
        direction="in",
        content=came.content,
        at=came.at,
        channel=account.channel,
        account_id=account.id,
        identifier_id=person.identifier_id,
        author_name=came.sender.name or person.name,
        external_id=came.external_id,
        answers_id=answers_id,
        trust=came.trust,
        trust_reason=came.trust_reason or None,
        automatic=came.automatic,
        receipt_seq=incoming.receipt.seq,
        fetch=_to_fetch(came.content),
    )


def _refresh(board: Board, customer_id: CustomerId, row: Row) -> None:
    """Let later messages of the batch see what earlier ones did to a conversation."""
    board.candidates[customer_id] = [
        replace(one, status=row.status, closed_at=None) if one.id == row.conversation_id else one
        for one in board.candidates[customer_id]
    ]


def _open(board: Board, incoming: Incoming, person: Recognised, now: datetime, *, closed: bool, why: str) -> Row:
    row = Row(
        conversation_id=ConversationId(new_id()),
        brand_id=incoming.account.brand_id,
        identifier_id=person.identifier_id,
        status="closed" if closed else "open",
        last_seq=0,
        unread=0,
        waiting_since=None,
        last_message_at=now,
        opened=why,
        subject=incoming.came.content.subject or "",
    )
    board.rows[row.conversation_id] = row
    board.candidates[person.customer_id].append(
        Candidate(
            row.conversation_id, incoming.account.brand_id, row.status, now if closed else None, row.last_message_at
        )
    )
    return row


def _to_fetch(content: Content) -> tuple[Media, ...]:
    return tuple(media for media in content.media if not media.ref.startswith("file:"))


async def _write(tx: Tx, board: Board) -> None:
    opened = [row for row in board.rows.values() if row.opened is not None]
    if opened:
        numbers = await conversation_store.insert_conversations(tx, [_new(row) for row in opened])
        for row in opened:
            row.number = numbers[row.conversation_id]
    woken = [row.conversation_id for row in board.rows.values() if row.woken is not None]
    if woken:
        await conversation_store.wake(tx, woken)
    await message_store.insert_messages(tx, board.drafts)
    await conversation_store.write_heard(tx, [_heard(row, row.last) for row in board.rows.values() if row.last])
    wanted = [
        (draft.id, position, draft.account_id, draft.receipt_seq)
        for draft in board.drafts
        for position, media in enumerate(draft.content.media)
        if media in draft.fetch and draft.account_id is not None and draft.receipt_seq is not None
    ]
    if wanted:
        await message_store.want_media(tx, wanted)
        tx.ring("media")


def _new(row: Row) -> NewConversation:
    assert row.last is not None
    return NewConversation(
        id=row.conversation_id,
        brand_id=row.last.account.brand_id,
        identifier_id=row.identifier_id,
        subject=row.subject,
        status=row.status,
        opened_at=row.last_message_at,
        last_message_at=row.last_message_at,
    )


def _heard(row: Row, last: Incoming) -> Heard:
    return Heard(
        conversation_id=row.conversation_id,
        status=row.status,
        last_seq=row.last_seq,
        unread=row.unread,
        waiting_since=row.waiting_since,
        last_message_at=row.last_message_at,
        last_text=preview_of(last.came.content),
        last_direction="in",
        last_channel=last.account.channel,
        answer_identifier_id=row.last_by,
        answer_account_id=last.account.id,
    )


def _news(board: Board) -> list[EventDraft]:
    """Say what happened, each conversation's opening before its first message."""
    news = []
    told: set[ConversationId] = set()
    for draft in board.drafts:
        row = board.rows[draft.conversation_id]
        if row.conversation_id not in told:
            told.add(row.conversation_id)
            if row.opened is not None:
                news.append(_beginning(ConversationOpened(row.number, row.opened), row, draft.at))
            elif row.woken is not None:
                news.append(_beginning(ConversationReopened(row.woken), row, draft.at))
        news.append(
            EventDraft(
                MessageReceived(draft.id, draft.seq, draft.automatic),
                occurred_at=draft.at,
                by=By("customer", draft.identifier_id),
                identifier_id=draft.identifier_id,
                conversation_id=draft.conversation_id,
                brand_id=row.brand_id,
                channel=draft.channel,
            )
        )
    return news


def _beginning(fact: ConversationOpened | ConversationReopened, row: Row, at: datetime) -> EventDraft:
    """Return what a message brought about, of its moment; the smaller id puts it before the message."""
    return EventDraft(
        fact,
        occurred_at=at,
        by=By("customer", row.identifier_id),
        identifier_id=row.identifier_id,
        conversation_id=row.conversation_id,
        brand_id=row.brand_id,
    )
