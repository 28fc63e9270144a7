"""Transactions: what is undone, what is told after the commit, and what a lost server looks like."""

import asyncio

import pytest
from psycopg import errors

from onethread.kernel.errors import Unavailable
from onethread.platform.db import Database


async def test_after_commit_is_told_once_and_only_after_the_commit(database: Database) -> None:
    told: list[str] = []

    def tell() -> None:
        told.append("told")

    async with database.transaction() as tx:
        tx.after_commit(tell)
        tx.after_commit(tell)
        assert told == []
    assert told == ["told"]
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as tx:
            tx.after_commit(tell)
            raise ZeroDivisionError
    assert told == ["told"]


async def test_a_savepoint_takes_back_its_statements_and_its_announcements(database: Database) -> None:
    told: list[str] = []
    async with database.transaction() as tx:
        await tx.run("CREATE TEMP TABLE kept (n int) ON COMMIT DROP")
        with pytest.raises(errors.DivisionByZero):
            async with tx.savepoint():
                await tx.run("INSERT INTO kept VALUES (1)")
                tx.after_commit(lambda: told.append("never"))
                await tx.value("SELECT 1 / 0")
        assert await tx.value("SELECT count(*) FROM kept") == 0
    assert told == []


async def test_two_who_wait_for_each_other_are_told_to_try_again(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.run("CREATE TABLE public.pair (n int PRIMARY KEY, v int)")
        await tx.run("INSERT INTO public.pair VALUES (1, 0), (2, 0)")
    first_has_one, second_has_two = asyncio.Event(), asyncio.Event()

    async def lock(mine: int, theirs: int, have: asyncio.Event, other: asyncio.Event) -> None:
        async with database.transaction() as tx:
            await tx.run("UPDATE public.pair SET v = v + 1 WHERE n = %s", (mine,))
            have.set()
            await other.wait()
            await tx.run("UPDATE public.pair SET v = v + 1 WHERE n = %s", (theirs,))

    outcomes = await asyncio.gather(
        lock(1, 2, first_has_one, second_has_two),
        lock(2, 1, second_has_two, first_has_one),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Contended", "NoneType"]
    assert any(isinstance(outcome, Unavailable) for outcome in outcomes)


async def test_a_lost_connection_is_unavailable_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.transaction() as tx:
            pid = await tx.value("SELECT pg_backend_pid()")
            async with await database.connect() as other:
                await other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            await tx.value("SELECT 1")
    async with database.transaction() as tx:
        assert await tx.value("SELECT 1") == 1


async def test_a_statement_the_server_refuses_keeps_its_own_name(database: Database) -> None:
    with pytest.raises(errors.UndefinedTable):
        async with database.transaction() as tx:
            await tx.run("SELECT * FROM nowhere")
