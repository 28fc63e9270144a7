"""Who hears the log: durable cursors, retry with backoff, dead letters, replay."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog

from onethread.kernel.clock import utc_now
from onethread.kernel.errors import NotFound, Unavailable
from onethread.kernel.ids import new_id
from onethread.platform import metrics
from onethread.platform.db import Database, Tx
from onethread.platform.events import store
from onethread.platform.events.log import Log
from onethread.platform.events.model import Event

log = structlog.get_logger(__name__)

Hear = Callable[[Tx, list[Event]], Awaitable[None]]

_BATCH = 500
_ATTEMPTS = 5  # tries of one event before it is parked
_FIRST_PAUSE = 0.5  # seconds; doubles with each try
_PACE = 0.05  # seconds between the starts of two batches: quiet news is heard at once, a stream of it in sets
_IDLE = 0.5  # seconds between looks when nobody wakes us: retries come due, other processes let go


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A named function that takes a list of events inside a transaction.

    What `hear` writes is committed together with the cursor, so it is done once. `types` None means
    every event. A new subscriber starts at the `beginning` of the log or with what comes from `now` on.
    """

    name: str
    hear: Hear
    types: frozenset[str] | None = None
    start: Literal["beginning", "now"] = "beginning"


class Subscribers:
    """Runs the subscribers of one process. Several processes share the work, one cursor at a time."""

    def __init__(
        self, database: Database, log_: Log, subscribers: Sequence[Subscriber], *, idle: float = _IDLE
    ) -> None:
        names = [subscriber.name for subscriber in subscribers]
        if len(set(names)) != len(names):
            raise ValueError(f"two subscribers share a name: {sorted(names)}")
        self.database = database
        self.log = log_
        self.idle = idle
        self.by_name = {subscriber.name: subscriber for subscriber in subscribers}

    async def prepare(self) -> None:
        """Give every subscriber its cursor."""
        async with self.database.transaction() as tx:
            end = await store.last_seq(tx)
            for subscriber in self.by_name.values():
                await store.ensure_cursor(tx, subscriber.name, start=end if subscriber.start == "now" else 0)

    async def run(self) -> None:
        """Feed every subscriber until cancelled."""
        async with asyncio.TaskGroup() as group:
            for subscriber in self.by_name.values():
                group.create_task(self._feed(subscriber), name=f"subscriber:{subscriber.name}")

    async def _feed(self, subscriber: Subscriber) -> None:
        loop = asyncio.get_running_loop()
        while True:
            seen, started = self.log.horizon, loop.time()
            try:
                more = await self.step(subscriber)
            except Unavailable:
                await asyncio.sleep(0.5)
                continue
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.idle):
                        await self.log.beyond(seen)
                await asyncio.sleep(max(0.0, started + _PACE - loop.time()))

    async def step(self, subscriber: Subscriber) -> bool:
        """Take one batch to the subscriber; tell whether it may have more to hear at once."""
        try:
            async with self.database.transaction() as tx:
                claimed = await store.claim_cursor(tx, subscriber.name)
                if claimed is None:
                    return False
                seq, attempts, retry_at = claimed
                if retry_at is not None and retry_at > utc_now():
                    return False
                if attempts:
                    return await self._one_by_one(tx, subscriber, seq, attempts)
                upto = self.log.horizon
                events = await self._read(tx, subscriber, seq, upto, _BATCH)
                if events:
                    await subscriber.hear(tx, events)
                    metrics.events_heard.labels(subscriber.name).inc(len(events))
                full = len(events) == _BATCH
                target = events[-1].seq if full else upto
                if target > seq:
                    await store.move_cursor(tx, subscriber.name, target)
                return full
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a subscriber's failure is its own: it must not stop the others
            log.warning("events.subscriber_failed", subscriber=subscriber.name, error=type(error).__name__)
            await self._delay(subscriber.name, attempts=1)
            return True

    async def _one_by_one(self, tx: Tx, subscriber: Subscriber, seq: int, attempts: int) -> bool:
        """After a failed batch: event by event, so that only the failing one waits or is parked."""
        upto = self.log.horizon
        events = await self._read(tx, subscriber, seq, upto, _BATCH)
        for event in events:
            try:
                async with tx.savepoint():
                    await subscriber.hear(tx, [event])
            except Exception as error:  # noqa: BLE001 - parked with its reason
                if event is events[0] and attempts >= _ATTEMPTS:
                    await self._park(tx, subscriber, event, error, attempts)
                    return True
                tried = attempts + 1 if event is events[0] else 1
                await store.delay_cursor(tx, subscriber.name, attempts=tried, seconds=_FIRST_PAUSE * 2 ** (tried - 1))
                return True
            metrics.events_heard.labels(subscriber.name).inc()
            await store.move_cursor(tx, subscriber.name, event.seq)
            attempts = 0
        if not events:
            await store.move_cursor(tx, subscriber.name, max(seq, upto))
        return bool(events)

    async def _park(self, tx: Tx, subscriber: Subscriber, event: Event, error: Exception, attempts: int) -> None:
        await store.insert_dead_letter(tx, new_id(), subscriber.name, event, _in_words(error), attempts)
        await store.move_cursor(tx, subscriber.name, event.seq)
        metrics.events_parked.labels(subscriber.name).inc()
        log.error("events.parked", subscriber=subscriber.name, type=event.type, seq=event.seq)

    async def _delay(self, name: str, *, attempts: int) -> None:
        async with self.database.transaction() as tx:
            await store.delay_cursor(tx, name, attempts=attempts, seconds=_FIRST_PAUSE)

    async def _read(self, tx: Tx, subscriber: Subscriber, after: int, upto: int, limit: int) -> list[Event]:
        types = None if subscriber.types is None else sorted(subscriber.types)
        return await store.events_between(tx, after, upto, limit=limit, types=types)

    async def replay(self, dead_letter_id: UUID) -> None:
        """Give a parked event to its subscriber once more; a new failure keeps it parked.

        Raises NotFound when it is not there (any more), and whatever the subscriber raises.
        """
        failure: Exception | None = None
        async with self.database.transaction() as tx:
            letter = await store.claim_dead_letter(tx, dead_letter_id)
            if letter is None or letter.subscriber not in self.by_name:
                raise NotFound("This dead letter is not waiting any more.")
            events = await store.events_by_id(tx, [letter.event_id])
            try:
                async with tx.savepoint():
                    await self.by_name[letter.subscriber].hear(tx, events)
            except Exception as error:  # noqa: BLE001 - parked with its reason
                failure = error
                await store.fail_dead_letter_again(tx, letter.id, _in_words(error))
            else:
                await store.close_dead_letter(tx, letter.id)
        if failure is not None:
            raise failure


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]
