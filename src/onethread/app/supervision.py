"""Background work that must go on: what crashes is logged, restarted after a pause, and visible."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from onethread.kernel.clock import utc_now
from onethread.platform import metrics

log = structlog.get_logger(__name__)

_FIRST_PAUSE: Final = 0.5  # seconds; doubles with each crash in a row
_LONGEST_PAUSE: Final = 30.0
_STEADY: Final = timedelta(seconds=60)  # without a crash for so long, a task is well again


@dataclass(frozen=True, slots=True)
class Crash:
    """The last crash of a task that is not steady again yet."""

    task: str
    at: datetime
    error: str
    times: int


class Crew:
    """The background tasks of a process. Work is a function that runs until cancelled."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._crashes: dict[str, Crash] = {}

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Start work and keep it going."""
        self._tasks.append(asyncio.create_task(self._keep_going(name, work), name=name))

    def crashes(self) -> list[Crash]:
        """Return the crashes of the last minute, by task."""
        now = utc_now()
        return [crash for crash in self._crashes.values() if now - crash.at < _STEADY]

    async def stop(self) -> None:
        """Cancel everything, the last started first, and wait until it has ended."""
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep_going(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
                error = "It ended by itself."
            except Exception as crash:
                log.exception("task.crashed", task=name, error=type(crash).__name__)
                error = f"{type(crash).__name__}: {crash}"[:500]
            times = self._note(name, error)
            await asyncio.sleep(min(_FIRST_PAUSE * 2 ** (times - 1), _LONGEST_PAUSE))

    def _note(self, name: str, error: str) -> int:
        now, before = utc_now(), self._crashes.get(name)
        times = before.times + 1 if before is not None and now - before.at < _STEADY else 1
        metrics.crashes.labels(name).inc()
        self._crashes[name] = Crash(name, now, error, times)
        return times
