"""What a channel answered is never lost, and a silent provider never gets a message again and again."""

import asyncio
from dataclasses import replace

import pytest

from onethread.access.model import SYSTEM
from onethread.channels.contract import Content, Outcome, Outgoing, Sent, Unknown, Unreachable, reference_of
from onethread.conversations import actions
from onethread.conversations.actions import Say, Spoken
from onethread.kernel.clock import utc_now
from onethread.platform.db import Database
from tests.kits.tincan import Call, TinCan, draft_of
from tests.kits.world import World


async def answer_everybody(world: World, text: str = "On its way", **how: object) -> list[Spoken]:
    spoken = []
    for row in await world.inbox():
        async with world.database.transaction() as tx:
            say = replace(Say(Content(text=text)), **how)  # type: ignore[arg-type]
            spoken.append(await actions.send(tx, SYSTEM, await world.desks(), row.id, say, utc_now()))
    return spoken


async def statuses(world: World) -> list[str]:
    async with world.database.transaction() as tx:
        return await tx.values("SELECT status FROM conversations.delivery ORDER BY id")


async def handed_over(world: World) -> None:
    """Hand over what is due without writing down what became of it."""
    await world.sender.step()
    await asyncio.wait(set(world.sender._under_way))
    await asyncio.sleep(0)


@pytest.fixture
def can() -> TinCan:
    return TinCan()


@pytest.fixture
async def world(database: Database, can: TinCan) -> World:
    return await World.open(database, can)


@pytest.mark.parametrize(
    "odd", [Sent("the same for everybody"), Sent("a null \0"), Sent("half \ud800"), Unreachable("a null \0")], ids=str
)
async def test_an_answer_that_cannot_be_written_loses_no_other(world: World, can: TinCan, odd: Outcome) -> None:
    await world.hear(*(Call(f"m-{who}", who, text="Hello") for who in ("ana", "bruno", "hanako")))
    first = iter([odd, odd])

    def answer(outgoing: Outgoing) -> Outcome:
        return next(first, Sent(reference_of(outgoing.delivery_id)))

    can.answer = answer
    await answer_everybody(world)
    await world.send_all()
    expected = {"sent"} if isinstance(odd, Sent) else {"sent", "failed"}
    assert set(await statuses(world)) == expected
    assert len(can.sent) == 3


async def test_results_survive_a_stop_while_they_are_written(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer_everybody(world)
    await handed_over(world)
    async with world.database.transaction() as tx:
        await tx.run("SELECT FROM conversations.delivery FOR UPDATE")
        writing = asyncio.create_task(world.sender._write_results())
        await blocked(world)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    await world.sender.drain()
    assert await statuses(world) == ["sent"]


async def test_a_late_success_is_believed_after_the_lease_ran_out(world: World, can: TinCan) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer_everybody(world)
    await handed_over(world)
    await world.value("UPDATE conversations.delivery SET lease_until = now() - interval '1 s' RETURNING 1")
    await world.sender.sweep()
    assert await statuses(world) == ["unknown"]
    await world.sender.drain()
    assert await statuses(world) == ["sent"]
    await world.value("UPDATE conversations.delivery SET due_at = now() RETURNING 1")
    await world.sender.sweep()
    await world.send_all()
    assert len(can.sent) == 1


async def test_a_late_failure_never_undoes_a_newer_attempt(world: World, can: TinCan) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer_everybody(world)
    can.answer = lambda _: Unreachable("no such address", permanent=False)
    await handed_over(world)
    await world.value("UPDATE conversations.delivery SET status = 'queued', lease_until = NULL RETURNING 1")
    await world.sender.drain()
    assert await statuses(world) == ["queued"]


async def test_silence_is_answered_with_one_repetition_and_no_more(world: World, can: TinCan) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    can.answer = lambda _: Unknown("the line went dead")
    await answer_everybody(world)
    for _ in range(4):
        await world.send_all()
        await world.value("UPDATE conversations.delivery SET due_at = now() RETURNING 1")
        await world.sender.sweep()
    assert [one.repeated for one in can.sent] == [False, True]
    assert await statuses(world) == ["failed"]
    assert "unknown" in await world.value("SELECT reason FROM conversations.delivery")


async def test_what_is_unsent_before_it_left_never_leaves(database: Database) -> None:
    from datetime import timedelta

    can = TinCan(subject=True)
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"))
    (spoken,) = await answer_everybody(world, hold=timedelta(seconds=60))
    async with world.database.transaction() as tx:
        await actions.unsend(tx, SYSTEM, await world.desks(), spoken.message_id, utc_now())
    await world.value("UPDATE conversations.delivery SET due_at = now() RETURNING 1")
    await world.send_all()
    assert can.sent == []
    assert await statuses(world) == ["cancelled"]


async def test_only_the_address_a_status_speaks_of_is_stopped(world: World) -> None:
    await world.hear(*(Call(f"m-{who}", who, text="Hello") for who in ("ana", "bruno", "hanako")))
    spoken = await answer_everybody(world)
    await world.send_all()
    places = [reference_of(one.delivery_id) for one in spoken if one.delivery_id is not None]
    news = [
        Call("s1", "-", "status", target=places[0], status="failed", text="mailbox full"),
        Call("s2", "-", "status", target=places[1], status="failed", text="5.1.1", permanent=True),
        Call("s3", "-", "status", target=places[2], status="delivered"),
    ]
    await world.reception.receive(world.account_ids["tincan"], [draft_of(call) for call in news])
    await world.apply()
    async with world.database.transaction() as tx:
        stopped = await tx.tuples("SELECT purpose, reason FROM conversations.suppression")
    assert stopped == [("all", "5.1.1")]


async def test_a_complaint_stops_marketing_to_whoever_complained_alone(world: World) -> None:
    await world.hear(*(Call(f"m-{who}", who, text="Hello") for who in ("ana", "bruno")))
    spoken = await answer_everybody(world)
    await world.send_all()
    places = [reference_of(one.delivery_id) for one in spoken if one.delivery_id is not None]
    await world.hear(Call("s1", "-", "status", target=places[0], status="delivered"))
    news = [
        # The complaint tells nothing new of the delivery itself.
        Call("s2", "-", "status", target=places[0], status="delivered", text="spam", complaint=True),
        Call("s3", "-", "status", target=places[1], status="read"),
    ]
    await world.reception.receive(world.account_ids["tincan"], [draft_of(call) for call in news])
    await world.apply()
    async with world.database.transaction() as tx:
        stopped = await tx.tuples(
            """
            SELECT purpose, identifier.value
              FROM conversations.suppression
              JOIN customers.identifier ON identifier.id = identifier_id
            """
        )
    (first,) = [row for row in await world.inbox() if row.id == spoken[0].conversation_id]
    assert stopped == [("marketing", first.identifier.partition(":")[2])]


async def blocked(world: World) -> None:
    """Wait until somebody waits for a lock."""
    for _ in range(500):
        async with world.database.transaction() as tx:
            if await tx.value("SELECT true FROM pg_locks WHERE NOT granted LIMIT 1"):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody ever waited for a lock")
