"""The command line, as an operator types it: with the embedded PostgreSQL, while the server runs and while not."""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from onethread.app.build import KEY_WANTED, KeyMissing, give_up_old_key, open_secrets
from onethread.app.settings import Settings
from onethread.kernel.clock import utc_now
from onethread.platform import signing
from tests.kits.server import Server
from tests.machines.databases import Databases

SECRET = signing.new_secret()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, from an empty data folder on, with its embedded PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="onethread-", dir="/tmp"))
    folder.chmod(0o755)
    server = Server(folder / "data")
    (folder / "data").mkdir()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(400)
def test_from_an_empty_folder_to_a_backup_and_back(shop: Server) -> None:
    """One long day, because an embedded PostgreSQL is worth starting once."""
    # Nothing is there: everything is made, and the first steps are said.
    shop.start()
    assert f"Onethread answers at {shop.url}\n" in shop.log
    assert "onethread user create" in shop.log

    # While it runs: the owner, a key, an account.
    refused = shop.run("account", "add", "webchat", check=False)
    assert (refused.returncode, "Create the first user first" in refused.stderr) == (1, True)
    made = shop.run("user", "create", "olga@example.com", "--organisation", "Corner Shop", "--country", "pt")
    assert made.stdout.splitlines()[0] == "olga@example.com may sign in as owner."
    password = made.stdout.splitlines()[1]
    key = shop.run("key", "create", "--role", "owner").stdout.strip()
    assert "Traceback" not in shop.log
    with shop.client("") as nobody:
        signed_in = nobody.post("session", json={"email": "olga@example.com", "password": password})
        assert signed_in.status_code == 201, signed_in.text
    account = shop.run("account", "add", "webchat", "--set", f"hook_secret={SECRET}").stdout.strip()
    with shop.client(key) as owner:
        assert [one["id"] for one in owner.get("accounts").json()["items"]] == [account]

    # A message and something nobody can read come in.
    assert deliver(shop, account, {"visitor": VISITOR, "frame": MESSAGE}) == 200
    assert deliver(shop, account, {"visitor": VISITOR, "frame": {"id": "bad", "type": "nonsense"}}) == 200
    with shop.client(key) as owner:
        wait_for(lambda: owner.get("receipts", params={"state": "parked"}).json()["items"])
        wait_for(lambda: owner.get("conversations").json()["items"])
    listed = shop.run("receipts", "list", "--parked").stdout
    assert "webchat" in listed
    assert "parked" in listed

    # While it does not run, all the same.
    assert shop.stop() == 0
    assert shop.run("receipts", "replay", "--all").stdout.startswith("1 will be applied")
    assert shop.run("receipts", "list", "--parked").stdout == "There are no parked receipts.\n"
    examined = shop.run("doctor")
    assert "PostgreSQL" in examined.stdout
    assert "agrees with the database's" in examined.stdout

    # A backup, restored elsewhere, is the same shop.
    archive = shop.data.parent / "shop.tar"
    shop.run("backup", str(archive), "--with-key")
    assert archive.stat().st_mode & 0o077 == 0
    with tarfile.open(archive) as tar:
        assert {"manifest.json", "database.dump", "secret.key"} <= set(tar.getnames())
    refused = shop.run("restore", str(archive), check=False)
    assert (refused.returncode, "is not empty" in refused.stderr) == (1, True)
    twin = Server(shop.data.parent / "twin")
    restore_outside(twin, archive)
    twin.start()
    try:
        with twin.client(key) as owner:
            [conversation] = owner.get("conversations").json()["items"]
            assert conversation["last_text"] == MESSAGE["body"]["text"]
            assert [one["secrets_set"] for one in owner.get("accounts").json()["items"]] == [["hook_secret"]]
        assert deliver(twin, account, {"visitor": VISITOR, "frame": {**MESSAGE, "id": "m2"}}) == 200
    finally:
        twin.stop()


VISITOR = "0b7c4f0e-6a53-4c0f-8c53-1d3b1f1f9a77"
MESSAGE = {"id": "m1", "type": "message", "body": {"text": "สวัสดีครับ ร้านเปิดกี่โมง"}}


def deliver(server: Server, account: str, event: dict[str, object]) -> int:
    body = json.dumps(event).encode()
    headers = signing.sign([SECRET], id_="msg_1", at=utc_now(), body=body)
    return httpx.post(f"{server.url}/hooks/{account}", content=body, headers=headers, trust_env=False).status_code


def wait_for(look: Callable[[], object], seconds: float = 20.0) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def restore_outside(twin: Server, archive: Path) -> None:
    """Restore into a folder that is not there yet."""
    done = subprocess.run(
        twin.command("restore", str(archive)), capture_output=True, text=True, env=twin.env(), check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_database_of_ones_own_is_migrated_by_hand(databases: Databases, tmp_path: Path) -> None:
    with databases.clone() as conninfo:
        server = Server(tmp_path, conninfo)
        assert "Nothing to do" in server.run("migrate").stdout
        again = server.run("doctor")
        assert "up to date" in again.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["account", "add", "pigeon"], "There is no channel pigeon; there are:"),
        (["account", "add", "webchat", "--set", "nonsense"], "'nonsense' is not NAME=VALUE."),
        (["account", "add", "webchat", "--set", "nonsense=1"], "nonsense: Web chat has no setting of this name"),
        (["account", "add", "webchat", "--brand", "other"], "There is no brand other; there are: corner-shop"),
        (["receipts", "replay"], "Name the receipts to replay, or say --all."),
        (["restore", "/nowhere.tar"], "is not an archive written by"),
        (["user", "create", "not an address"], "address"),
    ],
)
def test_what_is_wrong_is_said_in_words(server: Server, words: list[str], said: str) -> None:
    done = server.run(*words, check=False)
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_receipt_that_is_not_parked_is_said(server: Server) -> None:
    done = server.run("receipts", "replay", "999999", check=False)
    assert (done.returncode, done.stdout[:2]) == (1, "0 ")
    assert "1 of the 1 named cannot be replayed" in done.stderr


def test_one_fault_is_said_alone_and_the_catalogue_when_asked_for(server: Server) -> None:
    done = server.run("account", "add", "webchat", "--set", "nonsense=1", check=False)
    assert "Web chat takes:" not in done.stderr
    assert "onethread account add webchat --explain" in done.stderr
    explained = server.run("account", "add", "webchat", "--explain").stdout
    assert explained.startswith("Web chat takes:")
    assert "hook_secret" in explained


def test_help_loads_neither_the_web_nor_the_house() -> None:
    code = (
        "import sys; from onethread.app.cli import app\n"
        "assert not {'fastapi', 'sqlalchemy', 'onethread.app.build', 'onethread.adapters'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_was_restored_without_its_key_does_not_start_with_another(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, secret_key=None)
    (tmp_path / KEY_WANTED).touch()
    with pytest.raises(KeyMissing, match="--new-key"):
        open_secrets(settings)
    give_up_old_key(settings)
    open_secrets(settings)
    assert (tmp_path / "secret.key").exists()


def test_a_port_in_use_is_said_at_once(server: Server) -> None:
    done = server.run("serve", "--port", str(server.port), check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{server.port} cannot be listened on" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(server: Server) -> None:
    server.environment["ONETHREAD_PORT"] = "70000"
    try:
        done = server.run("doctor", check=False)
    finally:
        del server.environment["ONETHREAD_PORT"]
    assert (done.returncode, "ONETHREAD_PORT" in done.stderr) == (1, True)
