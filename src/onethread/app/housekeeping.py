"""What is done by the clock: room for coming events, and forgetting what has had its time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from onethread.access.jobs import forget_ended
from onethread.platform import idempotency
from onethread.platform.db import Database
from onethread.platform.events.store import ensure_partitions
from onethread.platform.jobs import Jobs
from onethread.platform.webhooks.store import delete_ended

log = structlog.get_logger(__name__)

_MONTHS_AHEAD: Final = 3
_DELIVERIES_KEPT: Final = timedelta(days=30)


def schedule(jobs: Jobs, database: Database, clock: Callable[[], datetime]) -> None:
    """Put everything on the timetable (UTC), once for all processes together."""
    jobs.every("7 * * * *", "house.make_room", partial(make_room, database))
    jobs.every("37 * * * *", "house.forget", lambda: forget(database, now=clock()))


async def make_room(database: Database) -> None:
    """Have a partition ready for the events of each coming month."""
    async with database.transaction() as tx:
        await ensure_partitions(tx, _MONTHS_AHEAD)


async def forget(database: Database, *, now: datetime) -> None:
    """Forget kept answers, ended deliveries, and what access no longer needs."""
    async with database.transaction() as tx:
        answers = await idempotency.forget(tx, now=now)
        deliveries = await delete_ended(tx, before=now - _DELIVERIES_KEPT)
    await forget_ended(database, now=now)
    log.info("housekeeping.done", answers=answers, deliveries=deliveries)
