"""The company that is measured: its data folder, preloaded once and handed out fresh for every run."""

import asyncio
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql

from benchmarks import preload, preload_sql
from benchmarks.preload import Size
from onethread.access.actions.agents import NewAgent
from onethread.access.actions.brands import NewBrand, found_organisation
from onethread.access.actions.keys import create_key
from onethread.access.model import SYSTEM
from onethread.adapters.channels.webchat.channel import DECLARATION
from onethread.app.migrations import migrate
from onethread.channels import actions as channels
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import AccountId
from onethread.platform import signing
from onethread.platform.db import Database
from onethread.platform.embedded import DATABASE, EmbeddedPostgres
from onethread.platform.secrets import Secrets

_CACHE: Final = Path(__file__).parent.parent / ".cache" / "bench"
FULL: Final = 5_000_000  # messages


class Deeds(msgspec.Struct, frozen=True):
    """What the preload founded, remembered beside it."""

    brand_id: UUID
    account_id: UUID
    agent_id: UUID
    hook_secret: str
    key: str
    schema: dict[str, str]

    def signing_with(self, secret: str) -> "Deeds":
        return msgspec.structs.replace(self, hook_secret=secret)


@dataclass(frozen=True, slots=True)
class Shop:
    """A running database with the company in it. `data` is the folder for `onethread serve --data`."""

    data: Path
    conninfo: str
    size: Size
    deeds: Deeds

    @property
    def account_id(self) -> AccountId:
        return AccountId(self.deeds.account_id)

    @property
    def secrets(self) -> Secrets:
        return Secrets.from_file(self.data / "secret.key")

    def sqlalchemy_dsn(self, database: str) -> str:
        """Make an empty database beside ours and return its address."""
        with psycopg.connect(self.conninfo, autocommit=True) as conn:
            _drop(conn, database)
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            return f"postgresql+psycopg://{conn.info.user}@/{database}?host={conn.info.host}&port={conn.info.port}"

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.conninfo, autocommit=True)


def wanted_size() -> Size:
    return Size(int(os.environ.get("ONETHREAD_BENCH_MESSAGES", FULL)))


@contextmanager
def opened(size: Size) -> Iterator[Shop]:
    """Start the embedded server with a fresh copy of the preloaded company."""
    data = _CACHE / f"{size.messages}"
    server = EmbeddedPostgres(data)
    server.start()
    try:
        with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
            template = f"preloaded_{_digest(Path(preload_sql.__file__))}"
            deeds = _prepare(admin, server, data, template, size)
            _copy(admin, template)
        yield Shop(data, server.conninfo(), size, deeds)
    finally:
        server.stop()


def _prepare(admin: psycopg.Connection[Any], server: EmbeddedPostgres, data: Path, template: str, size: Size) -> Deeds:
    """Load the company unless that was done before."""
    written = data / f"{template}.json"
    names = [name for (name,) in admin.execute("SELECT datname FROM pg_database").fetchall()]
    if template in names and written.exists():
        deeds = msgspec.json.decode(written.read_bytes(), type=Deeds)
        if deeds.schema == _schema():
            return deeds
        if deeds.schema.items() <= _schema().items():
            return _caught_up(server, template, deeds, written)
    for name in names:
        if name.startswith("preloaded_"):
            _drop(admin, name)
    print(f"loading {size.messages:,} messages of {size.customers:,} customers; kept for the next run", flush=True)
    _drop(admin, DATABASE)
    admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    migrate.upgrade(server.conninfo())
    deeds = asyncio.run(_found(server.conninfo(), Secrets.from_file(data / "secret.key")))
    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        preload.load(conn, size, brand_id=deeds.brand_id, account_id=deeds.account_id, agent_id=deeds.agent_id)
    admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(DATABASE), sql.Identifier(template)))
    written.write_bytes(msgspec.json.encode(deeds))
    return deeds


def _caught_up(server: EmbeddedPostgres, template: str, deeds: Deeds, written: Path) -> Deeds:
    """Bring a preload made before the last migrations up to date."""
    print("bringing the preloaded company up to date", flush=True)
    migrate.upgrade(server.conninfo(template))
    with psycopg.connect(server.conninfo(template), autocommit=True) as conn:
        conn.execute("VACUUM (FREEZE, ANALYZE)")
    deeds = msgspec.structs.replace(deeds, schema=_schema())
    written.write_bytes(msgspec.json.encode(deeds))
    return deeds


async def _found(conninfo: str, secrets: Secrets) -> Deeds:
    """Found the organisation, one web chat account and a key that may do everything."""
    database = Database(conninfo)
    await database.open()
    hook_secret, now = signing.new_secret(), utc_now()
    try:
        async with database.transaction() as tx:
            founded = await found_organisation(
                tx,
                name="Corner Shops",
                brand=NewBrand(name="Corner Shop", default_country="US"),
                owner=NewAgent(email="olga@cornershop.example", name="Olga Owner", role="owner"),
                password="a long enough pass phrase",
                now=now,
            )
            account = await channels.add_account(
                tx,
                SYSTEM,
                DECLARATION,
                brand_id=founded.brand.id,
                name="The chat",
                settings={"hook_secret": hook_secret},
                secrets=secrets,
            )
            key = await create_key(tx, SYSTEM, name="benchmarks", role="owner", now=now)
    finally:
        await database.close()
    return Deeds(founded.brand.id, account.id, founded.owner.id, hook_secret, key.secret, _schema())


def _copy(admin: psycopg.Connection[Any], template: str) -> None:
    """Hand out a fresh copy: what one run adds must not weigh on the next."""
    started = time.perf_counter()
    _drop(admin, DATABASE)
    admin.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(DATABASE), sql.Identifier(template)
        )
    )
    admin.execute("CHECKPOINT")
    print(f"copied the preloaded company in {time.perf_counter() - started:.1f} s", flush=True)


def _drop(admin: psycopg.Connection[Any], name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _schema() -> dict[str, str]:
    """Return the migrations by name."""
    versions = Path(migrate.__file__).parent / "versions"
    return {path.name: _digest(path) for path in sorted(versions.glob("m*.py"))}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
