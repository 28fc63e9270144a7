"""`python -m benchmarks [receive] [apply] [together] [pages] [live] [start]`: all of them without a name.

ONETHREAD_BENCH_MESSAGES (5,000,000) sets how much is preloaded: with 50,000 all of it is over in two minutes.
"""

import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
import uvloop

from benchmarks import applying, live, load, pages, receiving, serving, starting, together
from benchmarks.figures import Figure, table
from benchmarks.shop import FULL, Shop, opened, wanted_size

RESULTS: Final = Path(__file__).with_name("results.md")
PROFILE: Final = Path(__file__).with_name("profile.md")
ALL: Final = ("start", "receive", "apply", "together", "pages", "live")
_NEEDS_LOAD: Final = frozenset({"receive", "together", "pages"})


async def run(shop: Shop, wanted: Sequence[str]) -> list[Figure]:
    """Measure what is wanted, each on a server of its own, the heaviest last."""
    short = shop.size.messages < FULL
    figures: list[Figure] = []
    on_server: dict[str, Callable[[serving.Running], Awaitable[list[Figure]]]] = {
        "pages": lambda server: pages.measure(shop, server),
        "live": lambda server: live.measure(shop, server, seconds=5 if short else 15),
        "receive": lambda server: receiving.measure(shop, server),
        "together": lambda server: together.measure(shop, server, seconds=10 if short else 60),
    }
    if "start" in wanted:
        figures += _shown(await starting.measure())
    for name, measure in on_server.items():
        if name in wanted and not (name in _NEEDS_LOAD and load.missing()):
            async with serving.onethread(shop.data) as server:
                figures += _shown(await measure(server))
    if "apply" in wanted:
        figures += _shown(await applying.measure(shop, 10_000 if short else 60_000))
    return figures


def _shown(figures: list[Figure]) -> list[Figure]:
    for figure in figures:
        print(figure.row, flush=True)
    return figures


def _machine(shop: Shop) -> str:
    memory = psutil.virtual_memory().total / 2**30
    load_ = os.getloadavg()
    return (
        f"Taken {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} processors, {memory:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, the embedded PostgreSQL with "
        f"fsync on; {shop.size.messages:,} messages of {shop.size.customers:,} customers preloaded. "
        f"Load over the last 15 minutes: {load_[2]:.1f}."
    )


def main(arguments: Sequence[str]) -> None:
    wanted = arguments or ALL
    if unknown := set(wanted) - set(ALL):
        sys.exit(f"not measured here: {', '.join(sorted(unknown))}; there are: {', '.join(ALL)}")
    if load.missing():
        print(load.missing())
    with opened(wanted_size()) as shop:
        figures = uvloop.run(run(shop, wanted))
        head = _machine(shop)
    text = f"{head}\n\n{table(figures)}\n"
    print(f"\n{text}")
    if set(wanted) == set(ALL):
        about = PROFILE.read_text(encoding="utf-8") if PROFILE.exists() else ""
        RESULTS.write_text(f"# What was measured\n\n{text}\n{about}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
