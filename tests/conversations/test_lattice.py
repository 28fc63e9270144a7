"""The database climbs exactly as the model says."""

from typing import get_args

from onethread.conversations.model import DeliveryStatus, climbs
from onethread.conversations.store import deliveries as store
from onethread.conversations.store.deliveries import News
from onethread.platform.db import Database
from tests.conversations.test_sending import answer
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World


async def test_sql_and_model_agree_on_every_pair(database: Database) -> None:
    world = await World.open(database, TinCan())
    await world.hear(Call("m1", "ana", text="Hello"))
    spoken = await answer(world)
    assert spoken.delivery_id is not None
    account_id = world.account_ids["tincan"]
    for old in get_args(DeliveryStatus):
        for new in ("sent", "delivered", "read", "failed"):
            async with world.database.transaction() as tx:
                await tx.run("UPDATE conversations.delivery SET status = %s", (old,))
                moved, found = await store.write_news(
                    tx,
                    [News(account_id, None, spoken.delivery_id, new, None)],  # type: ignore[arg-type]
                )
            assert set(found) == {0}
            assert bool(moved) == climbs(old, new), f"{old} -> {new}"  # type: ignore[arg-type]
