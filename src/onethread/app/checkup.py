"""What `onethread doctor` looks at; every finding says in words what to do."""

import asyncio
import shutil
import stat
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

from psycopg import Error as DatabaseError

import onethread
from onethread.app.build import KEY_WANTED, open_secrets, open_server
from onethread.app.migrations import migrate
from onethread.app.settings import Settings
from onethread.app.switchboard import HEARERS
from onethread.channels import queries as channels
from onethread.channels.accounts import opened
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Refused, Unavailable
from onethread.platform.db import Database, Tx
from onethread.platform.embedded import ServerFailed
from onethread.platform.events import store as log_store
from onethread.platform.secrets import Undecipherable
from onethread.platform.webhooks import store as webhooks

State = Literal["well", "beware", "broken"]

_LITTLE: Final = 2 * 1024**3  # bytes free, below which we warn
_SKEW: Final = timedelta(seconds=5)
_LATE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    what: str
    state: State
    words: str


async def check(settings: Settings) -> list[Finding]:
    """Look at everything; nothing raises, everything is found."""
    findings = [Finding("version", "well", onethread.__version__)]
    findings += [_folder(settings), _disk(settings), _key(settings)]
    try:
        async with open_server(settings) as (_, conninfo):
            findings += await _database(settings, conninfo)
    except (ServerFailed, Refused, DatabaseError) as failed:
        findings.append(Finding("database", "broken", str(failed).strip()))
    return findings


async def _database(settings: Settings, conninfo: str) -> list[Finding]:
    missing = await asyncio.to_thread(migrate.pending, conninfo)
    if missing:
        words = f"Missing: {', '.join(missing)}. Run `onethread migrate`."
        return [Finding("migrations", "broken", words)]
    findings = [Finding("migrations", "well", "up to date")]
    database = Database(conninfo, connections=4)
    await database.open()
    try:
        async with database.transaction() as tx:
            findings.append(await _server(tx))
            findings.append(await _clock(tx))
            findings += await _cursors(tx)
            findings += await _receipts(tx)
            findings += await _accounts(tx, settings)
            findings += await _webhooks(tx)
    except Unavailable as lost:
        findings.append(Finding("database", "broken", lost.detail))
    finally:
        await database.close()
    return findings


def _folder(settings: Settings) -> Finding:
    place = settings.data.resolve()
    if settings.files_url is not None:
        return Finding("files", "well", f"in {settings.files_url}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as failed:
        return Finding("data folder", "broken", f"{place} cannot be written: {failed.strerror}.")
    return Finding("data folder", "well", str(place))


def _disk(settings: Settings) -> Finding:
    try:
        free = shutil.disk_usage(settings.data).free
    except OSError as failed:
        return Finding("disk", "broken", f"{settings.data}: {failed.strerror}.")
    words = f"{free / 1024**3:.1f} GiB free"
    return Finding("disk", "well", words) if free >= _LITTLE else Finding("disk", "beware", f"{words}: make room soon.")


def _key(settings: Settings) -> Finding:
    if settings.secret_key is not None:
        try:
            open_secrets(settings)
        except ValueError as wrong:
            return Finding("secret key", "broken", f"ONETHREAD_SECRET_KEY: {wrong}.")
        return Finding("secret key", "well", "from ONETHREAD_SECRET_KEY")
    path = settings.data / "secret.key"
    if not path.exists() and (settings.data / KEY_WANTED).exists():
        words = f"Put your copy at {path}: this was restored without it. Or `onethread serve --new-key`."
        return Finding("secret key", "broken", words)
    if not path.exists():
        return Finding(
            "secret key", "beware", f"{path} is made at the first start; restore yours before, if you have one."
        )
    try:
        open_secrets(settings)
    except (OSError, ValueError) as wrong:
        return Finding("secret key", "broken", f"{path}: {wrong}.")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding("secret key", "beware", f"Others can read {path}. Run `chmod 600 {path}`.")
    return Finding("secret key", "well", str(path))


async def _server(tx: Tx) -> Finding:
    version = str(await tx.value("SHOW server_version"))
    durable = await tx.value(
        "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'"
    )
    if not durable:
        return Finding("database", "beware", f"PostgreSQL {version}, but fsync or synchronous_commit is off.")
    return Finding("database", "well", f"PostgreSQL {version}")


async def _clock(tx: Tx) -> Finding:
    theirs: datetime = await tx.value("SELECT clock_timestamp()")
    apart = abs(theirs - utc_now())
    if apart > _SKEW:
        return Finding(
            "clock", "broken", f"The database's clock is {apart.total_seconds():.0f} s off ours. Set both by NTP."
        )
    return Finding("clock", "well", "agrees with the database's")


async def _cursors(tx: Tx) -> list[Finding]:
    findings = []
    letters = len(await log_store.dead_letters(tx, subscriber=None, before=None, limit=100))
    if letters:
        findings.append(
            Finding("dead letters", "beware", f"{letters}{'+' if letters == 100 else ''} wait for a person.")
        )
    for lag in await log_store.cursor_lags(tx):
        if lag.name not in HEARERS:
            continue
        late = utc_now() - lag.oldest_unread_at if lag.oldest_unread_at else timedelta(0)
        state: State = "beware" if late > _LATE else "well"
        words = f"{lag.behind} behind, {late.total_seconds():.0f} s" if lag.behind else "has heard everything"
        findings.append(Finding(f"cursor {lag.name}", state, words))
    return findings


async def _receipts(tx: Tx) -> list[Finding]:
    parked = await channels.parked_count(tx)
    oldest = await channels.oldest_waiting(tx)
    findings = []
    if parked:
        words = f"{parked} are parked. Look at `onethread receipts list --parked`."
        findings.append(Finding("receipts", "beware", words))
    if oldest is not None and utc_now() - oldest > _LATE:
        words = f"One has waited since {oldest:%Y-%m-%d %H:%M} UTC. Is the server running?"
        findings.append(Finding("receipts", "beware", words))
    return findings or [Finding("receipts", "well", "none wait")]


async def _accounts(tx: Tx, settings: Settings) -> list[Finding]:
    findings = []
    secrets = open_secrets(settings)
    for row in await channels.accounts(tx):
        what = f"account {row.name}"
        try:
            opened(row, secrets)
        except Undecipherable:
            findings.append(Finding(what, "broken", "Its secrets cannot be opened: the secret key is another one."))
            continue
        if not row.enabled:
            findings.append(Finding(what, "well", "switched off"))
        elif row.well is False:
            findings.append(Finding(what, "broken", row.health))
        else:
            findings.append(Finding(what, "well", row.health or "works" if row.well else "not used yet"))
    return findings


async def _webhooks(tx: Tx) -> list[Finding]:
    findings = []
    for one in await webhooks.failing(tx):
        given_up = f"{one.dead} deliveries given up, {one.retrying} tried again"
        findings.append(Finding(f"webhook {urlsplit(one.url).hostname}", "beware", f"{given_up}. {one.reason}"))
    return findings
