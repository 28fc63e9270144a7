"""The durable way in and its door: nobody's body is held without bound, nobody waits for each other for ever."""

import asyncio
from collections.abc import Iterator

import pytest

from onethread.channels import door as door_module
from onethread.channels.door import HookDoor
from onethread.channels.reception import Reception
from onethread.platform.db import Database
from tests.kits.tincan import Call, draft_of
from tests.kits.world import World


@pytest.fixture
async def world(database: Database) -> World:
    return await World.open(database)


async def test_the_same_receipts_in_another_order_are_kept_by_both(world: World) -> None:
    account_id = world.account_ids["tincan"]
    other = Reception(world.database, world.accounts, world.receiver.tell)
    for turn in range(4):
        drafts = [draft_of(Call(f"r{turn}-{n}", f"somebody {n}", text="Hello")) for n in range(300)]
        kept = await asyncio.gather(
            world.reception.receive(account_id, drafts), other.receive(account_id, drafts[::-1])
        )
        assert sum(kept[0]) + sum(kept[1]) == 300
    assert await world.value("SELECT count(*) FROM channels.receipt") == 1200


async def test_large_bodies_have_a_bound_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_MOST_AT_ONCE", 100)
    door = HookDoor(world.database, world.accounts, world.channels, world.reception)
    assert await _post(door, world, [b"x" * 60, b"x" * 60]) == 503
    # What was refused is let go: the next one is heard (and, unsigned, told so).
    assert await _post(door, world, [b"x" * 20, b"x" * 20]) == 401


async def _post(door: HookDoor, world: World, pieces: list[bytes]) -> int:
    coming: Iterator[bytes] = iter(pieces)
    left = len(pieces)
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(coming), "more_body": left > 0}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    path = f"/hooks/{world.account_ids['tincan']}"
    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    await door(scope, receive, send)  # type: ignore[arg-type]
    return statuses[0]
