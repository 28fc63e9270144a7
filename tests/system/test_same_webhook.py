"""The same thing told several times, at once, in any order, to any process: it happened once."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import httpx
import pytest

from tests.kits.shop import Shop, said
from tests.machines.receiver import Receiver
from tests.machines.waiting import until
from tests.peers.sink import Sink

pytestmark = pytest.mark.timeout(300)


async def post_over(lines: Sequence[httpx.AsyncClient], shop: Shop, bodies: Sequence[bytes]) -> None:
    """Post bodies over several connections at once, each taking the next one that is left."""
    left = list(bodies)

    async def post(line: httpx.AsyncClient) -> None:
        while left:
            response = await shop.hook(line, left.pop())
            assert response.status_code == 200, response.text

    await asyncio.gather(*(post(line) for line in lines))


async def conversations_of(shop: Shop, visitors: Sequence[UUID]) -> dict[UUID, list[tuple[str, str]]]:
    """Return, by visitor, (conversation, text) of every message in order."""
    rows = await shop.rows(
        """
        SELECT identifier.value, message.conversation_id::text, message.content ->> 'text'
          FROM conversations.message
          JOIN customers.identifier ON identifier.id = message.identifier_id
         WHERE identifier.value = ANY (%s::text[]) AND message.direction = 'in'
         ORDER BY message.conversation_id, message.seq
        """,
        [str(visitor) for visitor in visitors],
    )
    found: dict[UUID, list[tuple[str, str]]] = {visitor: [] for visitor in visitors}
    for value, conversation, text in rows:
        found[UUID(value)].append((conversation, text))
    return found


async def customers_of(shop: Shop, visitors: Sequence[UUID]) -> list[int]:
    """Return how many customers each visitor is: one, it should be."""
    return [
        count
        for (count,) in await shop.rows(
            """
            SELECT count(DISTINCT customer_id)::int
              FROM customers.identifier
             WHERE value = ANY (%s::text[])
             GROUP BY value
            """,
            [str(visitor) for visitor in visitors],
        )
    ]


async def test_the_same_webhook_three_times_out_of_order_from_four_connections_is_one_message(shop: Shop) -> None:
    dice = random.Random(3)
    visitors = [uuid4() for _ in range(5)]
    events = [said(visitor, f"m{number}", f"message {number}") for visitor in visitors for number in range(10)]
    bodies = events * 3
    dice.shuffle(bodies)
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(shop.line()) for _ in range(4)]
        await post_over(lines, shop, bodies)
    await shop.applied()
    for said_ in (await conversations_of(shop, visitors)).values():
        assert sorted(text for _, text in said_) == sorted(f"message {number}" for number in range(10))
        assert len({conversation for conversation, _ in said_}) == 1
    assert await customers_of(shop, visitors) == [1] * 5


async def test_two_messages_of_a_new_sender_at_the_same_instant_are_one_customer_and_one_conversation(
    shop: Shop,
) -> None:
    visitors = [uuid4() for _ in range(25)]
    async with shop.line() as one, shop.line() as other:
        for visitor in visitors:
            await asyncio.gather(
                post_over([one], shop, [said(visitor, "a", "Hello")]),
                post_over([other], shop, [said(visitor, "b", "Hello?")]),
            )
    await shop.applied()
    for said_ in (await conversations_of(shop, visitors)).values():
        assert sorted(text for _, text in said_) == ["Hello", "Hello?"]
        assert len({conversation for conversation, _ in said_}) == 1
    assert await customers_of(shop, visitors) == [1] * 25


async def test_two_processes_share_the_work_and_keep_every_senders_order(chain: Shop, chaos: bool) -> None:
    senders, turns = (60, 60) if chaos else (16, 12)
    visitors = [uuid4() for _ in range(senders)]
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(chain.line())
        there = await stack.enter_async_context(chain.line(chain.others[0]))

        async def talk(visitor: UUID) -> None:
            """Say one thing after the other, each to both processes at once, each acknowledged before the next."""
            for number in range(turns):
                body = said(visitor, f"m{number}", f"message {number}")
                answers = await asyncio.gather(chain.hook(here, body), chain.hook(there, body))
                assert [answer.status_code for answer in answers] == [200, 200]

        await asyncio.gather(*(talk(visitor) for visitor in visitors))
    await chain.applied()
    for said_ in (await conversations_of(chain, visitors)).values():
        assert [text for _, text in said_] == [f"message {number}" for number in range(turns)]
        assert len({conversation for conversation, _ in said_}) == 1
    assert await customers_of(chain, visitors) == [1] * senders
    # Each conversation is opened once, each message announced once, whichever process it was.
    told = dict(await chain.rows("SELECT type, count(*)::int FROM platform.event GROUP BY type"))
    assert told["MessageReceived"] == senders * turns
    assert told["ConversationOpened"] == senders


async def test_two_processes_hand_every_answer_over_once_and_tell_every_event_once(chain: Shop) -> None:
    """What leaves: mails by one sender or the other, webhooks of ours from one cursor."""
    async with Sink.listening(slow=0.02) as sink, Receiver.listening() as partner:
        account = await chain.account(
            "email",
            {
                "address": "support@shop.test",
                "smtp_host": "127.0.0.1",
                "smtp_port": str(sink.port),
                "smtp_security": "none",
            },
        )
        await chain.post("/webhooks", {"url": partner.url, "types": ["MessageSent"]})

        async def write(line: httpx.AsyncClient, number: int) -> httpx.Response:
            body = {
                "brand_id": str(chain.server.brand_id),
                "to": f"email:c{number}@cust.test",
                "account_id": account,
                "text": "Your order is ready.",
                "hold_seconds": 0,
            }
            key = {"authorization": f"Bearer {chain.server.owner_key}"}
            return await line.post("/api/v1/messages", json=body, headers=key)

        async with chain.line() as here, chain.line(chain.others[0]) as there:
            # The other process knows the new account within two seconds.
            async def known() -> bool:
                return (await write(there, 0)).status_code == 201

            await until(known)
            for number in range(1, 24):
                response = await write(here if number % 2 else there, number)
                assert response.status_code == 201, response.text

        async def all_is_told() -> bool:
            sent = await chain.value("SELECT count(*) FROM conversations.delivery WHERE status = 'sent'")
            told = await chain.value("SELECT count(*) FROM platform.webhook_delivery WHERE state <> 'waiting'")
            return (sent, told) == (24, 24)

        await until(all_is_told, seconds=60)
    assert sorted(sink.taken.values()) == [1] * 24
    assert await chain.value("SELECT max(attempts) FROM conversations.delivery") == 1
    assert len({request.headers["webhook-id"] for request in partner.taken}) == len(partner.taken) == 24
