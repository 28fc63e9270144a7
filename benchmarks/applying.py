"""Applied: receipts become people, conversations, messages, inbox rows and events; beside bare inserts."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final, LiteralString
from uuid import UUID

import psutil
from psycopg import Connection

from benchmarks.figures import Figure, number
from benchmarks.shop import Shop
from benchmarks.writers import letters
from onethread.adapters.channels.webchat.wire.reading import split_request
from onethread.app.build import House, open_house
from onethread.app.settings import Settings
from onethread.channels import store
from onethread.conversations.receiving.receiver import Receiver
from onethread.customers.matching import customer_born_with
from onethread.kernel.ids import IdentifierId, new_id
from onethread.platform.arrays import ColumnDumper

RUNS: Final = 3
SET: Final = 400  # messages in one transaction, as the receiver takes them
_SIDES: Final = 2  # connections, as the receiver has workers


async def measure(shop: Shop, messages: int) -> list[Figure]:
    """Apply so many waiting messages in this process, with nothing else running, several times over."""
    runs, seconds, ceilings = [], [], []
    async with open_house(Settings(data=shop.data)) as house:
        await house.crew.stop()
        for _ in range(RUNS):
            await _keep(house, shop, messages)
            rate, python = await _apply(house, messages)
            runs.append(rate)
            seconds.append(python)
            ceilings.append(await asyncio.to_thread(_bare, shop, messages))
    rate, ceiling = median(runs), median(ceilings)
    beside = f"bare set INSERTs of such rows, {_SIDES} connections {number(ceiling)}/s ({rate / ceiling:.0%})"
    return [
        Figure(
            "applied",
            "/s",
            runs,
            6_000,
            higher=True,
            ceiling=beside,
            note=f"{median(seconds) * 1e6:.0f} us of Python a message, on one thread",
        ),
        Figure(
            "applied beside its ceiling",
            "%",
            [100 * one / bare for one, bare in zip(runs, ceilings, strict=True)],
            40,
            higher=True,
            ceiling=beside,
        ),
    ]


async def _keep(house: House, shop: Shop, messages: int) -> None:
    drafts = [(shop.account_id, draft) for one in letters(shop, messages) for draft in split_request(one.body)]
    for start in range(0, len(drafts), 500):
        async with house.database.transaction() as tx:
            await store.insert_receipts(tx, drafts[start : start + 500])


async def _apply(house: House, messages: int) -> tuple[float, float]:
    """Return messages a second, and seconds of this process' processor time a message."""
    receiver = Receiver(house.database, house.desks)
    before, started = psutil.Process().cpu_times(), time.perf_counter()
    running = asyncio.create_task(receiver.run())
    while receiver.applied < messages and not running.done():  # noqa: ASYNC110 - the receiver tells nobody
        await asyncio.sleep(0.005)
    took = time.perf_counter() - started
    after = psutil.Process().cpu_times()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return messages / took, (after.user + after.system - before.user - before.system) / messages


# ---------------------------------------------------------------- the ceiling


@dataclass(slots=True)
class _Rows:
    """The rows of one transaction, column by column."""

    identifiers: list[tuple[object, ...]] = field(default_factory=list)
    conversations: list[tuple[object, ...]] = field(default_factory=list)
    messages: list[tuple[object, ...]] = field(default_factory=list)
    inbox: dict[UUID, tuple[object, ...]] = field(default_factory=dict)
    events: list[tuple[object, ...]] = field(default_factory=list)


def _bare(shop: Shop, messages: int) -> float:
    """Return messages a second when the rows are made beforehand and only have to be written."""
    sides = _made(shop, messages)
    with ThreadPoolExecutor(_SIDES) as pool:
        started = time.perf_counter()
        list(pool.map(lambda sets: _write(shop, sets), sides))
        return messages / (time.perf_counter() - started)


def _made(shop: Shop, messages: int) -> list[list[list[tuple[LiteralString, Sequence[object]]]]]:
    """Make the rows; one sender's all on one side, so that the connections never wait for each other."""
    drafts = [(letter, draft) for letter in letters(shop, messages) for draft in split_request(letter.body)]
    known = _known(shop, {draft.sender.removeprefix("visitor:") for _, draft in drafts})
    last: Counter[UUID] = Counter()
    sides: list[list[_Rows]] = [[_Rows()] for _ in range(_SIDES)]
    now = datetime.now(UTC)
    for letter, draft in drafts:
        side = sides[hash(draft.sender) % _SIDES]
        if len(side[-1].messages) == SET:
            side.append(_Rows())
        rows, sender = side[-1], draft.sender.removeprefix("visitor:")
        person = known.get(sender)
        if person is None:
            person = known[sender] = (new_id(), new_id(), 0)
            _stranger(rows, shop, sender, person, now)
        identifier_id, conversation_id, seq = person
        last[conversation_id] += 1
        seq += last[conversation_id]
        message_id = new_id()
        text = letter.text
        rows.messages.append(
            (message_id, conversation_id, seq, shop.account_id, identifier_id, now, draft.external_id + "x",
             f'{{"text": "{text}"}}')
        )  # fmt: skip
        rows.inbox[conversation_id] = (conversation_id, seq, now, text, identifier_id, shop.account_id)
        payload = f'{{"message_id": "{message_id}", "seq": {seq}, "automatic": false}}'
        rows.events.append(
            (new_id(), "MessageReceived", now, identifier_id, conversation_id, shop.deeds.brand_id, "webchat", payload)
        )
    return [[_statements(rows) for rows in side] for side in sides]


