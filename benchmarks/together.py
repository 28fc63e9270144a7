"""Both at once: webhooks come in at a pace and are applied as they come, for a minute, on the server as it runs."""

import asyncio
from typing import Any, Final, LiteralString

from psycopg import Connection

from benchmarks import load
from benchmarks.figures import Figure, number
from benchmarks.serving import Running
from benchmarks.shop import Shop
from benchmarks.writers import requests

PACE: Final = 3_700  # a second
CLIENTS: Final = 64


async def measure(shop: Shop, server: Running, *, seconds: int) -> list[Figure]:
    cpu = server.cpu_seconds
    waiting: list[int] = []
    with load.written(requests(shop, seconds * (PACE + 100), host=server.host)) as file:
        pressing = asyncio.create_task(
            load.press(server.url, file, clients=CLIENTS, seconds=seconds, pace=PACE), name="load"
        )
        with shop.connect() as conn:
            before = _messages(conn)
            while not pressing.done():
                await asyncio.sleep(1)
                waiting.append(_waiting(conn))
            answered = await pressing
            left = _waiting(conn)  # was not applied within the time
            while _waiting(conn):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)  # PostgreSQL counts at its leisure
            applied = _messages(conn) - before - left
    cpu = server.cpu_seconds - cpu
    offered = f"offered {number(PACE)}/s for {seconds} s, acknowledged {number(answered.rate)}/s"
    return [
        Figure(
            "both at once, applied end to end",
            "/s",
            [applied / answered.seconds],
            3_500,
            higher=True,
            ceiling=offered,
            note=f"failed: {answered.failed}; {cpu / max(answered.answers, 1) * 1e6:.0f} us of the server's "
            "processor time a message",
        ),
        Figure(
            "both at once, longest backlog",
            "messages",
            [max(waiting)],
            2 * PACE,
            ceiling="two seconds of the load",
            note="each second: " + " ".join(str(one) for one in waiting[:: max(1, len(waiting) // 20)]),
        ),
        Figure("both at once, p99 of the acknowledgement", "ms", [answered.p99]),
        Figure("resident memory of the server after it", "MB", [server.megabytes], 300),
    ]


def _waiting(conn: Connection[Any]) -> int:
    return _value(conn, "SELECT count(*) FROM channels.receipt WHERE state = 'waiting'")


def _messages(conn: Connection[Any]) -> int:
    """Return the number of messages written since the server of the database started counting them."""
    conn.execute("SELECT pg_stat_clear_snapshot()")
    return _value(conn, "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relid = 'conversations.message'::regclass")


def _value(conn: Connection[Any], sql: LiteralString) -> int:
    row = conn.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
