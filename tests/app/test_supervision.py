"""Background work goes on, and its crashes are seen."""

import asyncio

from onethread.app.supervision import Crew
from tests.machines.waiting import until


async def test_what_crashes_is_started_again_and_is_seen_to_have_crashed() -> None:
    crew, starts = Crew(), 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise RuntimeError("a defect")
        await asyncio.Event().wait()

    async def third() -> bool:
        return starts == 3

    crew.start("work", work)
    await until(third)
    [crash] = crew.crashes()
    assert (crash.task, crash.error, crash.times) == ("work", "RuntimeError: a defect", 2)
    await crew.stop()


async def test_work_that_ends_by_itself_is_a_crash_too() -> None:
    crew = Crew()

    async def work() -> None:
        """Ends at once."""

    async def seen() -> bool:
        return bool(crew.crashes())

    crew.start("work", work)
    await until(seen)
    assert crew.crashes()[0].error == "It ended by itself."
    await crew.stop()


async def test_one_crash_leaves_the_others_alone() -> None:
    crew, steady = Crew(), asyncio.Event()

    async def broken() -> None:
        raise RuntimeError("a defect")

    async def well() -> None:
        steady.set()
        await asyncio.Event().wait()

    crew.start("broken", broken)
    crew.start("well", well)
    await steady.wait()
    assert {crash.task for crash in crew.crashes()} <= {"broken"}
    await crew.stop()