def _stranger(rows: _Rows, shop: Shop, sender: str, person: tuple[UUID, UUID, int], now: datetime) -> None:
    identifier_id, conversation_id, _ = person
    customer_id = customer_born_with(IdentifierId(identifier_id))
    rows.identifiers.append((identifier_id, customer_id, f"{shop.account_id}", sender + "x", now))
    rows.conversations.append((conversation_id, shop.deeds.brand_id, identifier_id, now))
    payload = '{"number": 1, "why": "The customer has no conversation to continue."}'
    rows.events.append(
        (new_id(), "ConversationOpened", now, identifier_id, conversation_id, shop.deeds.brand_id, None, payload)
    )


def _known(shop: Shop, senders: set[str]) -> dict[str, tuple[UUID, UUID, int]]:
    """Return identifier, conversation and last place of those who wrote before."""
    with shop.connect() as conn:
        rows = conn.execute(
            """
            SELECT DISTINCT ON (identifier.value) identifier.value, identifier.id, conversation.id, last_seq
              FROM customers.identifier
              JOIN conversations.conversation ON conversation.identifier_id = identifier.id
              JOIN conversations.inbox_row AS row ON row.conversation_id = conversation.id
             WHERE kind = 'visitor' AND scope = %s AND value = ANY (%b::text[])
             ORDER BY identifier.value, conversation.id DESC
            """,
            (f"{shop.account_id}", list(senders)),
        ).fetchall()
    return {value: (identifier_id, conversation_id, seq) for value, identifier_id, conversation_id, seq in rows}


_IDENTIFIERS: Final[LiteralString] = """
    WITH fresh AS (
        INSERT INTO customers.identifier (id, customer_id, kind, scope, value, first_seen_at)
        SELECT id, customer_id, 'visitor', scope, value, at
          FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::timestamptz[])
               AS given (id, customer_id, scope, value, at)
        RETURNING id, customer_id, first_seen_at
    )
    INSERT INTO customers.customer (id, anchor_identifier_id, created_at)
    SELECT customer_id, id, first_seen_at FROM fresh
"""
_CONVERSATIONS: Final[LiteralString] = """
    WITH opened AS (
        INSERT INTO conversations.conversation (id, brand_id, identifier_id, opened_at)
        SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::uuid[], %b::timestamptz[])
        RETURNING id, brand_id, identifier_id, opened_at
    )
    INSERT INTO conversations.inbox_row (conversation_id, brand_id, identifier_id, status, last_message_at)
    SELECT id, brand_id, identifier_id, 'open', opened_at FROM opened
"""
_MESSAGES: Final[LiteralString] = """
    INSERT INTO conversations.message
           (id, conversation_id, seq, direction, channel, account_id, identifier_id, at, external_id, content)
    SELECT id, conversation_id, seq, 'in', 'webchat', account_id, identifier_id, at, external_id, content::jsonb
      FROM unnest(%b::uuid[], %b::uuid[], %b::int[], %b::uuid[], %b::uuid[], %b::timestamptz[], %b::text[], %b::text[])
           AS given (id, conversation_id, seq, account_id, identifier_id, at, external_id, content)
        ON CONFLICT DO NOTHING
"""
_INBOX: Final[LiteralString] = """
    UPDATE conversations.inbox_row AS row
       SET last_seq = given.seq, last_message_at = given.at, last_text = given.text, unread = row.unread + 1,
           answer_identifier_id = given.identifier_id, answer_account_id = given.account_id
      FROM unnest(%b::uuid[], %b::int[], %b::timestamptz[], %b::text[], %b::uuid[], %b::uuid[])
           AS given (conversation_id, seq, at, text, identifier_id, account_id)
     WHERE row.conversation_id = given.conversation_id
"""
_EVENTS: Final[LiteralString] = """
    INSERT INTO platform.event
           (id, type, occurred_at, identifier_id, conversation_id, brand_id, actor_kind, actor_id, channel, payload)
    SELECT id, type, at, identifier_id, conversation_id, brand_id, 'customer', identifier_id, channel, payload::jsonb
      FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::text[])
           AS given (id, type, at, identifier_id, conversation_id, brand_id, channel, payload)
"""


def _statements(rows: _Rows) -> list[tuple[LiteralString, Sequence[object]]]:
    given: Sequence[tuple[LiteralString, Sequence[tuple[object, ...]]]] = (
        (_IDENTIFIERS, rows.identifiers),
        (_CONVERSATIONS, rows.conversations),
        (_MESSAGES, rows.messages),
        (_INBOX, list(rows.inbox.values())),
        (_EVENTS, rows.events),
    )
    return [(sql, [list(column) for column in zip(*those, strict=True)]) for sql, those in given if those]


def _write(shop: Shop, sets: Sequence[Sequence[tuple[LiteralString, Sequence[object]]]]) -> None:
    conn: Connection[Any]
    with shop.connect() as conn:
        conn.adapters.register_dumper(list, ColumnDumper)
        for statements in sets:
            with conn.transaction():
                for sql, columns in statements:
                    conn.execute(sql, columns)
