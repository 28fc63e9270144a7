"""What comes in is neither lost nor held up by what comes in beside it."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg.errors
import pytest

from onethread.channels.contract import ReceiptDraft
from onethread.channels.model import KeptReceipt, Settled, lane_of
from onethread.conversations.receiving import receiver
from onethread.conversations.receiving.applying import apply_batch
from onethread.conversations.receiving.placing import CustomersMoved
from onethread.kernel.errors import Refused, Unavailable
from onethread.platform.db import Database, Tx
from tests.kits.tincan import Call, TinCan, draft_of
from tests.kits.world import World

Apply = Callable[[Tx, Any, Sequence[KeptReceipt], datetime], Awaitable[list[Settled]]]


@pytest.fixture
async def world(database: Database) -> World:
    return await World.open(database, TinCan())


@pytest.mark.parametrize(
    "id_", ["a null \0", "half a letter \ud800", secrets.token_hex(5000)], ids=["null", "half", "long"]
)
async def test_an_odd_id_does_not_turn_others_away(world: World, id_: str) -> None:
    account = world.account_ids["tincan"]
    good = draft_of(Call("m1", "ana", text="Hello"))
    odd = replace(draft_of(Call("m2", "bruno", text="Good day")), external_id=id_, sender=id_)
    answers = await asyncio.gather(
        world.reception.receive(account, [odd]), world.reception.receive(account, [good]), return_exceptions=True
    )
    assert list(answers) == [[True], [True]]
    assert await world.reception.receive(account, [odd]) == [False]
    await world.apply()
    assert {row.last_text for row in await world.inbox()} == {"Hello", "Good day"}


async def test_a_message_with_an_endless_id_is_not_parked(world: World) -> None:
    id_ = secrets.token_hex(5000)
    await world.hear(Call(id_, "ana", text="Hello"))
    again = replace(draft_of(Call(id_, "ana", text="Hello")), external_id="told again")
    await world.reception.receive(world.account_ids["tincan"], [again])
    await world.apply()
    assert await world.parked() == []
    (row,) = await world.inbox()
    assert (row.last_text, row.last_seq) == ("Hello", 1)


async def test_two_messages_under_one_id_at_once_are_both_kept(world: World) -> None:
    calls = [
        Call("same", "ana", text="Hello"),
        Call("same", "bruno", text="Good day"),
        Call("same", "ana", text="Hello"),
    ]
    drafts = [ReceiptDraft(f"r{n}", "one lane", draft_of(call).body) for n, call in enumerate(calls)]
    await world.reception.receive(world.account_ids["tincan"], drafts)
    await world.apply()
    assert sorted((row.last_text, row.last_seq) for row in await world.inbox()) == [("Good day", 1), ("Hello", 1)]


async def test_a_full_disk_parks_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.reception.receive(world.account_ids["tincan"], [draft_of(Call("m1", "ana", text="Hello"))])

    async def full(*_: object) -> list[Settled]:
        raise psycopg.errors.DiskFull("no space left on device")

    monkeypatch.setattr(receiver, "apply_batch", full)
    with pytest.raises(Unavailable):
        await world.receiver.step(lane_of("can:ana"))
    monkeypatch.undo()
    await world.apply()
    assert [row.last_text for row in await world.inbox()] == ["Hello"]


async def test_a_disk_that_fills_up_between_two_tries_parks_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.reception.receive(world.account_ids["tincan"], [draft_of(Call("m1", "ana", text="Hello"))])
    failures: list[Exception] = [Refused("try them one by one"), psycopg.errors.DiskFull("no space left on device")]

    async def full(*_: object) -> list[Settled]:
        raise failures.pop(0)

    monkeypatch.setattr(receiver, "apply_batch", full)
    with pytest.raises(Unavailable):
        await world.receiver.step(lane_of("can:ana"))
    assert await world.parked() == []


async def test_who_has_to_wait_is_not_overtaken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    apply: Apply = apply_batch
    in_the_way = [True, True, True]

    async def sometimes(tx: Tx, desk: Any, receipts: Sequence[KeptReceipt], now: datetime) -> list[Settled]:
        if receipts[0].external_id == "m1" and in_the_way:
            in_the_way.pop()
            raise CustomersMoved
        return await apply(tx, desk, receipts, now)

    monkeypatch.setattr(receiver, "apply_batch", sometimes)
    calls = [Call(f"m{n}", "ana", text=str(n)) for n in (1, 2, 3)]
    await world.reception.receive(world.account_ids["tincan"], [draft_of(call) for call in calls])
    await world.apply()
    (row,) = await world.inbox()
    assert [line.content["text"] for line in await world.messages(row.id)] == ["1", "2", "3"]
