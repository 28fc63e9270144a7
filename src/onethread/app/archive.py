"""Backups: one tar with a manifest, a dump of the database, and the files."""

import asyncio
import io
import os
import subprocess
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psycopg

import onethread
from onethread.app.build import KEY_WANTED, Ground, open_ground, open_server
from onethread.app.migrations import migrate
from onethread.app.settings import Settings
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Conflict, Invalid, Refused
from onethread.platform.embedded import programs

_MANIFEST: Final = "manifest.json"
_DUMP: Final = "database.dump"
_KEY: Final = "secret.key"
_FILES: Final = "files"
_FORMAT: Final = 1


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an archive says of itself."""

    format: int
    version: str
    made_at: datetime
    files: bool
    key: bool


class BackupFailed(Refused):
    code = "backup_failed"
    status = 500
    title = "The backup did not succeed"


async def write(settings: Settings, target: Path, *, with_key: bool) -> Path:
    """Write an archive and return its path; whole or not at all. Files in a bucket stay there."""
    if with_key and settings.secret_key is not None:
        raise Invalid("The key comes from ONETHREAD_SECRET_KEY; keep it where that is set.")
    async with open_ground(settings, connections=4) as ground:
        return await asyncio.to_thread(_write, ground, target, with_key)


def _write(ground: Ground, target: Path, with_key: bool) -> Path:
    settings = ground.settings
    if target.is_dir():
        target /= f"onethread-{utc_now():%Y%m%d-%H%M%S}.tar"
    if target.exists():
        raise Conflict(f"{target} is there already.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".onethread-") as folder:
        dump = Path(folder) / _DUMP
        # The dump comes first: every file it speaks of was stored before, and files never change.
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={dump}", ground.database.conninfo)
        manifest = Manifest(_FORMAT, onethread.__version__, utc_now(), settings.files_url is None, with_key)
        making = Path(folder) / "archive"
        # A backup holds everything customers ever said: nobody else on this machine may read it.
        with (
            os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as raw,
            tarfile.open(fileobj=raw, mode="w") as tar,
        ):
            _add(tar, _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
            tar.add(dump, _DUMP)
            if manifest.files and (settings.data / _FILES).is_dir():
                tar.add(settings.data / _FILES, _FILES)
            if with_key:
                tar.add(settings.data / _KEY, _KEY)
        making.rename(target)
    return target


async def read(settings: Settings, source: Path) -> None:
    """Restore an archive. Raises Conflict where anything is already, Invalid for what is no archive."""
    await asyncio.to_thread(_look_before, settings, source)
    async with open_server(settings) as (_, conninfo):
        if not await _is_empty(conninfo):
            raise Conflict("There is something in the database already. Restore into an empty one.")
        await asyncio.to_thread(_restore, settings, source, conninfo)
        await asyncio.to_thread(migrate.upgrade, conninfo)


def _look_before(settings: Settings, source: Path) -> None:
    """Refuse what would overwrite anything, before anything is started."""
    manifest = read_manifest(source)
    if settings.database_url is None and settings.data.exists() and any(settings.data.iterdir()):
        raise Conflict(f"{settings.data} is not empty. Restore into a folder where nothing is yet.")
    if manifest.key and (settings.data / _KEY).exists():
        raise Conflict(f"There is a key at {settings.data / _KEY} already; it would be lost.")


def read_manifest(source: Path) -> Manifest:
    """Return what an archive says of itself. Raises Invalid."""
    try:
        with tarfile.open(source) as tar:
            member = tar.extractfile(_MANIFEST)
            manifest = msgspec.json.decode(member.read() if member else b"", type=Manifest)
    except (OSError, KeyError, tarfile.TarError, msgspec.MsgspecError) as wrong:
        raise Invalid(f"{source} is not an archive written by `onethread backup`.") from wrong
    if manifest.format != _FORMAT:
        raise Invalid(f"{source} was written by version {manifest.version}, in a form this version does not read.")
    return manifest


async def _is_empty(conninfo: str) -> bool:
    async with await psycopg.AsyncConnection.connect(conninfo) as conn:
        cur = await conn.execute("SELECT to_regnamespace('platform') IS NULL")
        row = await cur.fetchone()
    return row is not None and row[0] is True


def _restore(settings: Settings, source: Path, conninfo: str) -> None:
    settings.data.mkdir(parents=True, exist_ok=True)
    with tarfile.open(source) as tar, tempfile.TemporaryDirectory(dir=settings.data, prefix=".restore-") as folder:
        tar.extract(_DUMP, folder, filter="data")
        _run(
            *("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"),
            *(f"--dbname={conninfo}", str(Path(folder) / _DUMP)),
        )
        rest = [member for member in tar if member.name.split("/")[0] in {_FILES, _KEY}]
        tar.extractall(settings.data, rest, filter="data")
    if (settings.data / _KEY).exists():
        (settings.data / _KEY).chmod(0o600)
    elif settings.secret_key is None:
        (settings.data / KEY_WANTED).touch()


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run([str(programs() / program), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupFailed(f"{program}: {done.stderr.strip() or done.returncode}")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mtime = int(datetime.now(UTC).timestamp())
    tar.addfile(member, io.BytesIO(content))
