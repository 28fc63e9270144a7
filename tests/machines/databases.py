"""One PostgreSQL for all test workers; every clone of the migrated template is a database of its own."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil
import psycopg
from psycopg import sql

from onethread.app.migrations import migrate
from onethread.platform.embedded import EmbeddedPostgres

_LOCK = 7_001
_numbers = itertools.count()


class Databases:
    """Hands out clones of the migrated template."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._admin = psycopg.connect(server.conninfo("postgres"), autocommit=True)
        self._template = f"template_{_fingerprint()}"

    @classmethod
    @contextmanager
    def of(cls, root: Path) -> Iterator[Self]:
        """Start or join the test server of a checkout; the last worker to leave stops it."""
        server = EmbeddedPostgres(root / ".cache" / "test-server", durable=False)
        server.start()
        databases = cls(server)
        try:
            databases._prepare()
            yield databases
        finally:
            databases._admin.close()
            server.stop()

    @contextmanager
    def clone(self) -> Iterator[str]:
        """Make a migrated database and drop it at the end."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self._admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(self._template)
            )
        )
        try:
            yield self._server.conninfo(name)
        finally:
            self._drop(name)

    def _prepare(self) -> None:
        """Build the template unless another worker has, and sweep up what killed runs left."""
        self._admin.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            names = {name for (name,) in self._admin.execute("SELECT datname FROM pg_database").fetchall()}
            clones = {name for name in names if name.startswith("test_")}
            abandoned = {name for name in clones if not psutil.pid_exists(int(name.split("_")[1]))}
            outdated = {name for name in names if name.startswith("template_")} - {self._template}
            # A run with another schema may be under way; its template goes with the first run after it.
            for name in abandoned if clones - abandoned else abandoned | outdated:
                self._drop(name)
            if self._template not in names:
                self._build()
        finally:
            self._admin.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])

    def _build(self) -> None:
        building = f"{self._template}_building"
        self._drop(building)
        self._admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(building)))
        migrate.upgrade(self._server.conninfo(building))
        self._admin.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(self._template))
        )

    def _drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _fingerprint() -> str:
    """Name the schema by the content of its migrations."""
    versions = Path(migrate.__file__).parent / "versions"
    digest = hashlib.sha256()
    for path in sorted(versions.glob("m*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
