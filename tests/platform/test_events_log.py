"""The log under many writers: a transaction that commits late is never missed, whoever reads."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from onethread.kernel.clock import utc_now
from onethread.kernel.ids import BrandId, new_id
from onethread.platform.db import Database, Tx
from onethread.platform.events import log as events
from onethread.platform.events import store
from onethread.platform.events.log import Log
from onethread.platform.events.model import Event, EventDraft
from onethread.platform.events.subscribers import Subscriber, Subscribers
from tests.machines.figures import Tell
from tests.machines.waiting import until


@dataclass(frozen=True, slots=True)
class ParcelWeighed:
    number: int


@dataclass(frozen=True, slots=True)
class ParcelLost:
    number: int


class ChangedTheirMind(Exception):
    """A writer rolls back."""


def weighed(number: int, **more: str) -> EventDraft:
    return EventDraft(ParcelWeighed(number), utc_now(), **more)


@asynccontextmanager
async def running(*logs: Log) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(log.run()) for log in logs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def process(conninfo: str, name: str, *hearers: str) -> AsyncIterator[Subscribers]:
    """What one server process does with the log; all processes share the cursors of the hearers."""
    database = Database(conninfo)
    await database.open()
    log = Log(database)

    def ear(hearer: str) -> Subscriber:
        async def hear(tx: Tx, heard: list[Event]) -> None:
            await tx.run(
                "INSERT INTO heard (hearer, process, seq) SELECT %s, %s, unnest(%s::bigint[])",
                (hearer, name, [event.seq for event in heard]),
            )

        return Subscriber(hearer, hear)

    subscribers = Subscribers(database, log, [ear(hearer) for hearer in hearers], idle=0.02)
    await subscribers.prepare()
    async with running(log):
        feeding = asyncio.create_task(subscribers.run())
        try:
            yield subscribers
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await database.close()


@pytest.fixture
async def diary(database: Database) -> Database:
    """A database in which subscribers write down, in their transaction, what they heard."""
    async with database.transaction() as tx:
        await tx.run(
            "CREATE TABLE heard (place bigint GENERATED ALWAYS AS IDENTITY, hearer text, process text, seq bigint)"
        )
    return database


async def write_at_random(database: Database, dice: random.Random, number: int) -> None:
    """One transaction: some events now, perhaps some later, perhaps regretted in the end."""
    try:
        async with database.transaction() as tx:
            await events.append(tx, [weighed(number) for _ in range(dice.randint(1, 3))])
            await asyncio.sleep(dice.choice((0, 0, 0.001, 0.005, 0.02, 0.08)))
            if dice.random() < 0.3:
                await events.append(tx, [weighed(number)])
                await asyncio.sleep(dice.choice((0, 0.01)))
            if dice.random() < 0.2:
                raise ChangedTheirMind
    except ChangedTheirMind:
        pass


async def tail(log: Log, seen: list[int]) -> None:
    """Read as a screen's broadcaster does: without a cursor, as far as the log is complete."""
    at = 0
    while True:
        upto = await log.beyond(at)
        async with log.database.transaction() as tx:
            seen += [event.seq for event in await store.events_between(tx, at, upto, limit=100_000)]
        at = upto


async def test_no_reader_misses_what_commits_late_and_none_hears_it_twice(
    diary: Database, fresh_conninfo: str, figure: Tell, chaos: bool
) -> None:
    dice = random.Random(None if chaos else 7)
    writers, turns = (40, 150) if chaos else (12, 25)
    hearers = ("reports", "search", "webhooks")
    seen: list[int] = []
    async with AsyncExitStack() as stack:
        for name in ("one", "two", "three"):
            await stack.enter_async_context(process(fresh_conninfo, name, *hearers))
        busy = Database(fresh_conninfo, connections=writers)
        await busy.open()
        stack.push_async_callback(busy.close)
        log = Log(busy)
        await stack.enter_async_context(running(log))
        tailing = asyncio.create_task(tail(log, seen))
        stack.callback(tailing.cancel)

        async def write(writer: int) -> None:
            for turn in range(turns):
                await write_at_random(busy, dice, writer * 1000 + turn)

        await asyncio.gather(*(write(writer) for writer in range(writers)))
        async with diary.transaction() as tx:
            written = await tx.values("SELECT seq FROM platform.event ORDER BY seq")
        assert len(written) > writers * turns

        async def all_heard() -> bool:
            async with diary.transaction() as tx:
                count = await tx.value("SELECT count(*) FROM heard")
            return bool(count >= len(written) * len(hearers) and len(seen) >= len(written))

        with suppress(TimeoutError):  # the comparison below says which were missed
            await until(all_heard, seconds=60)
        async with diary.transaction() as tx:
            heard = await tx.tuples("SELECT hearer, process, seq FROM heard ORDER BY place")
    assert seen == written
    by_hearer = defaultdict(list)
    for hearer, _, seq in heard:
        by_hearer[hearer].append(seq)
    assert dict(by_hearer) == dict.fromkeys(hearers, written), "each hears everything once, in order"
    assert len({name for _, name, _ in heard}) > 1, "the processes share the work"
    figure(f"event log: {len(written):,} events of {writers} writers, 3 hearers in 3 processes, none missed")


