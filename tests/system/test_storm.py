"""Twenty times the usual traffic on one account: the others are served meanwhile, and the backlog drains."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from statistics import quantiles
from uuid import UUID, uuid4

import pytest

from tests.kits.server import Server
from tests.kits.shop import HOOK_SECRET, Shop, said
from tests.machines.figures import Tell
from tests.machines.waiting import until

pytestmark = pytest.mark.timeout(600)

CALM = 10  # messages a second of a quiet account
STORM = 20 * 2 * CALM


@pytest.fixture
async def shop(own_server: Server) -> AsyncIterator[Shop]:
    async with Shop.on(own_server) as shop:
        yield shop


async def test_a_storm_on_one_account_leaves_the_others_their_order_and_drains(
    shop: Shop, figure: Tell, chaos: bool
) -> None:
    seconds = 60 if chaos else 4
    quiet = await shop.account("webchat", {"hook_secret": HOOK_SECRET})
    calm, storming = uuid4(), asyncio.create_task(storm(shop, seconds))
    sent = await speak_calmly(shop, quiet, calm, storming)
    told = await storming
    await shop.applied(seconds=120)
    rows = await shop.rows(
        """
        SELECT message.content ->> 'text', extract(epoch FROM message.recorded_at)::float
          FROM conversations.message
         WHERE account_id = %s
         ORDER BY conversation_id, seq
        """,
        quiet,
    )
    assert [text for text, _ in rows] == [f"calm {number}" for number in range(len(sent))]
    count = await shop.value("SELECT count(*) FROM conversations.message WHERE account_id = %s", shop.chat)
    assert count == told
    assert await shop.parked() == []
    waits = [applied - at for at, (_, applied) in zip(sent, rows, strict=True)]
    figure(
        f"storm: {told:,} messages in {seconds} s on one account; of another one {len(sent)} messages, "
        f"applied after {quantiles(waits, n=20)[9] * 1000:.0f} ms (median), "
        f"{quantiles(waits, n=20)[18] * 1000:.0f} ms (p95)"
    )


async def storm(shop: Shop, seconds: float) -> int:
    """Post in bursts, as a provider does that comes back after an outage; return how many were taken."""
    visitors, told, number = [uuid4() for _ in range(200)], 0, 0
    ends = time.monotonic() + seconds
    async with shop.line() as http:
        while time.monotonic() < ends:
            burst = [
                json.loads(said(visitors[(number + n) % 200], f"s{number + n}", "Hello?")) for n in range(STORM // 4)
            ]
            response = await shop.hook(http, json.dumps({"events": burst}).encode())
            assert response.status_code == 200, response.text
            number += len(burst)
            told += len(burst)
            await asyncio.sleep(0.25)
    return told


async def speak_calmly(shop: Shop, account: str, visitor: UUID, storming: asyncio.Task[int]) -> list[float]:
    """Say one thing after the other until the storm is over; return when each was acknowledged."""
    sent = []
    async with shop.line() as http:
        while not storming.done():
            response = await shop.hook(http, said(visitor, f"c{len(sent)}", f"calm {len(sent)}"), account=account)
            assert response.status_code == 200, response.text
            sent.append(time.time())
            await asyncio.sleep(1 / CALM)

    async def some_are_applied() -> bool:
        return bool(await shop.value("SELECT count(*) FROM conversations.message WHERE account_id = %s", account))

    await until(some_are_applied)
    return sent
