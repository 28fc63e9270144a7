"""What agents do and what comes in at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

import pytest

from onethread.access.actions.brands import NewBrand, create_brand
from onethread.access.model import SYSTEM
from onethread.channels import actions as channels
from onethread.channels.contract import Content
from onethread.channels.model import lane_of
from onethread.conversations import actions
from onethread.conversations.actions import Change, Say
from onethread.conversations.store import conversations as store
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import ConversationId
from onethread.platform.db import Database, Tx
from tests.kits.tincan import Call, TinCan, draft_of
from tests.kits.world import World

T = TypeVar("T")


@pytest.fixture
async def world(database: Database) -> World:
    world = await World.open(database, TinCan())
    await world.hear(Call("m1", "ana", text="Hello"))
    return world


@asynccontextmanager
async def meanwhile(world: World, act: Callable[[], Awaitable[T]]) -> AsyncIterator[tuple[Tx, asyncio.Future[T]]]:
    """Let the block work in a transaction; before it commits, `act` is under way and waits for a lock."""
    async with world.database.transaction() as tx:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        yield tx, done
        task = asyncio.ensure_future(act())
        for _ in range(500):
            async with world.database.transaction() as looking:
                if task.done() or await looking.value("SELECT true FROM pg_locks WHERE NOT granted LIMIT 1"):
                    break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("nobody ever waited for a lock")
    done.set_result(await task)


async def bring(world: World, call: Call) -> None:
    await world.reception.receive(world.account_ids["tincan"], [draft_of(call)])


async def opened_by(world: World, subject: str) -> ConversationId:
    """Split the last message of the only conversation off."""
    (row,) = await world.inbox()
    last = (await world.messages(row.id))[-1]
    async with world.database.transaction() as tx:
        return await actions.split(tx, SYSTEM, row.id, [last.id], subject=subject, now=utc_now())


async def test_a_message_that_meets_a_closing_reopens(world: World) -> None:
    (row,) = await world.inbox()
    await bring(world, Call("m2", "ana", text="One more thing"))
    async with meanwhile(world, world.apply) as (tx, _):
        await actions.change(tx, SYSTEM, row.id, Change(status="closed"), utc_now())
    (now_is,) = await world.inbox()
    assert (now_is.id, now_is.status, now_is.last_seq) == (row.id, "open", 2)


async def test_a_message_that_meets_a_joining_follows(world: World) -> None:
    await world.hear(Call("m2", "ana", text="And another matter"))
    (row,) = await world.inbox()
    other = await opened_by(world, "Another matter")
    await bring(world, Call("m3", "ana", text="One more thing"))
    async with meanwhile(world, world.apply) as (tx, _):
        await actions.join(tx, SYSTEM, other, row.id, utc_now())
    (now_is,) = await world.inbox()
    # The place of the message that was split off is not given again: 1, 3 (come back) and 4.
    assert (now_is.id, now_is.last_seq) == (row.id, 4)


async def test_an_answer_that_meets_a_joining_follows(world: World) -> None:
    await world.hear(Call("m2", "ana", text="And another matter"))
    (row,) = await world.inbox()
    other = await opened_by(world, "Another matter")
    desk = await world.desks()

    async def answer() -> ConversationId:
        async with world.database.transaction() as tx:
            say = Say(Content(text="At once"))
            return (await actions.send(tx, SYSTEM, desk, other, say, utc_now())).conversation_id

    async with meanwhile(world, answer) as (tx, answered):
        await actions.join(tx, SYSTEM, other, row.id, utc_now())
    assert answered.result() == row.id


async def test_two_lanes_open_one_conversation_in_a_brand_the_customer_is_new_to(world: World) -> None:
    """Somebody who has something open with one brand writes to another one from two addresses at once."""
    can = TinCan(name="other")
    async with world.database.transaction() as tx:
        brand = await create_brand(tx, SYSTEM, NewBrand(name="Second", default_country="TH"), now=utc_now())
        line = await channels.add_account(
            tx,
            SYSTEM,
            can.declaration,
            brand_id=brand.id,
            name="Other",
            settings={"secret": "s"},
            secrets=world.secrets,
        )
    world.channels["other"] = can  # type: ignore[index]
    world.accounts.forget()
    await world.hear(Call("m2", "ana", what="known", claim="custom:ana2", claim_kind="verified"))
    assert lane_of("can:ana") != lane_of("can:ana2")
    await world.reception.receive(
        line.id, [draft_of(Call(f"n-{who}", who, text="Hello, second")) for who in ("ana", "ana2")]
    )
    await asyncio.gather(*(world.receiver.step(lane_of(f"can:{who}")) for who in ("ana", "ana2")))
    await world.apply()
    assert sorted(row.last_seq for row in await world.inbox(brand_id=brand.id)) == [2]


async def test_the_end_of_a_snooze_and_a_message_do_not_wait_for_each_other(world: World) -> None:
    (row,) = await world.inbox()
    now = utc_now()
    async with world.database.transaction() as tx:
        until = now + timedelta(seconds=1)
        await actions.change(tx, SYSTEM, row.id, Change(status="snoozed", snoozed_until=until), now)
    later = now + timedelta(minutes=1)

    async def wake() -> int:
        async with world.database.transaction() as tx:
            return await actions.wake_due(tx, later)

    async with world.database.transaction() as tx:
        await store.lock_rows(tx, [row.id])
        waking = asyncio.create_task(wake())
        for _ in range(300):
            async with world.database.transaction() as looking:
                if waking.done() or await looking.value("SELECT true FROM pg_locks WHERE NOT granted LIMIT 1"):
                    break
            await asyncio.sleep(0.01)
        await store.wake(tx, [row.id])
    assert await waking == 0
    assert [one.status for one in await world.inbox()] == ["open"]


async def test_joining_into_a_closed_conversation_hides_no_open_work(world: World) -> None:
    await world.hear(Call("m2", "ana", text="And another matter"))
    (row,) = await world.inbox()
    other = await opened_by(world, "Another matter")
    async with world.database.transaction() as tx:
        await actions.change(tx, SYSTEM, row.id, Change(status="closed"), utc_now())
        await actions.join(tx, SYSTEM, other, row.id, utc_now())
    (now_is,) = await world.inbox()
    assert (now_is.id, now_is.status) == (row.id, "open")
