"""The log itself: append inside a transaction, and the horizon up to which reading is complete.

Positions (`seq`) are handed out before commits happen, so a small one may appear after a great one.
The tail therefore never reads past the *horizon*: a position below which every transaction that took
a position has ended. It takes the last position S, then draws a transaction id F of its own. Whoever
took a position up to S had its id before F (a trigger draws the id first), so once no transaction
older than F runs (`pg_snapshot_xmin >= F`), everything up to S is either visible or rolled back.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import structlog
from psycopg import AsyncConnection, InterfaceError, OperationalError

from onethread.platform.db import Database, Tx
from onethread.platform.events import store
from onethread.platform.events.model import EventDraft

log = structlog.get_logger(__name__)

CHANNEL = "onethread_events"
_SLOW_POLL = 1.0  # seconds: the safety net when a wake-up is lost
_PATIENCE = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # seconds between looks at running transactions


class Log:
    """The event log as one process sees it: it is woken by commits and knows the horizon.

    `run()` keeps the horizon current until it is cancelled.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.horizon = 0
        self._woken = asyncio.Event()
        self._advanced = asyncio.Condition()
        self._name = secrets.token_hex(8)
        database.events_committed = self.wake

    def wake(self) -> None:
        """Say that something was committed."""
        self._woken.set()

    async def beyond(self, seq: int) -> int:
        """Wait until the horizon lies beyond `seq`; return it."""
        async with self._advanced:
            await self._advanced.wait_for(lambda: self.horizon > seq)
        return self.horizon

    async def run(self) -> None:
        """Keep the horizon current; survives the database going away and coming back."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    conn = await self.database.connect()
                except (OperationalError, InterfaceError):
                    await asyncio.sleep(0.5)
                    continue
                with suppress(OperationalError, InterfaceError):
                    async with conn:
                        await self._follow(conn)
                log.warning("events.tail_lost")
                await asyncio.sleep(0.2)
        finally:
            listener.cancel()

    async def _follow(self, conn: AsyncConnection[Any]) -> None:
        # A server that crashed may hand out positions anew that only rolled-back transactions had: look again.
        self.horizon = 0
        while True:
            woken = await self._wait_for_news()
            if await self._look(conn) and woken:
                await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self._name))

    async def _wait_for_news(self) -> bool:
        """Tell whether this process committed something (or the slow poll came round)."""
        try:
            # Not asyncio.wait_for: on Python 3.11 it loses a cancellation that meets the news.
            async with asyncio.timeout(_SLOW_POLL):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def _look(self, conn: AsyncConnection[Any]) -> bool:
        """Advance the horizon over everything committed so far; tell whether it moved."""
        cur = await conn.execute("SELECT last_value FROM platform.event_seq WHERE is_called")
        row = await cur.fetchone()
        if row is None or row[0] <= self.horizon:
            return False
        cur = await conn.execute("SELECT upto, fence::text::bigint FROM platform.event_horizon()")
        row = await cur.fetchone()
        assert row is not None
        upto, fence = row
        for pause in _Pauses():
            cur = await conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            row = await cur.fetchone()
            assert row is not None
            if row[0] >= fence:
                break
            await asyncio.sleep(pause)
        async with self._advanced:
            self.horizon = max(self.horizon, upto)
            self._advanced.notify_all()
        return True

    async def _listen(self) -> None:
        """Hear what other processes committed."""
        while True:
            with suppress(OperationalError, InterfaceError):
                conn = await self.database.connect()
                async with conn:
                    await conn.execute("LISTEN onethread_events")
                    async for notice in _notices(conn):
                        if notice != self._name:
                            self._woken.set()
            await asyncio.sleep(0.5)


async def _notices(conn: AsyncConnection[Any]) -> AsyncIterator[str]:
    async for notify in conn.notifies():
        yield notify.payload


class _Pauses:
    """Ever longer pauses, without end: a running transaction ends or its connection does."""

    def __init__(self) -> None:
        self._step = 0

    def __iter__(self) -> "_Pauses":
        return self

    def __next__(self) -> float:
        pause = _PATIENCE[min(self._step, len(_PATIENCE) - 1)]
        self._step += 1
        return pause


async def append(tx: Tx, drafts: Sequence[EventDraft]) -> None:
    """Append events in order; those whose (source, source_id) is known already are left out.

    Whoever listens is woken after the commit.
    """
    pairs = [(d.source or "", d.source_id) for d in drafts if d.source_id is not None]
    if pairs:
        fresh = await store.unseen_sources(tx, pairs)
        drafts = _first_of_each(drafts, fresh)
    if drafts:
        await store.insert_events(tx, drafts)
        tx.after_commit(tx.events_committed)


def _first_of_each(drafts: Sequence[EventDraft], fresh: set[tuple[str, str]]) -> list[EventDraft]:
    kept = []
    left = set(fresh)
    for draft in drafts:
        if draft.source_id is not None:
            pair = (draft.source or "", draft.source_id)
            if pair not in left:
                continue
            left.discard(pair)
        kept.append(draft)
    return kept
