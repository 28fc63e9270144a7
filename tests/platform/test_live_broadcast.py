"""From the log to the screens: nothing missed, nothing twice, across failures and processes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest

from onethread.kernel.clock import utc_now
from onethread.kernel.ids import BrandId
from onethread.platform.broadcast import Broadcaster, Hydrate
from onethread.platform.db import Database, Tx
from onethread.platform.events import log as events
from onethread.platform.events.log import Log
from onethread.platform.events.model import Event, EventDraft
from onethread.platform.live import Behind, Frame, Hub, LiveFrame, Signal, Subscription
from onethread.platform.signals import SignalCarrier

SHOP = BrandId(UUID(int=1))


@dataclass(frozen=True, slots=True)
class BellRang:
    number: int


async def plainly(tx: Tx, happened: Sequence[Event]) -> list[LiveFrame]:
    return [LiveFrame(("bells",), event.seq, event.type, event.payload) for event in happened]


async def ring(database: Database, *numbers: int) -> None:
    async with database.transaction() as tx:
        await events.append(tx, [EventDraft(BellRang(number), utc_now(), brand_id=SHOP) for number in numbers])


@asynccontextmanager
async def broadcasting(database: Database, hydrate: Hydrate = plainly) -> AsyncIterator[tuple[Hub, Broadcaster]]:
    log, hub = Log(database), Hub()
    broadcaster = Broadcaster(database, log, hub, hydrate)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(log.run()), group.create_task(broadcaster.run())]
        await asyncio.wait_for(hub.ready(), 10)
        yield hub, broadcaster
        for task in tasks:
            task.cancel()


async def heard(subscription: Subscription, count: int) -> list[object]:
    """Take until so many frames came; return their numbers."""
    frames: list[Frame] = []
    async with asyncio.timeout(10):
        while len(frames) < count:
            frames.extend(await subscription.take())
    return [frame.data["number"] for frame in frames]


async def test_what_is_committed_is_on_the_screens_in_order(database: Database) -> None:
    async with broadcasting(database) as (hub, _):
        screen = hub.subscribe(["bells"])
        await ring(database, 1, 2)
        await ring(database, 3)
        assert await heard(screen, 3) == [1, 2, 3]


async def test_what_is_rolled_back_is_on_no_screen(database: Database) -> None:
    async with broadcasting(database) as (hub, _):
        screen = hub.subscribe(["bells"])
        with pytest.raises(ZeroDivisionError):
            async with database.transaction() as tx:
                await events.append(tx, [EventDraft(BellRang(1), utc_now())])
                raise ZeroDivisionError
        await ring(database, 2)
        assert await heard(screen, 1) == [2]


async def test_a_screen_that_comes_back_gets_the_gap_and_then_goes_on_live(database: Database) -> None:
    async with broadcasting(database) as (hub, broadcaster):
        first = hub.subscribe(["bells"])
        await ring(database, 1)
        seen = (await first.take())[-1].seq
        assert seen is not None
        first.close()
        await ring(database, *range(2, 40))

        back = hub.subscribe(["bells"])
        upto = hub.position
        await ring(database, 40, 41)  # happens while the gap is being read
        gap = await broadcaster.replay(["bells"], after=seen, upto=upto)
        missed = [frame.data["number"] for frame in gap]
        live = await heard(back, 40 - len(missed))
        assert missed + live == list(range(2, 42))


async def test_returning_screens_miss_nothing_and_see_nothing_twice_while_much_happens(database: Database) -> None:
    async with broadcasting(database) as (hub, broadcaster):
        total = 300

        async def busy(offset: int) -> None:
            for number in range(offset, total, 3):
                await ring(database, number)

        async def restless() -> list[object]:
            seen: list[object] = []
            last = 0
            while len(seen) < total:
                screen = hub.subscribe(["bells"])
                frames: list[LiveFrame | Frame] = []
                frames += await broadcaster.replay(["bells"], after=last, upto=hub.position)
                if len(seen) + len(frames) < total:
                    frames += await screen.take()
                seen += [frame.data["number"] for frame in frames]
                last = max([last, *(frame.seq or 0 for frame in frames)])
                screen.close()
            return seen

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for offset in range(3):
                group.create_task(busy(offset))
            screens = [group.create_task(restless()) for _ in range(4)]
        for screen in screens:
            assert sorted(screen.result(), key=str) == sorted(range(total), key=str)
        assert all(screen.result() == screens[0].result() for screen in screens)


async def test_a_screen_far_behind_is_told_to_load_anew(database: Database) -> None:
    async with broadcasting(database) as (_, broadcaster):
        with pytest.raises(Behind):
            await broadcaster.replay(["bells"], after=0, upto=1_000_000)


async def test_a_position_nobody_handed_out_means_load_anew(database: Database) -> None:
    async with broadcasting(database) as (hub, broadcaster):
        with pytest.raises(Behind):
            await broadcaster.replay(["bells"], after=hub.position + 10, upto=hub.position)


async def test_one_event_that_cannot_be_shown_hides_no_other(database: Database) -> None:
    async def fussy(tx: Tx, happened: Sequence[Event]) -> list[LiveFrame]:
        if any(event.payload["number"] == 2 for event in happened):
            await tx.run("SELECT 1 / 0")
        return await plainly(tx, happened)

    async with broadcasting(database, fussy) as (hub, _):
        screen = hub.subscribe(["bells"])
        await ring(database, 1, 2, 3)
        assert await heard(screen, 2) == [1, 3]


async def test_nothing_is_hydrated_while_nobody_watches(database: Database) -> None:
    batches: list[int] = []

    async def counting(tx: Tx, happened: Sequence[Event]) -> list[LiveFrame]:
        batches.append(len(happened))
        return await plainly(tx, happened)

    async with broadcasting(database, counting) as (hub, _):
        before = hub.position
        await ring(database, 1, 2)
        async with asyncio.timeout(10):
            while hub.position == before:  # noqa: ASYNC110  nobody is woken by it, which is the point
                await asyncio.sleep(0.01)
        assert batches == []


async def test_typing_reaches_the_screens_of_another_process(fresh_conninfo: str) -> None:
    here, there = Database(fresh_conninfo), Database(fresh_conninfo)
    near, far = Hub(), Hub()
    tasks = [asyncio.create_task(SignalCarrier(*pair).run()) for pair in ((here, near), (there, far))]
    screen = far.subscribe(["conversation:1"])
    own = near.subscribe(["conversation:1"])
    try:
        async with asyncio.timeout(10):
            waiting = asyncio.create_task(screen.take())
            while not waiting.done():  # until both listen, signals may be lost: they are only signals
                near.signal(Signal(("conversation:1",), "typing", "ana", True, 6.0, {"name": "Ana"}))
                near.signal(Signal(("conversation:1",), "typing", "ana", False, 6.0, {}))
                await asyncio.sleep(0.05)
        first = waiting.result()[0]
        assert (first.type, first.data["who"]) == ("typing", "ana")
        mine = await own.take()
        assert [frame.data["on"] for frame in mine] == [True, False] * (len(mine) // 2)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
