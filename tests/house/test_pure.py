"""Rule 4: what decides is pure: no database, no web, and `now` is an argument."""

from collections.abc import Iterable

import pytest

from tests.house.reading import Module, house, told

PURE_FILES = ("model", "events", "contract", "matching", "wire")
# The two places that ask the time for everybody.
ASKS_THE_TIME = {"kernel/clock.py", "kernel/ids.py"}
STRANGERS = {
    *("aioimaplib", "aiosmtpd", "aiosmtplib", "alembic", "asyncio", "fastapi", "httpx", "imap_tools", "imaplib"),
    *("obstore", "procrastinate", "psycopg", "psycopg_pool", "pydantic", "requests", "smtplib", "socket", "sqlalchemy"),
    *("starlette", "subprocess", "urllib.request", "http.client", "uvicorn", "uvloop", "websockets"),
}
CLOCKS = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "utc_now", "clock.utc_now"),
    *("datetime.datetime.now", "datetime.date.today", "time.time", "time.time_ns", "time.monotonic", "time.sleep"),
    *("time.perf_counter",),
}


def is_pure(module: Module) -> bool:
    """Tell whether a file must be pure by its place or name."""
    if module.room == "kernel":
        return module.path not in ASKS_THE_TIME
    if module.room == "app":
        return False
    # Machines that happen to carry such a name; the model beside them is as pure as any.
    names = [part for part in module.parts[1:] if module.room != "platform" or part not in {"events", "wire"}]
    return any(part in PURE_FILES for part in names)


def impure(modules: Iterable[Module]) -> list[str]:
    """List what pure files import or ask that they may not."""
    broken = []
    for module in filter(is_pure, modules):
        for name, line in module.imports():
            if any(name == stranger or name.startswith(stranger + ".") for stranger in STRANGERS):
                broken.append(f"{module.path}:{line} imports {name}")
            elif name.startswith("onethread.") and not _is_pure_import(name):
                broken.append(f"{module.path}:{line} imports {name}, which is not pure")
        broken += [f"{module.path}:{line} asks the time: {call}()" for call, line in module.calls() if call in CLOCKS]
    return broken


def _is_pure_import(name: str) -> bool:
    parts = name.split(".")[1:]
    if parts[0] == "kernel":
        return parts[1:2] != ["clock"]
    if parts[0] in {"platform", "access", "adapters"}:
        return not {"db", "files", "jobs", "live", "outward", "store", "actions", "queries", "api"} & set(parts[1:])
    return not {"store", "actions", "queries", "api", "jobs", "client"} & set(parts[1:])


def test_pure_files_are_pure() -> None:
    broken = impure(house())
    assert not broken, told(broken)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("customers/model.py", "import psycopg"),
        ("customers/matching.py", "from onethread.platform.db import Tx"),
        ("channels/contract.py", "from httpx import AsyncClient"),
        ("access/events.py", "from onethread.access import store"),
        ("adapters/channels/email/wire/mime.py", "import smtplib"),
        ("kernel/text.py", "from onethread.kernel.clock import utc_now"),
        ("conversations/model.py", "def due(): return datetime.now(UTC)"),
        ("adapters/channels/webchat/wire.py", "import time\ndef f(): return time.time()"),
        ("platform/events/model.py", "import psycopg.rows"),
    ],
)
def test_an_impure_file_is_found(path: str, text: str) -> None:
    assert len(impure([Module.of(path, text)])) == 1


def test_doors_and_stores_may_ask_and_call() -> None:
    text = "import psycopg\nnow = datetime.now(UTC)"
    assert not impure([Module.of("customers/store.py", text), Module.of("platform/events/log.py", text)])
