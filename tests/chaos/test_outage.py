"""PostgreSQL goes away under load and comes back: callers are told to come again, and nothing is lost."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from onethread.app.migrations import migrate
from onethread.platform.embedded import EmbeddedPostgres
from tests.kits.load import Ledger, check_what_came_in, keep_saying, stop
from tests.kits.server import Server
from tests.kits.shop import Shop
from tests.machines.figures import Tell
from tests.machines.waiting import until

pytestmark = [pytest.mark.xdist_group("kills"), pytest.mark.timeout(600)]

SENDERS = 6


@pytest.fixture
def postgres(data_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the operator's: the server does not look after it."""
    (data_folder / "theirs").mkdir(mode=0o755)
    postgres = EmbeddedPostgres(data_folder / "theirs")
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture
async def shop(postgres: EmbeddedPostgres, data_folder: Path) -> AsyncIterator[Shop]:
    await asyncio.to_thread(migrate.upgrade, postgres.conninfo())
    server = Server(data_folder / "ours", postgres.conninfo())
    await asyncio.to_thread(server.found)
    await asyncio.to_thread(server.start)
    try:
        async with Shop.on(server) as shop:
            yield shop
    finally:
        server.kill()


async def test_the_database_stops_under_load_and_comes_back(
    shop: Shop, postgres: EmbeddedPostgres, figure: Tell, chaos: bool
) -> None:
    away = 20.0 if chaos else 5.0
    ledger, visitors = Ledger(), [uuid4() for _ in range(SENDERS)]
    load = [asyncio.create_task(keep_saying(shop, visitor, ledger)) for visitor in visitors]
    await heard_more(ledger, 50)
    await asyncio.to_thread(postgres.stop)
    stopped, before = time.monotonic(), len(ledger.heard)
    while time.monotonic() < stopped + away:
        await check_what_callers_are_told(shop)
        await asyncio.sleep(0.5)
    assert len(ledger.heard) == before, "nothing is acknowledged that is not in the database"
    assert ledger.refused > 0
    assert set(ledger.problems) == {(503, "application/problem+json", True)}
    await asyncio.to_thread(postgres.start)
    began = time.monotonic()
    await asyncio.to_thread(shop.server.wait_until_ready)
    ready = time.monotonic() - began
    await heard_more(ledger, 50)
    await stop(load)
    await shop.applied()
    await check_what_came_in(shop, visitors, ledger)
    figure(f"outage: {away:.0f} s, {ledger.refused:,} callers told to come again; ready after {ready:.1f} s")


async def test_a_database_that_hangs_holds_callers_up_and_loses_nothing(
    shop: Shop, postgres: EmbeddedPostgres, chaos: bool
) -> None:
    ledger, visitors = Ledger(), [uuid4() for _ in range(SENDERS)]
    load = [asyncio.create_task(keep_saying(shop, visitor, ledger)) for visitor in visitors]
    await heard_more(ledger, 20)
    with frozen(postgres):
        for _ in range(20 if chaos else 3):
            async with shop.line() as http:
                assert (await http.get("/healthz")).status_code == 200
            await asyncio.sleep(1)
    await heard_more(ledger, 20)
    await stop(load)
    await asyncio.to_thread(shop.server.wait_until_ready)
    await shop.applied()
    await check_what_came_in(shop, visitors, ledger)


async def check_what_callers_are_told(shop: Shop) -> None:
    """Alive, not ready, and whoever asks is told when to come again."""
    async with httpx.AsyncClient(base_url=shop.server.url, trust_env=False, timeout=30) as http:
        assert (await http.get("/healthz")).status_code == 200
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["database"]) == (503, "down")
    asked = await shop.api.get("/conversations")
    assert asked.status_code == 503
    assert asked.headers["content-type"] == "application/problem+json"
    assert int(asked.headers["retry-after"]) > 0
    assert asked.json()["code"] == "unavailable"


async def heard_more(ledger: Ledger, count: int) -> None:
    wanted = len(ledger.heard) + count

    async def enough() -> bool:
        return len(ledger.heard) >= wanted

    await until(enough, seconds=60)


@contextmanager
def frozen(postgres: EmbeddedPostgres) -> Iterator[None]:
    """Stop every process of the database in its tracks, as a dying disk does."""
    postmaster = int((postgres.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    pids = [postmaster, *(child.pid for child in psutil.Process(postmaster).children(recursive=True))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
