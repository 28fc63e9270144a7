"""Takes the event log to the screens: each event is hydrated once and published once per topic."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import structlog

from onethread.kernel.errors import Unavailable
from onethread.platform.db import Database, Tx
from onethread.platform.events import store
from onethread.platform.events.log import Log
from onethread.platform.events.model import Event
from onethread.platform.live import Behind, Hub, LiveFrame

log = structlog.get_logger(__name__)

Hydrate = Callable[[Tx, Sequence[Event]], Awaitable[list[LiveFrame]]]

_BATCH: Final = 500  # events hydrated together
_FARTHEST: Final = 20_000  # positions of the log that a screen may have missed; beyond it loads anew
_MOST: Final = 5_000  # frames one screen is given to catch up


class Broadcaster:
    """Follows the log as far as it is complete and publishes what `hydrate` makes of it."""

    def __init__(self, database: Database, log_: Log, hub: Hub, hydrate: Hydrate) -> None:
        self._database = database
        self._log = log_
        self._hub = hub
        self._hydrate = hydrate

    async def run(self) -> None:
        """Publish until cancelled; waits out a database that is away."""
        at = await self._start()
        while True:
            upto = await self._log.beyond(at)
            at = await self._publish(at, upto)

    async def replay(self, topics: Collection[str], *, after: int, upto: int) -> list[LiveFrame]:
        """Return the frames of these topics with after < seq <= upto, in order.

        `upto` is the hub's position when the screen subscribed. Raises Behind when it is too much.
        """
        if after == upto:
            return []
        if after > upto:
            await self._require_known(after)
            return []
        if upto - after > _FARTHEST:
            raise Behind
        wanted = frozenset(topics)
        found: list[LiveFrame] = []
        while after < upto:
            async with self._database.transaction() as tx:
                events = await store.events_between(tx, after, upto, limit=_BATCH)
                lives = await self._hydrate(tx, events) if events else []
            found.extend(live for live in lives if not wanted.isdisjoint(live.topics))
            if len(found) > _MOST:
                raise Behind
            after = events[-1].seq if len(events) == _BATCH else upto
        return found

    async def _require_known(self, after: int) -> None:
        """Another process may be a little ahead of us; a position that nobody handed out is from a lost past."""
        async with self._database.transaction() as tx:
            if after > await store.last_seq(tx):
                raise Behind

    async def _start(self) -> int:
        """Begin at the end of the log, once everything before it has ended; or go on where we were."""
        if self._hub.position:
            return self._hub.position
        while True:
            try:
                async with self._database.transaction() as tx:
                    end = await store.last_seq(tx)
                break
            except Unavailable:
                await asyncio.sleep(0.5)
        self._log.wake()
        at = await self._log.beyond(end - 1) if end else 0
        self._hub.reached(at)
        return at

    async def _publish(self, after: int, upto: int) -> int:
        """Publish what lies between; return how far that was."""
        if not self._hub.watched:
            self._hub.reached(upto)
            return upto
        try:
            events, lives = await self._read(after, upto)
        except Unavailable:
            await asyncio.sleep(0.5)
            return after
        for live in lives:
            self._hub.publish(live)
        reached = events[-1].seq if len(events) == _BATCH else upto
        self._hub.reached(reached)
        return reached

    async def _read(self, after: int, upto: int) -> tuple[list[Event], list[LiveFrame]]:
        events: list[Event] = []
        try:
            async with self._database.transaction() as tx:
                events = await store.events_between(tx, after, upto, limit=_BATCH)
                return events, await self._hydrate(tx, events) if events else []
        except Unavailable:
            raise
        except Exception:  # a background door: one event must not stop every screen
            if not events:
                raise
        return events, [live for event in events for live in await self._alone(event)]

    async def _alone(self, event: Event) -> list[LiveFrame]:
        """After a failed batch: event by event, so that the bad one hides no other."""
        try:
            async with self._database.transaction() as tx:
                return await self._hydrate(tx, [event])
        except Unavailable:
            raise
        except Exception as error:
            log.exception("live.event_lost", seq=event.seq, type=event.type, error=type(error).__name__)
            return []
