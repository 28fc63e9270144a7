"""What every test may ask for: a database of its own, an open transaction, a folder a server can live in."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from onethread.platform.db import Database, Tx
from tests.machines.databases import Databases

pytest_plugins = ["tests.machines.figures", "tests.machines.loops", "tests.machines.no_network", "tests.kits.server"]

CHAOS = os.environ.get("ONETHREAD_CHAOS") == "1"

# The short cut is the same on every run; the long one looks somewhere new each time.
hypothesis.settings.register_profile("short", max_examples=50, deadline=None, derandomize=True)
hypothesis.settings.register_profile(
    "chaos",
    max_examples=3000,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("chaos" if CHAOS else "short")


@pytest.fixture(scope="session")
def chaos() -> bool:
    """True when the long versions were asked for (`make chaos`)."""
    return CHAOS


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """The test server, shared by all workers, from which databases are cloned."""
    with Databases.of(request.config.rootpath) as databases:
        yield databases


@pytest.fixture(scope="session")
def shared_conninfo(databases: Databases) -> Iterator[str]:
    """A migrated database for tests that leave no trace."""
    with databases.clone() as conninfo:
        yield conninfo


@pytest.fixture
def fresh_conninfo(databases: Databases) -> Iterator[str]:
    """A migrated database of this test alone, as a connection string."""
    with databases.clone() as conninfo:
        yield conninfo


@pytest.fixture
async def database(fresh_conninfo: str) -> AsyncIterator[Database]:
    """A migrated database of this test alone: it may commit."""
    database = Database(fresh_conninfo)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def fresh_database(database: Database) -> Database:
    """The same as `database`, for tests that want to say so."""
    return database


@pytest.fixture
async def tx(request: pytest.FixtureRequest) -> AsyncIterator[Tx]:
    """An open transaction, rolled back at the end; on `database` when the test asks for that as well."""
    if "database" in request.fixturenames:
        database: Database = request.getfixturevalue("database")
        async for tx in _rolled_back(database):
            yield tx
        return
    database = Database(request.getfixturevalue("shared_conninfo"))
    await database.open()
    try:
        async for tx in _rolled_back(database):
            yield tx
    finally:
        await database.close()


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's own user can get into, unlike those of `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="onethread-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class _Undo(Exception):
    """Leaves a transaction without committing it."""


async def _rolled_back(database: Database) -> AsyncIterator[Tx]:
    try:
        async with database.transaction() as tx:
            yield tx
            raise _Undo
    except _Undo:
        pass
