"""What a screen asks of the API: the inbox, a conversation, the thread of a long history; beside bare index scans."""

import random
import time
from collections.abc import Sequence
from typing import Final, LiteralString

from benchmarks import load
from benchmarks.figures import Figure, percentile
from benchmarks.serving import Running
from benchmarks.shop import Shop

RUNS: Final = 3
SECONDS: Final = 4
_KINDS: Final = 400  # different conversations asked for

_INBOX_SCAN: Final[LiteralString] = """
    SELECT * FROM conversations.inbox_row WHERE status = 'open'
     ORDER BY last_message_at DESC, conversation_id DESC LIMIT 50
"""
_MESSAGE_SCAN: Final[LiteralString] = """
    SELECT * FROM conversations.message WHERE conversation_id = %s ORDER BY seq DESC LIMIT 50
"""
_EVENT_SCAN: Final[LiteralString] = """
    SELECT * FROM platform.event WHERE identifier_id = %s ORDER BY occurred_at DESC, id DESC LIMIT 50
"""


async def measure(shop: Shop, server: Running) -> list[Figure]:
    customer_id, identifier_id, conversations = _asked_for(shop)
    inbox = [f"/api/v1/conversations?status=open&limit=50{more}" for more in ("", "&assignee=none")]
    mine = f"/api/v1/conversations?status=open&limit=50&assignee={shop.deeds.agent_id}"
    rows: list[Figure] = []
    nothing: list[tuple[object, ...]] = [()]
    asked: Sequence[tuple[str, list[str], float, LiteralString, list[tuple[object, ...]]]] = (
        ("inbox page of 50, p95", [*inbox, mine], 30, _INBOX_SCAN, nothing),
        (
            "conversation switched to: its messages, p95",
            [f"/api/v1/conversations/{one}/messages?limit=50" for one in conversations],
            30,
            _MESSAGE_SCAN,
            [(one,) for one in conversations],
        ),
        (
            f"thread of a customer with {shop.size.long_history:,} events, first page, p95",
            [f"/api/v1/customers/{customer_id}/thread?limit=50"],
            20,
            _EVENT_SCAN,
            [(identifier_id,)],
        ),
    )
    for what, paths, bar, scan, given in asked:
        runs = [await _ask(shop, server, paths) for _ in range(RUNS)]
        bare = _bare(shop, scan, given)
        rows.append(
            Figure(
                what,
                "ms",
                [one.p95 for one in runs],
                bar,
                ceiling=f"bare index scan, p95 {bare:.2f} ms",
                note=f"p50 {runs[-1].p50:.1f} ms, failed: {sum(one.failed for one in runs)}",
            )
        )
    return rows


def _asked_for(shop: Shop) -> tuple[str, str, list[str]]:
    with shop.connect() as conn:
        long = conn.execute(
            "SELECT customer_id, id FROM customers.identifier WHERE value = 'ana@long.example'"
        ).fetchone()
        assert long is not None
        dice = random.Random(7)
        numbers = [dice.randint(1, shop.size.customers) for _ in range(_KINDS)]
        ids = conn.execute(
            "SELECT id FROM conversations.conversation WHERE number = ANY (%b::bigint[])", (numbers,)
        ).fetchall()
    return str(long[0]), str(long[1]), [str(id_) for (id_,) in ids]


async def _ask(shop: Shop, server: Running, paths: list[str]) -> load.Answered:
    asked = [load.get(path, host=server.host, key=shop.deeds.key) for path in paths]
    with load.written(asked * (20_000 // len(asked))) as file:
        return await load.press(server.url, file, clients=1, seconds=SECONDS)


def _bare(shop: Shop, scan: LiteralString, given: list[tuple[object, ...]]) -> float:
    """Return the p95 in milliseconds of the scan alone, on one warm connection."""
    took = []
    with shop.connect() as conn:
        for values in (given * 400)[:400]:
            started = time.perf_counter()
            conn.execute(scan, values).fetchall()
            took.append((time.perf_counter() - started) * 1e3)
    return percentile(took, 95)
