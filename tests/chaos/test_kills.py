"""kill -9 at random moments, under load: what was acknowledged is there once, what was sent was sent once."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from onethread.kernel.errors import Unavailable
from tests.kits.load import Ledger, check_what_came_in, keep_saying, keep_writing, stop
from tests.kits.server import Server
from tests.kits.shop import Shop
from tests.machines.figures import Tell
from tests.machines.waiting import until
from tests.peers.sink import Sink

pytestmark = [pytest.mark.xdist_group("kills"), pytest.mark.timeout(3600)]

SENDERS = 6
WRITERS = 3


@pytest.fixture
async def shop(data_folder: Path) -> AsyncIterator[Shop]:
    """A shop on an embedded PostgreSQL with all its safety on."""
    server = Server(data_folder)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.found)
    try:
        async with Shop.on(server) as shop:
            yield shop
    finally:
        await asyncio.to_thread(server.stop)


async def test_nothing_acknowledged_is_lost_or_doubled_however_often_the_server_is_killed(
    shop: Shop, figure: Tell, chaos: bool
) -> None:
    rounds = 200 if chaos else 8
    dice = random.Random(None if chaos else 11)
    ledger, recoveries = Ledger(), []
    async with Sink.listening(slow=0.05) as sink:
        shop.mailbox = await shop.account(
            "email",
            {
                "address": "support@shop.test",
                "smtp_host": "127.0.0.1",
                "smtp_port": str(sink.port),
                "smtp_security": "none",
            },
        )
        visitors = [uuid4() for _ in range(SENDERS)]
        load = [asyncio.create_task(keep_saying(shop, visitor, ledger)) for visitor in visitors]
        load += [asyncio.create_task(keep_writing(shop, f"w{number}", ledger)) for number in range(WRITERS)]
        for number in range(rounds):
            await asyncio.sleep(dice.uniform(0.1, 1.2))
            if number % 3 == 2:
                kill_database(shop.server)
                if number % 2:  # the server lives on, and finds its database again by itself
                    recoveries.append(await seconds_until_ready(shop.server))
                    continue
            shop.server.kill()
            began = time.monotonic()
            await asyncio.to_thread(shop.server.start)
            recoveries.append(time.monotonic() - began)
        await stop(load)

        await shop.applied(seconds=60)
        await check_what_came_in(shop, visitors, ledger)
        unknown = await check_what_went_out(shop, sink, ledger)
    twice = sum(count > 1 for count in sink.taken.values())
    figure(
        f"kills: {rounds} rounds, {len(ledger.heard):,} receipts and {len(ledger.written):,} answers acknowledged, "
        f"none lost; {sum(sink.taken.values()):,} mails handed over, outcome unknown {unknown}, "
        f"twice {twice} (each marked); {ledger.lost:,} requests cut, {ledger.refused:,} told to come again; "
        f"ready again after {sorted(recoveries)[len(recoveries) // 2]:.1f} s (median), {max(recoveries):.1f} s at most"
    )


def kill_database(server: Server) -> None:
    """kill -9 the postmaster of this server's folder."""
    pid = int((server.data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(pid, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        psutil.Process(pid).wait(timeout=10)


async def seconds_until_ready(server: Server) -> float:
    began = time.monotonic()
    await asyncio.to_thread(server.wait_until_ready)
    return time.monotonic() - began


async def check_what_went_out(shop: Shop, sink: Sink, ledger: Ledger) -> int:
    """No mail was handed over twice but where its outcome was unknown, and then it says so. Return how many."""

    async def nothing_is_due() -> bool:
        return await shop.value("SELECT count(*) FROM conversations.delivery WHERE status = 'queued'") == 0

    await until(nothing_is_due, seconds=120)
    assert [mail for mail, count in sink.taken.items() if count > 1] == [], "nothing is sent again before its time"
    unknown = await shop.value("SELECT count(*) FROM conversations.delivery WHERE status IN ('sending', 'unknown')")

    async def all_is_settled() -> bool:
        """Let the time pass after which an unknown outcome is tried once more."""
        with suppress(Unavailable):
            async with shop.database.transaction() as tx:
                await tx.run("UPDATE conversations.delivery SET lease_until = now() WHERE status = 'sending'")
                await tx.run("UPDATE conversations.delivery SET due_at = now() WHERE status = 'unknown'")
        return await shop.value("SELECT count(*) FROM conversations.delivery WHERE status <> 'sent'") == 0

    await until(all_is_settled, seconds=120, every=3.0)
    rows = await shop.rows(
        """
        SELECT message.client_id, delivery.external_id, delivery.repeated, delivery.attempts
          FROM conversations.delivery
          JOIN conversations.message ON message.id = delivery.message_id
        """
    )
    assert len(rows) == len({client_id for client_id, _, _, _ in rows}), "each answer was written down once"
    assert ledger.written <= {client_id for client_id, _, _, _ in rows}
    for _, message_id, repeated, _ in rows:
        assert sink.taken[message_id] == 1 or (repeated and sink.taken[message_id] == 2)
    assert set(sink.taken) == {message_id for _, message_id, _, _ in rows}
    return int(unknown)
