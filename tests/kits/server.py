"""The real server as a process of its own: started, asked, killed and started again."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from onethread.access.actions.agents import NewAgent
from onethread.access.actions.brands import NewBrand, found_organisation
from onethread.access.actions.keys import create_key
from onethread.access.model import SYSTEM, Role
from onethread.access.queries import brands
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import BrandId
from onethread.platform.db import Database
from onethread.platform.embedded import EmbeddedPostgres
from tests.cast import corner_shop
from tests.kits.site import free_port
from tests.machines.databases import Databases

OWNER = "olga@cornershop.example"
PASSWORD = "a long enough pass phrase"
_PATIENCE = 120.0  # seconds for a start on a busy machine
_NOT_OURS = ("ONETHREAD_", "DATABASE_", "PYTHONDONTWRITEBYTECODE")


@dataclass
class Server:
    """`python -m onethread.app.cli serve` on a data folder; `conninfo` None: with its embedded PostgreSQL."""

    data: Path
    conninfo: str | None = None
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    owner_key: str = ""
    brand_id: BrandId | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> str:
        """Return the connection string of its database, wherever that is."""
        return self.conninfo or EmbeddedPostgres(self.data).conninfo()

    @property
    def log(self) -> str:
        """Return what the process wrote so far."""
        return (self.data / "serve.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("serve", "--port", str(self.port)), stdout=log, stderr=log, env=self.env(), cwd=self.data
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            assert self.process is None or self.process.poll() is None, f"the server ended:\n{self.log}"
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server is not ready:\n{self.log}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to stop and return its status."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it and start it again on the same port."""
        self.kill()
        self.start()

    def run(self, *words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run another command of the command line on the same data."""
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            env=self.env(),
            cwd=self.data,
            input=stdin,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "onethread.app.cli", *words, "--data", str(self.data)]

    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        ours = {"ONETHREAD_OUTWARD_ALLOW": "127.0.0.1", "ONETHREAD_LOG_FORMAT": "json", **self.environment}
        return kept | ours | ({"DATABASE_URL": self.conninfo} if self.conninfo else {})

    def client(self, key: str | None = None) -> httpx.Client:
        """Return a client of the API with a key (the owner's, unless another or an empty one is given)."""
        key = self.owner_key if key is None else key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, trust_env=False, timeout=30)

    def found(self) -> None:
        """Found the organisation and make the owner's key, straight in the database."""
        self.brand_id, self.owner_key = asyncio.run(_found(self.database))

    def key(self, role: Role) -> str:
        """Make a key of a role, straight in the database."""
        return asyncio.run(_key(self.database, role))

    def _end(self, number: int) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        status = self.process.wait(timeout=30)
        self.process = None
        return status


@contextmanager
def on_a_clone(databases: Databases, **environment: str) -> Iterator[Server]:
    """Give a running server on a database of its own, founded, with its owner's key."""
    with databases.clone() as conninfo, tempfile.TemporaryDirectory(prefix="onethread-", dir="/tmp") as data:
        server = Server(Path(data), conninfo, environment=environment)
        server.found()
        server.start()
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def server(databases: Databases) -> Iterator[Server]:
    """One running server for all tests of a worker: leave it running, and expect others' traces."""
    with on_a_clone(databases) as server:
        yield server


@pytest.fixture
def own_server(databases: Databases) -> Iterator[Server]:
    """A running server of this test alone: it may be killed."""
    with on_a_clone(databases) as server:
        yield server


async def _found(conninfo: str) -> tuple[BrandId, str]:
    database = Database(conninfo)
    await database.open()
    try:
        async with database.transaction() as tx:
            there = await brands(tx)
            if there:
                brand = there[0]
            else:
                founded = await found_organisation(
                    tx,
                    name=corner_shop.name,
                    brand=NewBrand(corner_shop.name, corner_shop.default_country),
                    owner=NewAgent(OWNER, "Olga Owner", "owner"),
                    password=PASSWORD,
                    now=utc_now(),
                )
                brand = founded.brand
            issued = await create_key(tx, SYSTEM, name="the owner's", role="owner", now=utc_now())
    finally:
        await database.close()
    return brand.id, issued.secret


async def _key(conninfo: str, role: Role) -> str:
    database = Database(conninfo)
    await database.open()
    try:
        async with database.transaction() as tx:
            name = f"{role} {secrets.token_hex(2)}"
            return (await create_key(tx, SYSTEM, name=name, role=role, now=utc_now())).secret
    finally:
        await database.close()