async def test_nothing_beyond_an_open_transaction_is_read(database: Database) -> None:
    log = Log(database)
    other = Database(database.conninfo)
    await other.open()
    async with running(log):
        async with other.transaction() as slow:
            await events.append(slow, [weighed(1)])
            async with database.transaction() as quick:
                await events.append(quick, [weighed(2)])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await log.beyond(0)
        async with asyncio.timeout(10):
            upto = await log.beyond(0)
    async with database.transaction() as tx:
        assert [event.payload["number"] for event in await store.events_between(tx, 0, upto, limit=9)] == [1, 2]
    await other.close()


async def test_what_was_rolled_back_holds_nobody_up(database: Database) -> None:
    log = Log(database)
    async with running(log):
        with pytest.raises(ChangedTheirMind):
            async with database.transaction() as tx:
                await events.append(tx, [weighed(1)])
                raise ChangedTheirMind
        async with database.transaction() as tx:
            await events.append(tx, [weighed(2)])
        async with asyncio.timeout(10):
            upto = await log.beyond(1)
    async with database.transaction() as tx:
        assert [event.payload["number"] for event in await store.events_between(tx, 0, upto, limit=9)] == [2]


async def test_other_processes_wake_us(database: Database, fresh_conninfo: str) -> None:
    here, there = Database(fresh_conninfo), Database(fresh_conninfo)
    await here.open()
    await there.open()
    ours, theirs = Log(here), Log(there)
    async with running(ours, theirs):
        async with there.transaction() as tx:
            await events.append(tx, [weighed(1)])
        async with asyncio.timeout(10):
            assert await ours.beyond(0) == await theirs.beyond(0)
    await here.close()
    await there.close()


async def test_positions_that_a_crash_took_back_are_read_when_they_are_handed_out_anew(database: Database) -> None:
    """A killed server may forget positions of regretted transactions: what we knew before does not count."""
    log = Log(database)
    async with running(log):
        async with database.transaction() as tx:
            await events.append(tx, [weighed(1)])
        await log.beyond(0)
        log.horizon = 1_000  # as if so many had been regretted just before the crash
        async with database.transaction() as tx:
            await tx.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        async def knows_better() -> bool:
            return log.horizon == 1

        await until(knows_better)


async def test_what_a_stranger_tells_twice_is_appended_once(database: Database) -> None:
    async def tell(*source_ids: str) -> None:
        async with database.transaction() as tx:
            drafts = [weighed(number, source="shop", source_id=one) for number, one in enumerate(source_ids)]
            await events.append(tx, drafts)

    await tell("a", "a", "b")
    await asyncio.gather(*(tell("b", "c", "a") for _ in range(4)))
    async with database.transaction() as tx:
        assert await tx.values("SELECT source_id FROM platform.event ORDER BY source_id") == ["a", "b", "c"]


async def test_events_are_found_by_type_and_in_pages(database: Database) -> None:
    async with database.transaction() as tx:
        await events.append(tx, [weighed(1), EventDraft(ParcelLost(2), utc_now()), weighed(3)])

    async def numbers(**wanted: Sequence[str] | int) -> list[object]:
        async with database.transaction() as tx:
            found = await store.events_between(tx, 0, 99, **{"limit": 9, **wanted})  # type: ignore[arg-type]
        return [event.payload["number"] for event in found]

    assert await numbers() == [1, 2, 3]
    assert await numbers(types=["ParcelLost"]) == [2]
    assert await numbers(limit=2) == [1, 2]


async def test_a_brand_reads_its_own_events_and_those_of_the_whole_organisation(database: Database) -> None:
    one, other = BrandId(new_id()), BrandId(new_id())
    async with database.transaction() as tx:
        before = await store.last_seq(tx)
        drafts = [EventDraft(ParcelWeighed(n), utc_now(), brand_id=of) for n, of in enumerate((one, other, None))]
        await events.append(tx, drafts)
    async with database.transaction() as tx:
        for brands, numbers in (([one], [0, 2]), ([other], [1, 2]), ([], [2]), (None, [0, 1, 2])):
            found = await store.events_between(tx, before, before + 100, limit=10, brands=brands)
            assert [event.payload["number"] for event in found] == numbers
