"""Load that never gives up, and the ledger of what was acknowledged to it."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from tests.kits.shop import Shop, said

PAUSE = 0.2  # seconds before somebody who was told to come again does


@dataclass
class Ledger:
    """What was acknowledged: (visitor, number) of what came in, client ids of what is to go out."""

    heard: set[tuple[UUID, int]] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    refused: int = 0  # answers that asked to come again
    lost: int = 0  # requests that died with the server
    problems: Counter[tuple[int, str, bool]] = field(default_factory=Counter)  # status, media type, says when


async def keep_saying(shop: Shop, visitor: UUID, ledger: Ledger) -> None:
    """Say one thing after the other, each until it is acknowledged, as a provider does."""
    async with httpx.AsyncClient(base_url=shop.server.url, trust_env=False, timeout=10) as line:
        for number in itertools.count():
            body = said(visitor, f"m{number}", f"message {number}")
            await until_taken(lambda body=body: shop.hook(line, body), 200, ledger)  # type: ignore[misc]
            ledger.heard.add((visitor, number))


async def keep_writing(shop: Shop, writer: str, ledger: Ledger) -> None:
    """Write to one customer after the other by mail, each until it is acknowledged."""
    headers = {"authorization": f"Bearer {shop.server.owner_key}"}
    async with httpx.AsyncClient(base_url=f"{shop.server.url}/api/v1", headers=headers, trust_env=False) as line:
        for number in itertools.count():
            client_id = f"{writer}-{number}"
            body = {
                "brand_id": str(shop.server.brand_id),
                "to": f"email:{client_id}@cust.test",
                "account_id": shop.mailbox,
                "text": "Your order is ready.",
                "hold_seconds": 0,
                "client_id": client_id,
            }
            await until_taken(lambda body=body: line.post("/messages", json=body), 201, ledger)  # type: ignore[misc]
            ledger.written.add(client_id)
            await asyncio.sleep(0.15)


async def until_taken(post: Callable[[], Awaitable[httpx.Response]], status: int, ledger: Ledger) -> None:
    """Post until it is acknowledged; whatever is not an acknowledgement must say to come again."""
    while True:
        try:
            response = await post()
        except httpx.TransportError:
            ledger.lost += 1
            await asyncio.sleep(PAUSE)
            continue
        if response.status_code == status:
            return
        assert response.status_code == 503, response.text
        ledger.problems[503, response.headers["content-type"], "retry-after" in response.headers] += 1
        ledger.refused += 1
        await asyncio.sleep(PAUSE)


async def check_what_came_in(shop: Shop, visitors: Sequence[UUID], ledger: Ledger) -> None:
    """Every message is there once, in its sender's order, with one customer and one conversation for each."""
    rows = await shop.rows(
        """
        SELECT identifier.value, substr(message.content ->> 'text', 9)::int, message.conversation_id,
               identifier.customer_id
          FROM conversations.message
          JOIN customers.identifier ON identifier.id = message.identifier_id
         WHERE message.direction = 'in'
         ORDER BY message.conversation_id, message.seq
        """
    )
    for visitor in visitors:
        mine = [
            (number, conversation, customer) for value, number, conversation, customer in rows if value == str(visitor)
        ]
        numbers = [number for number, _, _ in mine]
        acknowledged = [number for who, number in ledger.heard if who == visitor]
        # The last one may have been kept without our hearing of it.
        assert numbers == list(range(len(numbers)))
        assert len(numbers) - len(acknowledged) in {0, 1}
        assert len({conversation for _, conversation, _ in mine}) <= 1
        assert len({customer for _, _, customer in mine}) <= 1
    assert await shop.parked() == []
    told = await shop.value("SELECT count(*) FROM platform.event WHERE type = 'MessageReceived'")
    assert told == len(rows), "each message was announced once"


async def stop(load: Sequence[asyncio.Task[None]]) -> None:
    """Stop the load; what broke it is a failure of the test."""
    for task in load:
        task.cancel()
    for ended in await asyncio.gather(*load, return_exceptions=True):
        assert isinstance(ended, asyncio.CancelledError), ended
