"""Rules 1 and 2: imports go down; neighbours are used through their front doors."""

from collections.abc import Iterable

import pytest

from tests.house.reading import FRONT_DOORS, LIBRARIES, NOT_ROOMS, STEP, Module, house, told

# What the app may open besides: it wires the rooms, serves their routes and runs their loops.
APP_ONLY = "app"


def climbing(modules: Iterable[Module]) -> list[str]:
    """List the imports that go up, or sideways to a room on the same step."""
    broken = []
    for module in modules:
        if module.room not in STEP:
            if "/" in module.path:
                broken.append(f"{module.path}: the room {module.room} has no place on the staircase")
            continue
        for target, line in module.house_imports():
            if target[0] in STEP and target[0] != module.room and STEP[target[0]] >= STEP[module.room]:
                broken.append(f"{module.path}:{line} imports {'.'.join(target)} from {module.room}")
    return broken


def back_doors(modules: Iterable[Module]) -> list[str]:
    """List the imports of a neighbour's inside."""
    return [
        f"{module.path}:{line} uses the inside of {target[0]}: {'.'.join(target)}"
        for module in modules
        if module.room != APP_ONLY
        for target, line in module.house_imports()
        if target[0] != module.room and target[0] not in LIBRARIES | NOT_ROOMS
        if len(target) < 2 or target[1] not in FRONT_DOORS | lent_by(target[0])
    ]


def lent_by(room: str) -> set[str]:
    """Name what a room lends besides its front doors: the page of ports that adapters run their doors on."""
    return {"channels": {"ports", "signing"}, "access": {"acting"}}.get(room, set())


def test_imports_go_down_the_staircase_only() -> None:
    broken = climbing(house())
    assert not broken, told(broken)


def test_neighbours_are_used_through_their_front_doors() -> None:
    broken = back_doors(house())
    assert not broken, told(broken)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("customers/actions.py", "from onethread.channels import model"),
        ("kernel/text.py", "import onethread.platform.db"),
        ("channels/model.py", "from onethread.commerce.model import Order"),
        ("access/actions.py", "from ..customers.model import Customer"),
        ("platform/db.py", "def late():\n    from onethread.app.settings import Settings"),
        ("conversations/actions.py", "from onethread.adapters.channels.email import wire"),
        ("gossip/model.py", ""),
    ],
)
def test_a_climbing_import_is_found(path: str, text: str) -> None:
    assert len(climbing([Module.of(path, text)])) == 1


@pytest.mark.parametrize(
    "text",
    [
        "from onethread.customers import store",
        "from onethread.customers.store.evidence import insert_evidence",
        "import onethread.access.api",
        "from onethread.channels.receiver import Receiver",
        "from onethread import access",
    ],
)
def test_a_back_door_is_found(text: str) -> None:
    assert len(back_doors([Module.of("conversations/actions.py", text)])) == 1


def test_front_doors_and_libraries_are_open() -> None:
    text = "from onethread.customers import actions\nfrom onethread.platform.db import Tx\nfrom . import store"
    assert not back_doors([Module.of("conversations/actions.py", text)])
    assert not climbing([Module.of("conversations/actions.py", text)])
