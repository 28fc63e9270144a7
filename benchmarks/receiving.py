"""Durable receive: a signed webhook, 200 after the commit; beside an empty handler, bare inserts and an ORM."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from statistics import median

from benchmarks import baseline, load, serving
from benchmarks.figures import Figure, number
from benchmarks.serving import Running
from benchmarks.shop import Shop
from benchmarks.writers import letters, requests
from onethread.adapters.channels.webchat.wire.reading import split_request
from onethread.channels.model import LANES, lane_of
from onethread.platform.arrays import ColumnDumper

CLIENTS = 64
RUNS = 3
SECONDS = 8
_MOST = 12_000  # a second, that we prepare requests for


async def measure(shop: Shop, server: Running) -> list[Figure]:
    """Measure the door of a running server, alone (another process would apply) and while the server applies too."""
    with _lanes_taken(shop):
        ours = [await _press(shop, server, shop.deeds.hook_secret) for _ in range(RUNS)]
    busy = await _press(shop, server, shop.deeds.hook_secret)
    async with _compared("empty") as other:
        empty = await _press(shop, other, shop.deeds.hook_secret)
    async with _compared("orm", dsn=shop.sqlalchemy_dsn("baseline")) as other:
        orm = await _press(shop, other, baseline.SECRET)
    bare = _bare_inserts(shop, seconds=SECONDS / 2)
    rates = [one.rate for one in ours]
    rate = median(rates)
    return [
        Figure(
            "durable receive, 64 clients",
            "/s",
            rates,
            6_000,
            higher=True,
            ceiling=f"empty handler {number(empty.rate)}/s ({rate / empty.rate:.0%}); "
            f"bare INSERT of the same receipts, 64 a commit {number(bare)}/s ({rate / bare:.0%})",
            note=f"failed: {sum(one.failed for one in ours)}",
        ),
        Figure(
            "durable receive, p99", "ms", [one.p99 for one in ours], 50, ceiling=f"empty handler {empty.p99:.1f} ms"
        ),
        Figure(
            "durable receive while the same process applies, as much as it can",
            "/s",
            [busy.rate],
            note=f"p99 {busy.p99:.0f} ms",
        ),
        Figure(
            "durable receive beside FastAPI + ORM, one transaction a message",
            "times",
            [one / orm.rate for one in rates],
            10,
            higher=True,
            ceiling=f"ORM {number(orm.rate)}/s, p99 {orm.p99:.0f} ms",
            note=f"failed: {orm.failed}",
        ),
    ]


@contextmanager
def _lanes_taken(shop: Shop) -> Iterator[None]:
    """Have every lane, as another process would that applies: the receipts are left to us, and we leave them."""
    with shop.connect() as conn:
        conn.execute("SELECT pg_advisory_lock(1869505140, lane) FROM generate_series(0, %s) AS lane", (LANES - 1,))
        yield


async def _press(shop: Shop, server: Running, secret: str) -> load.Answered:
    signed = replace(shop, deeds=shop.deeds.signing_with(secret))
    with load.written(requests(signed, SECONDS * _MOST, host=server.host)) as file:
        return await load.press(server.url, file, clients=CLIENTS, seconds=SECONDS)


def _compared(kind: str, *, dsn: str = "") -> AbstractAsyncContextManager[Running]:
    port = serving.free_port()
    command = (sys.executable, "-m", "benchmarks.baseline", kind, str(port), dsn)
    return serving.process(command, port=port, ready="/ready")


def _bare_inserts(shop: Shop, *, seconds: float, at_once: int = CLIENTS) -> float:
    """Return how many receipts a second one connection inserts, `at_once` in a transaction, made beforehand."""
    drafts = [draft for letter in letters(shop, 40_000) for draft in split_request(letter.body)]
    sets: list[Sequence[object]] = []
    for start in range(0, len(drafts), at_once):
        part = drafts[start : start + at_once]
        sets.append(
            (
                [shop.deeds.account_id] * len(part),
                [draft.external_id for draft in part],
                [draft.sender for draft in part],
                [lane_of(draft.sender) for draft in part],
                [draft.form for draft in part],
                [draft.body for draft in part],
            )
        )
    with shop.connect() as conn:
        conn.adapters.register_dumper(list, ColumnDumper)
        started = time.perf_counter()
        done = 0
        for columns in sets:
            conn.execute(
                """
                INSERT INTO channels.receipt (account_id, external_id, sender, lane, form, body, state)
                SELECT *, 'dismissed'
                  FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::smallint[], %b::text[], %b::bytea[])
                    ON CONFLICT (account_id, external_id) DO NOTHING
                RETURNING account_id, external_id
                """,
                columns,
            ).fetchall()
            done += at_once
            if time.perf_counter() - started > seconds:
                break
        return done / (time.perf_counter() - started)
