"""A company with years behind it, loaded in sets: every id and time follows from a number, so each load is alike."""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from typing import Any, Final
from uuid import UUID

from psycopg import Connection, sql

from benchmarks import preload_sql

TABLES: Final = (
    ("customers", "identifier"),
    ("customers", "customer"),
    ("customers", "evidence"),
    ("channels", "receipt"),
    ("conversations", "conversation"),
    ("conversations", "inbox_row"),
    ("conversations", "message"),
    ("conversations", "delivery"),
    ("conversations", "found"),
    ("platform", "event"),
)
PER_CUSTOMER: Final = 5  # messages of an ordinary customer, three of them theirs


@dataclass(frozen=True, slots=True)
class Size:
    """How much is there: ordinary customers with five messages each, and one customer with a long history."""

    messages: int

    @property
    def customers(self) -> int:
        return self.messages // PER_CUSTOMER

    @property
    def long_history(self) -> int:
        """Events of the one customer who never goes away."""
        return min(100_000, max(self.messages // 10, 100))


def visitor(number: int) -> UUID:
    """Return the visitor id of a preloaded customer (from 1), or of a stranger (any other number)."""
    return UUID(hex=md5(b"visitor %d" % number, usedforsecurity=False).hexdigest())


def load(conn: Connection[Any], size: Size, *, brand_id: UUID, account_id: UUID, agent_id: UUID) -> None:
    """Fill the database. `conn` must be in autocommit."""
    values = {
        "brand": brand_id,
        "account": account_id,
        "agent": agent_id,
        "customers": size.customers,
        "messages": size.customers * PER_CUSTOMER,
        "long": size.long_history,
    }
    conn.execute("SET maintenance_work_mem = '1GB'")
    for statement in preload_sql.FUNCTIONS:
        conn.execute(statement)
    with _bare(conn, TABLES):
        with ThreadPoolExecutor(len(preload_sql.SIDES)) as sides:
            list(sides.map(lambda side: _load_side(conn, side, values), preload_sql.SIDES))
        _insert(conn, preload_sql.LAST, values)
    conn.execute("DROP SCHEMA bench CASCADE")
    started = time.perf_counter()
    conn.execute("VACUUM (FREEZE, ANALYZE)")
    print(f"  vacuumed {'':<28} {time.perf_counter() - started:7.1f} s", flush=True)


def _load_side(conn: Connection[Any], side: Sequence[preload_sql.Named], values: Mapping[str, object]) -> None:
    with Connection.connect(conn.info.dsn, autocommit=True) as own:
        _insert(own, side, values)


def _insert(conn: Connection[Any], named: Sequence[preload_sql.Named], values: Mapping[str, object]) -> None:
    conn.execute("SET synchronous_commit = off")
    for name, statement in named:
        started = time.perf_counter()
        conn.execute(statement, values)
        print(f"  loaded   {name:<28} {time.perf_counter() - started:7.1f} s", flush=True)


@contextmanager
def _bare(conn: Connection[Any], tables: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Take indexes, constraints and triggers away while rows are loaded; build them anew at the end."""
    constraints = conn.execute(preload_sql.CONSTRAINTS, {"tables": [".".join(table) for table in tables]}).fetchall()
    for table, name, _ in constraints:
        conn.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(_named(table), sql.Identifier(name)))
    indexes = conn.execute(preload_sql.INDEXES, {"tables": [".".join(table) for table in tables]}).fetchall()
    for name, _ in indexes:
        conn.execute(sql.SQL("DROP INDEX {}").format(_named(name)))
    yield
    # Of a partitioned table the definition says ON ONLY, which would leave its partitions bare.
    made: list[tuple[str, sql.SQL | sql.Composed]] = [
        (name, sql.SQL(text.replace(" ON ONLY ", " ON "))) for name, text in indexes
    ]
    for table, name, text in reversed(constraints):
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(_named(table), sql.Identifier(name))
        made.append((name, add + sql.SQL(text)))
    for name, statement in made:
        started = time.perf_counter()
        conn.execute(statement)
        took = time.perf_counter() - started
        if took > 2:
            print(f"  indexed  {name:<28} {took:7.1f} s", flush=True)


def _named(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
