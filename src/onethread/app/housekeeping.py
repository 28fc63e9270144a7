"""What is done once an hour: room for coming events, and forgetting what has had its time."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from onethread.access.jobs import forget_ended
from onethread.kernel.errors import Unavailable
from onethread.platform import idempotency
from onethread.platform.db import Database
from onethread.platform.events.store import ensure_partitions
from onethread.platform.webhooks.store import delete_ended

log = structlog.get_logger(__name__)

_EVERY: Final = 3600.0  # seconds
_AFTER_OUTAGE: Final = 30.0  # seconds
_MONTHS_AHEAD: Final = 3
_DELIVERIES_KEPT: Final = timedelta(days=30)


async def keep_house(database: Database, clock: Callable[[], datetime]) -> None:
    """Do the round every hour until cancelled."""
    while True:
        try:
            await round_of(database, now=clock())
        except Unavailable:
            await asyncio.sleep(_AFTER_OUTAGE)
        else:
            await asyncio.sleep(_EVERY)


async def round_of(database: Database, *, now: datetime) -> None:
    """Do everything once."""
    async with database.transaction() as tx:
        await ensure_partitions(tx, _MONTHS_AHEAD)
    async with database.transaction() as tx:
        answers = await idempotency.forget(tx, now=now)
        deliveries = await delete_ended(tx, before=now - _DELIVERIES_KEPT)
    await forget_ended(database, now=now)
    log.info("housekeeping.done", answers=answers, deliveries=deliveries)
