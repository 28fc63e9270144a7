"""Heavy and scheduled work on procrastinate: deferred inside a transaction, done after it, retried, rescued."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from psycopg import InterfaceError, OperationalError

from onethread.platform.db import Tx

log = structlog.get_logger(__name__)

Act = Callable[..., Awaitable[None]]

_SEARCH_PATH: Final = "procrastinate, public"  # the queue names its tables without a schema
_RESCUE_AFTER: Final = 60.0  # seconds without a heartbeat, after which a worker counts as dead
_KEPT_HOURS: Final = 24 * 7


class Jobs:
    """The jobs this process knows and the worker that does them.

    A job is done at least once: a killed worker's jobs are taken up by another one, so acts must bear
    repetition. Arguments are JSON: ids as text, no personal data.
    """

    def __init__(self, conninfo: str, *, concurrency: int = 4, poll: float = 5.0) -> None:
        self._concurrency = concurrency
        self._poll = poll
        connector = PsycopgConnector(
            conninfo=conninfo,
            min_size=1,
            max_size=concurrency + 2,
            timeout=5.0,
            kwargs={"options": f"-c search_path={_SEARCH_PATH.replace(' ', '')}", "application_name": "onethread jobs"},
        )
        self._app = App(connector=connector)
        self.every("* * * * *", "jobs.rescue", self._rescue)
        self.every("17 3 * * *", "jobs.forget_done", self._forget_done)

    @property
    def names(self) -> frozenset[str]:
        """The jobs this process knows."""
        return frozenset(self._app.tasks)

    def offer(self, name: str, act: Act, *, tries: int = 5, one_at_a_time: str | None = None) -> None:
        """Make a job known. A failed try waits 2, 4, 8… seconds; jobs of one lock never run side by side."""
        retry = RetryStrategy(max_attempts=tries, exponential_wait=2) if tries > 1 else False
        self._app.task(name=name, retry=retry, lock=one_at_a_time)(_logged(name, act))

    def every(self, cron: str, name: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something at the times of a cron line (UTC), once for all processes together."""

        async def at(timestamp: int) -> None:  # noqa: ARG001
            await act()

        task = self._app.task(name=name, queueing_lock=name, lock=name)(_logged(name, at))
        self._app.periodic(cron=cron)(task)

    async def defer(
        self, tx: Tx, name: str, *, at: datetime | None = None, once: str | None = None, **arguments: str | float | None
    ) -> bool:
        """Have a job done after this transaction commits, or never if it does not.

        `at` is the earliest moment. Of the jobs waiting with the same `once` there is one; False says
        that it was there already.
        """
        task = self._app.tasks[name]
        deferrer = task.configure(schedule_at=at, queueing_lock=once, connection=tx.conn)
        await tx.run("SELECT set_config('search_path', %s, true)", (_SEARCH_PATH,))
        try:
            async with tx.savepoint():
                await deferrer.defer_async(**arguments)
        except AlreadyEnqueued:
            return False
        return True

    async def run(self) -> None:
        """Do jobs until cancelled; begins again when the database went away."""
        while True:
            try:
                async with self._app.open_async():
                    await self._app.run_worker_async(
                        concurrency=self._concurrency,
                        fetch_job_polling_interval=self._poll,
                        shutdown_graceful_timeout=5.0,
                        install_signal_handlers=False,
                        delete_jobs="never",
                    )
            except (ConnectorException, OperationalError, InterfaceError) as lost:
                log.warning("jobs.database_lost", error=type(lost).__name__)
            await asyncio.sleep(1.0)

    async def _rescue(self) -> None:
        """Give back the jobs of workers that died in the middle."""
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=_RESCUE_AFTER):
            log.warning("jobs.rescued", job=job.task_name, id=job.id)
            await manager.retry_job(job)

    async def _forget_done(self) -> None:
        await self._app.job_manager.delete_old_jobs(
            nb_hours=_KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )


def _logged(name: str, act: Act) -> Act:
    """Log a failure once, without its arguments; the queue decides whether to try again."""

    async def run(**arguments: object) -> None:
        try:
            await act(**arguments)
        except Exception as failed:
            log.warning("jobs.failed", job=name, error=type(failed).__name__)
            raise

    return run
