import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from onethread.platform import embedded
from onethread.platform.embedded import EmbeddedPostgres, ServerFailed
from onethread.platform.embedded_conf import server_conf

# Each of these starts servers of its own; a worker that has them runs them one after another.
pytestmark = pytest.mark.xdist_group("embedded")

GB = 1024**3


@pytest.fixture
def server(data_folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_folder, durable=False)
    server.start()
    yield server
    server.stop()


def ask(server: EmbeddedPostgres, sql: str) -> object:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        row = connection.execute(sql.encode()).fetchone()
        return row[0] if row else None


def kill_server(server: EmbeddedPostgres) -> int:
    pid = int((server.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    os.kill(pid, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        psutil.Process(pid).wait(timeout=10)
    return pid


def test_a_real_server_that_only_we_can_reach(server: EmbeddedPostgres) -> None:
    assert int(str(ask(server, "SHOW server_version_num"))) >= 150000
    assert ask(server, "SHOW listen_addresses") == ""
    assert ask(server, "SELECT datlocale FROM pg_database WHERE datname = 'onethread'") == "C.UTF-8"
    sockets = Path(str(ask(server, "SHOW unix_socket_directories")))
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.cluster.stat().st_mode) == 0o700
    with psycopg.connect(server.conninfo()) as connection:
        assert connection.execute("SELECT current_setting('jit'), current_setting('TimeZone')").fetchone() == (
            "off",
            "UTC",
        )


def test_extensions_we_need_are_there(server: EmbeddedPostgres) -> None:
    for extension in ("pg_trgm", "btree_gin", "vector"):
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE EXTENSION {extension}".encode())


def test_what_was_written_is_there_after_a_stop(data_folder: Path) -> None:
    first = EmbeddedPostgres(data_folder, durable=False)
    first.start()
    with psycopg.connect(first.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE note AS SELECT 'kept' AS text")
    first.stop()
    assert not first.alive()
    second = EmbeddedPostgres(data_folder, durable=False)
    second.start()
    assert ask(second, "SELECT text FROM note") == "kept"
    second.stop()


def test_the_last_one_to_leave_stops_the_server(server: EmbeddedPostgres, data_folder: Path) -> None:
    guest = EmbeddedPostgres(data_folder, durable=False)
    assert guest.start() == server.conninfo()
    guest.stop()
    assert ask(server, "SELECT 1") == 1
    guest.start()
    server.stop()
    assert ask(guest, "SELECT 1") == 1
    guest.stop()
    assert not guest.alive()


def test_a_killed_server_starts_again(server: EmbeddedPostgres) -> None:
    kill_server(server)
    server.start()
    assert ask(server, "SELECT 1") == 1


def test_a_number_taken_over_by_another_process_does_not_keep_it_down(server: EmbeddedPostgres) -> None:
    pid = kill_server(server)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        for lock in (server.cluster / "postmaster.pid", *Path(server._sockets).glob("*.lock")):
            lock.write_text(lock.read_text().replace(str(pid), str(other.pid), 1))
        server.start()
        assert ask(server, "SELECT 1") == 1
        other.communicate(b"\n")


def test_a_process_that_was_killed_does_not_hold_the_server(data_folder: Path) -> None:
    start = (
        "import sys, time; from pathlib import Path; from onethread.platform.embedded import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1]), durable=False).start(); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", start, str(data_folder)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        owner.kill()
    heir = EmbeddedPostgres(data_folder, durable=False)
    heir.start()
    assert ask(heir, "SELECT 1") == 1
    heir.stop()
    assert not heir.alive()


async def test_a_server_that_dies_is_restarted(server: EmbeddedPostgres) -> None:
    watching = asyncio.create_task(server.supervise(every=0.05))
    try:
        for _ in range(2):
            kill_server(server)
            async with asyncio.timeout(20):
                while True:
                    try:
                        ask(server, "SELECT 1")
                        break
                    except psycopg.OperationalError:
                        await asyncio.sleep(0.05)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def test_own_settings_win(data_folder: Path) -> None:
    (data_folder / "postgres.local.conf").write_text("work_mem = '7MB'\n")
    server = EmbeddedPostgres(data_folder, durable=False)
    server.start()
    assert ask(server, "SHOW work_mem") == "7MB"
    server.stop()


def test_a_server_that_cannot_start_says_why(data_folder: Path) -> None:
    (data_folder / "postgres.local.conf").write_text("shared_bufers = '1GB'\n")
    with pytest.raises(ServerFailed, match="shared_bufers"):
        EmbeddedPostgres(data_folder, durable=False).start()


def test_a_long_path_gets_a_short_socket(data_folder: Path) -> None:
    deep = data_folder / ("deep" * 20) / ("deeper" * 10)
    deep.mkdir(parents=True)
    server = EmbeddedPostgres(deep, durable=False)
    server.start()
    assert ask(server, "SELECT 1") == 1
    sockets = server._sockets
    server.stop()
    assert not sockets.exists()


def test_a_folder_somebody_else_put_in_our_way_is_refused(data_folder: Path, tmp_path: Path) -> None:
    (data_folder / "run").symlink_to(tmp_path)
    with pytest.raises(ServerFailed, match="belongs to somebody else"):
        EmbeddedPostgres(data_folder, durable=False).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose folders PostgreSQL's own user cannot enter")
def test_a_private_data_folder_of_root_is_linked_elsewhere(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onethread.platform.embedded._ROOT_HOME", data_folder / "lib")
    private = data_folder / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private, durable=False)
    server.start()
    assert ask(server, "SELECT 1") == 1
    assert (private / "postgres").resolve().is_relative_to(data_folder / "lib")
    server.stop()
    again = EmbeddedPostgres(private, durable=False)
    assert again.cluster == server.cluster


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose folders PostgreSQL's own user cannot enter")
def test_programs_in_a_private_folder_are_copied(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onethread.platform.embedded._ROOT_HOME", data_folder / "lib")
    can_enter = embedded._can_enter
    monkeypatch.setattr(
        "onethread.platform.embedded._can_enter",
        lambda folder, account: "site-packages" not in folder.parts and can_enter(folder, account),
    )
    server = EmbeddedPostgres(data_folder, durable=False)
    server.start()
    assert ask(server, "SELECT 1") == 1
    assert len(list((data_folder / "lib").glob("postgresql-*"))) == 1
    server.stop()


@pytest.mark.parametrize("memory", [GB // 2, 2 * GB, 8 * GB, 256 * GB])
def test_memory_is_used_with_measure(memory: int) -> None:
    conf = server_conf(sockets=Path("/run/x"), memory=memory, durable=True)
    values = dict(line.split(" = ") for line in conf.splitlines() if " = " in line)
    shared = int(values["shared_buffers"].strip("'MB")) * 1024**2
    assert 64 * 1024**2 <= shared <= max(memory // 4, 64 * 1024**2)
    assert values["fsync"] == values["synchronous_commit"] == values["full_page_writes"] == "'on'"
