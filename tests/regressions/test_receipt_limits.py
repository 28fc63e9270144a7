"""Receipts are raw personal data: whoever works for one brand neither sees nor moves those of another."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from onethread.access.model import SYSTEM, Actor
from onethread.channels import actions
from onethread.kernel.errors import NotFound
from onethread.kernel.ids import BrandId
from onethread.platform.db import Database, Tx
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World


@pytest.fixture
async def world(database: Database) -> World:
    world = await World.open(database, TinCan())
    await world.hear(Call("bad", "ana", "nonsense", text="This"))
    return world


@pytest.fixture
async def tx(world: World) -> AsyncIterator[Tx]:
    async with world.database.transaction() as tx:
        yield tx


@pytest.fixture
def insider(world: World) -> Actor:
    return replace(SYSTEM, brands=frozenset({world.brand_id}))


@pytest.fixture
def outsider() -> Actor:
    return replace(SYSTEM, brands=frozenset({BrandId(uuid4())}))


async def seqs(tx: Tx, actor: Actor) -> list[int]:
    lines = await actions.list_receipts(tx, actor, state=None, account_id=None, before=None, limit=10)
    return [line.seq for line in lines]


async def test_receipts_of_another_brand_are_not_there(tx: Tx, insider: Actor, outsider: Actor) -> None:
    (seq,) = await seqs(tx, insider)
    assert await seqs(tx, outsider) == []
    line, kept = await actions.get_receipt(tx, insider, seq)
    assert (line.seq, kept.seq) == (seq, seq)
    with pytest.raises(NotFound):
        await actions.get_receipt(tx, outsider, seq)


async def test_receipts_of_another_brand_are_not_moved(tx: Tx, insider: Actor, outsider: Actor) -> None:
    (seq,) = await seqs(tx, insider)
    assert await actions.replay_receipts(tx, outsider, None) == []
    assert await actions.replay_receipts(tx, outsider, [seq]) == []
    assert await actions.dismiss_receipts(tx, outsider, [seq]) == 0
    assert len(await actions.replay_receipts(tx, insider, [seq])) == 1
