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
            for name in names:
                if self._is_left_over(name):
                    self._drop(name)
            # Held as long as this connection: a run with another schema must not sweep ours away.
            self._admin.execute("SELECT pg_advisory_lock_shared(%s)", [_key(self._template)])
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

    def _is_left_over(self, name: str) -> bool:
        """Tell a clone of a dead process, or a template of another schema that nobody uses."""
        if name.startswith("test_"):
            return not psutil.pid_exists(int(name.split("_")[1]))
        if not name.startswith("template_") or name == self._template:
            return False
        (free,) = self._admin.execute("SELECT pg_try_advisory_lock(%s)", [_key(name)]).fetchone() or (False,)
        if free:
            self._admin.execute("SELECT pg_advisory_unlock(%s)", [_key(name)])
        return bool(free)

    def _drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _key(template: str) -> int:
    """Return the number of the lock by which runs say that they use a template."""
    return int.from_bytes(hashlib.sha256(template.encode()).digest()[:7], "big")


def _fingerprint() -> str:
    """Name the schema by the content of its migrations."""
    versions = Path(migrate.__file__).parent / "versions"
    digest = hashlib.sha256()
    for path in sorted(versions.glob("m*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
