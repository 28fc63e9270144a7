"""Brings a database to the newest schema: plain SQL, forward only, one transaction a version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from onethread.kernel.errors import Unsupported

OLDEST_SERVER = 15
_LOCK = 0x6F6E6574  # "onet": one migration at a time, whatever process runs it


def upgrade(conninfo: str) -> list[str]:
    """Apply what is missing and return the names of the versions applied.

    Safe to call from several processes at once. Raises Unsupported for a PostgreSQL that is too old.
    """
    with _connection(conninfo) as connection:
        connection.exec_driver_sql("SELECT pg_advisory_lock(%s)", (_LOCK,))
        # A version that cannot get its lock fails instead of holding up everybody behind it.
        connection.exec_driver_sql("SET lock_timeout = '10s'")
        connection.commit()
        missing = _missing(connection)
        if missing:
            command.upgrade(_config(connection), "head")
        return missing


def pending(conninfo: str) -> list[str]:
    """Return the names of the versions this database still lacks, oldest first."""
    with _connection(conninfo) as connection:
        return _missing(connection)


def _missing(connection: Connection) -> list[str]:
    script = ScriptDirectory.from_config(_config(connection))
    context = MigrationContext.configure(
        connection, opts={"version_table": "migration", "version_table_schema": "public"}
    )
    current = context.get_current_revision()
    connection.commit()
    names = []
    for step in script.walk_revisions():
        if step.revision == current:
            break
        names.append(step.revision)
    return names[::-1]


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connection(conninfo: str) -> Iterator[Connection]:
    """Open a connection as psycopg understands it; SQLAlchemy only carries it to Alembic."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, connect_timeout=10),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
        if int(version) < OLDEST_SERVER * 10_000:
            raise Unsupported(
                f"PostgreSQL {OLDEST_SERVER} or newer is needed; this server is version {int(version) // 10_000}."
            )
        connection.commit()
        yield connection
