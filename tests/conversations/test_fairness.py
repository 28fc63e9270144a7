"""Accounts and the sender: switched off, out of pace, hanging or unreachable, none is another's trouble."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from onethread.access.model import SYSTEM
from onethread.channels import actions as channels
from onethread.channels.contract import Account, Content, Health, Outcome, Outgoing, Sent, TryLater, reference_of
from onethread.channels.jobs import Checker
from onethread.conversations import actions
from onethread.conversations.actions import Say
from onethread.kernel.clock import utc_now
from onethread.platform.db import Database
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World, until


@dataclass
class Hanging(TinCan):
    """Takes a message and says nothing until it is let go."""

    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    taken: int = 0

    async def send(self, outgoing: Outgoing, account: Account) -> Outcome:
        self.taken += 1
        await self.let_go.wait()
        return await super().send(outgoing, account)


async def answer_all(world: World) -> None:
    desk = await world.desks()
    for row in await world.inbox():
        async with world.database.transaction() as tx:
            await actions.send(tx, SYSTEM, desk, row.id, Say(Content(text="Hi")), utc_now())


async def switch(world: World, can: TinCan, *, on: bool) -> None:
    async with world.database.transaction() as tx:
        await channels.change_account(
            tx, SYSTEM, can.declaration, world.account_ids[can.name], enabled=on, secrets=world.secrets
        )
    world.accounts.forget()


@pytest.fixture
async def hanging() -> AsyncIterator[Hanging]:
    can = Hanging("slow")
    yield can
    can.let_go.set()


async def test_an_account_that_hangs_slows_no_other(database: Database, hanging: Hanging) -> None:
    quick = TinCan("quick")
    world = await World.open(database, hanging, quick)
    await world.hear(*(Call(f"s{n}", f"slow-{n}", text="Hello") for n in range(40)), over="slow")
    await world.hear(*(Call(f"q{n}", f"quick-{n}", text="Hello") for n in range(3)), over="quick")
    await answer_all(world)

    async def quick_ones_left() -> bool:
        await world.sender.step()
        return len(quick.sent) == 3

    await until(quick_ones_left)
    assert hanging.taken == 32
    waiting = "SELECT count(*) FROM conversations.delivery WHERE status = 'queued' AND attempts = 0"
    assert await world.value(waiting) == 8
    hanging.let_go.set()
    await world.send_all()
    assert len(hanging.sent) == 40


async def test_a_switched_off_account_keeps_what_it_is_to_send(database: Database) -> None:
    can = TinCan()
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer_all(world)
    await switch(world, can, on=False)
    for _ in range(3):
        await world.send_all()
        await world.sender.sweep()
    async with database.transaction() as tx:
        rows = await tx.tuples("SELECT status, attempts, reason FROM conversations.delivery")
    assert rows == [("queued", 0, "Its account is switched off: it is sent when the account is switched on again.")]
    assert (await world.events()).count("DeliveryChanged") == 1
    await switch(world, can, on=True)
    await world.send_all()
    assert len(can.sent) == 1


async def test_an_account_nobody_knows_here_gets_its_time(database: Database) -> None:
    can = TinCan()
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer_all(world)
    known, world.accounts._by_id = world.accounts._by_id, {}
    await world.send_all()
    await world.sender.sweep()
    assert await world.value("SELECT reason FROM conversations.delivery") is None
    await world.value("UPDATE conversations.delivery SET due_at = now() - interval '1 minute' RETURNING 1")
    await world.sender.sweep()
    assert await world.value("SELECT reason FROM conversations.delivery") == "Its account is not there (any more)."
    world.accounts._by_id = known
    await world.send_all()
    assert len(can.sent) == 1


async def test_an_account_out_of_pace_is_not_even_claimed(database: Database) -> None:
    can = TinCan(per_second=0.001)
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"), Call("m2", "bruno", text="Hello"))
    await answer_all(world)
    await world.send_all()
    written = "SELECT xmin::text || ctid::text FROM conversations.delivery WHERE status = 'queued'"
    before = await world.value(written)
    await world.send_all()
    assert await world.value(written) == before
    assert len(can.sent) == 1


async def test_an_account_that_reaches_nobody_turns_red_and_its_first_success_mends_it(database: Database) -> None:
    outcomes: list[Outcome] = [TryLater(0.0, "busy", no_line=False)]
    outcomes += [TryLater(0.0, "mail.example does not answer.", no_line=True)] * 3
    can = TinCan(answer=lambda outgoing: outcomes.pop(0) if outcomes else Sent(reference_of(outgoing.delivery_id)))
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer_all(world)
    seen = []
    for _ in range(5):
        await world.value("UPDATE conversations.delivery SET due_at = now() RETURNING 1")
        await world.send_all()
        seen.append(await world.value("SELECT well FROM channels.account"))
    assert seen == [None, None, None, False, True]


async def test_a_check_finds_what_no_message_has_met_yet(database: Database) -> None:
    @dataclass
    class Checked(TinCan):
        health: Health = field(default_factory=lambda: Health(True, "Name your websites."))

        async def check(self, account: Account) -> Health:
            return self.health

    class Broken(TinCan):
        async def check(self, account: Account) -> Health:
            raise ZeroDivisionError

    can, broken = Checked(), Broken("broken")
    world = await World.open(database, can, broken)
    checker = Checker(database, world.accounts, world.channels)
    health = "SELECT health FROM channels.account WHERE channel = 'tincan'"
    await checker.step()
    assert await world.value(health) == "Name your websites."
    assert await world.value("SELECT well FROM channels.account WHERE channel = 'broken'") is False
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer_all(world)
    await world.send_all()
    assert await world.value(health) == "Name your websites."
    can.health = Health(False, "The password was changed.")
    await checker.step()
    await checker.step()
    assert await world.value(health) == "The password was changed."
    assert (await world.events()).count("AccountHealthChanged") == 3
