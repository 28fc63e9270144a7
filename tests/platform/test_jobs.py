import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from onethread.kernel.clock import utc_now
from onethread.platform.db import Database
from onethread.platform.jobs import Jobs


class Kitchen:
    """Cooks what is ordered and remembers it."""

    def __init__(self) -> None:
        self.cooked: list[str] = []
        self.failures = 0

    async def cook(self, dish: str) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the oven is cold")
        self.cooked.append(dish)


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


@pytest.fixture
def jobs(database: Database, kitchen: Kitchen) -> Jobs:
    jobs = Jobs(database.conninfo, poll=0.1)
    jobs.offer("kitchen.cook", kitchen.cook)
    jobs.offer("kitchen.cook_once", kitchen.cook, tries=1)
    return jobs


@asynccontextmanager
async def at_work(jobs: Jobs) -> AsyncIterator[None]:
    working = asyncio.create_task(jobs.run())
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


async def until(done: Callable[[], Awaitable[bool] | bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            answer = done()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


async def order(database: Database, jobs: Jobs, dish: str, job: str = "kitchen.cook") -> None:
    async with database.transaction() as tx:
        assert await jobs.defer(tx, job, dish=dish)


async def test_a_job_is_done_after_the_commit(database: Database, jobs: Jobs, kitchen: Kitchen) -> None:
    async with at_work(jobs):
        await order(database, jobs, "soup")
        await until(lambda: kitchen.cooked == ["soup"])


async def test_a_job_of_a_transaction_that_fails_is_never_done(
    database: Database, jobs: Jobs, kitchen: Kitchen
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            await jobs.defer(tx, "kitchen.cook", dish="ghost")
            _ = 1 / 0
    async with at_work(jobs):
        await order(database, jobs, "soup")
        await until(lambda: kitchen.cooked == ["soup"])


async def test_of_the_jobs_with_one_name_only_one_waits(database: Database, jobs: Jobs, kitchen: Kitchen) -> None:
    async with database.transaction() as tx:
        assert await jobs.defer(tx, "kitchen.cook", once="table 3", dish="soup")
        assert not await jobs.defer(tx, "kitchen.cook", once="table 3", dish="soup")
    async with at_work(jobs):
        await order(database, jobs, "tea")
        await until(lambda: kitchen.cooked == ["soup", "tea"])


async def test_a_job_waits_for_its_time(database: Database, jobs: Jobs, kitchen: Kitchen) -> None:
    async with database.transaction() as tx:
        await jobs.defer(tx, "kitchen.cook", at=utc_now() + timedelta(hours=1), dish="dinner")
    async with at_work(jobs):
        await order(database, jobs, "soup")
        await until(lambda: kitchen.cooked == ["soup"])


async def test_a_failed_job_is_tried_again(database: Database, jobs: Jobs, kitchen: Kitchen) -> None:
    kitchen.failures = 1
    async with at_work(jobs):
        await order(database, jobs, "soup")
        await until(lambda: kitchen.cooked == ["soup"])


async def test_a_job_that_may_fail_once_is_given_up(database: Database, jobs: Jobs, kitchen: Kitchen) -> None:
    kitchen.failures = 1
    async with at_work(jobs):
        await order(database, jobs, "soup", "kitchen.cook_once")
        await until(lambda: status(database, "failed"))
        assert kitchen.cooked == []


async def test_the_worker_survives_the_loss_of_its_connections(
    database: Database, jobs: Jobs, kitchen: Kitchen
) -> None:
    async with at_work(jobs):
        await order(database, jobs, "soup")
        await until(lambda: kitchen.cooked == ["soup"])
        async with database.transaction() as tx:
            killed = await tx.values(
                """
                SELECT pg_terminate_backend(pid)
                  FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'onethread jobs'
                """
            )
            assert killed
        await order(database, jobs, "tea")
        await until(lambda: kitchen.cooked == ["soup", "tea"])


async def test_the_job_of_a_killed_worker_is_taken_up_again(database: Database, jobs: Jobs, kitchen: Kitchen) -> None:
    await order(database, jobs, "soup")
    async with database.transaction() as tx:
        # As a killed worker leaves it: begun, and nobody's heart beats for it.
        await tx.run("SET LOCAL search_path = procrastinate")
        await tx.run("UPDATE procrastinate.procrastinate_jobs SET status = 'doing', worker_id = NULL")
    rescuer = Jobs(database.conninfo)
    async with rescuer._app.open_async():
        await rescuer._rescue()
    async with at_work(jobs):
        await until(lambda: kitchen.cooked == ["soup"])


async def status(database: Database, wanted: str) -> bool:
    async with database.transaction() as tx:
        found = await tx.values(
            "SELECT status::text FROM procrastinate.procrastinate_jobs WHERE task_name LIKE 'kitchen.%'"
        )
    return found == [wanted]
