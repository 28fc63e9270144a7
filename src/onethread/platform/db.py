"""PostgreSQL: one pool, one `Tx` per request or batch, SQL in plain sight."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, LiteralString, TypeVar

import msgspec
from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.rows import class_row, scalar_row
from psycopg.types.array import ListDumper
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from onethread.kernel.errors import Unavailable
from onethread.platform.arrays import ColumnDumper

T = TypeVar("T")
Params = Mapping[str, object] | Sequence[object] | None


def _nobody() -> None:
    """Nobody listens yet."""


_encoder = msgspec.json.Encoder()
set_json_dumps(_encoder.encode)
set_json_loads(msgspec.json.decode)


# What a request has done in its own transactions just before they commit (see idempotency.py).
before_commit: ContextVar[Callable[["Tx"], Awaitable[None]] | None] = ContextVar("before_commit", default=None)


class Contended(Unavailable):
    """Two transactions were in each other's way; the next try will do."""

    code = "contended"


class Tx:
    """One open transaction. Rooms read and write through it; doors commit it."""

    __slots__ = ("_after_commit", "_bells", "conn", "events_committed")

    def __init__(
        self,
        conn: AsyncConnection[Any],
        events_committed: Callable[[], None] = _nobody,
        bells: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self.conn = conn
        self._bells = bells or {}
        self.events_committed = events_committed
        self._after_commit: list[Callable[[], None]] = []

    async def all(self, shape: type[T], sql: LiteralString, params: Params = None) -> list[T]:
        """Return every row, each as one `shape` whose fields carry the columns' names."""
        async with self.conn.cursor(row_factory=class_row(shape)) as cur:
            await cur.execute(sql, params)
            return await cur.fetchall()

    async def one(self, shape: type[T], sql: LiteralString, params: Params = None) -> T | None:
        """Return the first row as `shape`, or None."""
        async with self.conn.cursor(row_factory=class_row(shape)) as cur:
            await cur.execute(sql, params)
            return await cur.fetchone()

    async def tuples(self, sql: LiteralString, params: Params = None) -> list[tuple[Any, ...]]:
        """Return every row as a plain tuple: for hot paths."""
        async with self.conn.cursor() as cur:
            await cur.execute(sql, params)
            return await cur.fetchall()

    async def value(self, sql: LiteralString, params: Params = None) -> Any:
        """Return the first column of the first row, or None when there is no row."""
        async with self.conn.cursor(row_factory=scalar_row) as cur:
            await cur.execute(sql, params)
            return await cur.fetchone()

    async def values(self, sql: LiteralString, params: Params = None) -> list[Any]:
        """Return the first column of every row."""
        async with self.conn.cursor(row_factory=scalar_row) as cur:
            await cur.execute(sql, params)
            return await cur.fetchall()

    async def run(self, sql: LiteralString, params: Params = None) -> int:
        """Execute a statement and return how many rows it touched."""
        async with self.conn.cursor() as cur:
            await cur.execute(sql, params)
            return cur.rowcount

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo only the enclosed statements when they raise. What they announced is withdrawn."""
        mark = len(self._after_commit)
        try:
            async with self.conn.transaction():
                yield
        except BaseException:
            del self._after_commit[mark:]
            raise

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` once the transaction is durable; it must be quick and must not fail."""
        if act not in self._after_commit:
            self._after_commit.append(act)

    def ring(self, bell: str) -> None:
        """After the commit, wake who answers to this bell in this process (a poll covers other processes)."""
        self.after_commit(self._bells.get(bell, _nobody))

    def _committed(self) -> None:
        for act in self._after_commit:
            act()


class Database:
    """A pool of connections to one PostgreSQL database (URL or conninfo string)."""

    def __init__(self, conninfo: str, *, connections: int = 10) -> None:
        self.conninfo = conninfo
        self.events_committed: Callable[[], None] = _nobody  # set by the event log of this process
        self.bells: dict[str, Callable[[], None]] = {}  # who is woken by `Tx.ring` in this process
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            conninfo,
            min_size=2,
            max_size=connections,
            open=False,
            timeout=5.0,
            # A dead server must be found out quickly; a busy one must not be given up on.
            reconnect_timeout=1.0,
            configure=_configure,
            kwargs={"connect_timeout": 3, "application_name": "onethread"},
        )

    async def open(self) -> None:
        await self._pool.open(wait=True, timeout=15.0)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Open a transaction; commit when the block ends, roll back when it raises.

        Raises Unavailable (503) when PostgreSQL cannot be reached or goes away meanwhile.
        """
        try:
            async with self._pool.connection() as conn:
                tx = Tx(conn, self.events_committed, self.bells)
                async with conn.transaction():
                    yield tx
                    last_act = before_commit.get()
                    if last_act is not None:
                        await last_act(tx)
        except (OperationalError, InterfaceError, PoolTimeout, PoolClosed) as lost:
            if is_outage(lost):
                raise Unavailable("The database cannot be reached; try again soon.", retry_after=2) from lost
            if (getattr(lost, "sqlstate", None) or "")[:2] in _IN_THE_WAY:
                raise Contended("Somebody else was doing the same; try again.", retry_after=1) from lost
            raise
        tx._committed()

    async def connect(self) -> AsyncConnection[Any]:
        """Open a connection of one's own, in autocommit: for LISTEN and for COPY of backups."""
        return await AsyncConnection.connect(self.conninfo, autocommit=True)


# Serialisation failures, deadlocks and lock timeouts: nobody's fault, and gone at the next try.
_IN_THE_WAY = frozenset({"40", "55"})


async def _configure(conn: AsyncConnection[Any]) -> None:
    conn.adapters.register_dumper(list, ColumnDumper)  # for %b
    conn.adapters.register_dumper(list, ListDumper)  # %s stays as it was: not every type has a binary form


def is_outage(error: Exception) -> bool:
    """Tell a server that is lost or out of room from a statement it refused (lock timeout, deadlock…)."""
    if not isinstance(error, OperationalError | InterfaceError | PoolTimeout | PoolClosed):
        return False
    state = getattr(error, "sqlstate", None)
    # 08 connection, 57P0x shutdown and crash, 53 disk, memory or connections used up, 58 system error
    return state is None or state[:2] in {"08", "53", "58"} or state[:4] == "57P0"
