"""Rule 5 and the habits: strangers' names stay in their folders, no drawers, no endless files."""

import ast
import re
from collections.abc import Collection, Iterable
from typing import get_args

import pytest

from onethread.kernel.identifier import IdentifierKind
from tests.house.reading import FRONT_DOORS, ROOMS, SOURCE, Module, house, told

LONGEST = 450
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "shared", "base"}


def adapter_names() -> set[str]:
    """Name the strangers: every folder of an adapter."""
    folders = (path for kind in ("channels", "shops", "models") for path in (SOURCE / "adapters" / kind).glob("*"))
    return {folder.name for folder in folders if folder.is_dir() and not folder.name.startswith("_")}


def strangers(modules: Iterable[Module], names: Collection[str]) -> list[str]:
    """List the places where a room names an adapter.

    `email` or `line` are also kinds of identifiers: such a word is a stranger's name only in an import.
    """
    suspicious = [name for name in names if name not in get_args(IdentifierKind)]
    word = re.compile(r"(?<![a-z])(?:" + "|".join(map(re.escape, suspicious)) + r")(?![a-z])", re.IGNORECASE)
    broken = []
    for module in modules:
        if module.room not in ROOMS | {"kernel"}:
            continue
        broken += [
            f"{module.path}:{line} imports {'.'.join(target)}"
            for target, line in module.house_imports()
            if target[0] == "adapters"
        ]
        if suspicious:
            broken += [
                f"{module.path}:{line} names {text[:60]!r}" for text, line in module.texts() if word.search(text)
            ]
    return broken


def drawers(modules: Iterable[Module]) -> list[str]:
    """List the files whose name says nothing."""
    return [module.path for module in modules if DRAWERS & set(re.split(r"[/_]", module.path.removesuffix(".py")))]


def endless(modules: Iterable[Module]) -> list[str]:
    """List the files that want to be split by noun."""
    lengths = ((module.path, module.text.count("\n")) for module in modules)
    return [f"{path}: {lines} lines" for path, lines in lengths if lines > LONGEST]


def talkative(modules: Iterable[Module]) -> list[str]:
    """List packages whose `__init__` holds more than a docstring; a front door may name what it offers."""
    return [
        module.path
        for module in modules
        if module.path.endswith("__init__.py") and module.room in ROOMS | {"kernel"}
        if not all(_is_quiet(node, is_door=module.parts[-1] in FRONT_DOORS) for node in module.tree.body)
    ]


def _is_quiet(node: ast.stmt, *, is_door: bool) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    names_offered = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    return is_door and (names_offered or isinstance(node, ast.ImportFrom))


def test_no_room_names_a_stranger() -> None:
    broken = strangers(house(), adapter_names())
    assert not broken, told(broken)


def test_no_file_is_a_drawer() -> None:
    broken = drawers(house())
    assert not broken, told(broken)


def test_no_file_is_endless() -> None:
    broken = endless(house())
    assert not broken, told(broken)


def test_a_package_says_what_it_is_and_nothing_else() -> None:
    broken = talkative(house())
    assert not broken, told(broken)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("conversations/model.py", 'if channel == "webchat": pass'),
        ("kernel/text.py", 'NAMES = {"Webchat": 1}'),
        ("channels/queries.py", "WEB = \"SELECT 1 WHERE channel = 'webchat'\""),
        ("conversations/actions.py", "from onethread.adapters.channels import email"),
    ],
)
def test_a_stranger_in_a_room_is_found(path: str, text: str) -> None:
    assert len(strangers([Module.of(path, text)], {"webchat", "email"})) == 1


def test_a_kind_of_identifier_is_no_stranger() -> None:
    assert not strangers([Module.of("customers/model.py", 'KIND = "email"')], {"webchat", "email"})


@pytest.mark.parametrize("path", ["customers/utils.py", "platform/helpers/text.py", "access/session_manager.py"])
def test_a_drawer_is_found(path: str) -> None:
    assert drawers([Module.of(path, "")]) == [path]


def test_an_endless_file_is_found() -> None:
    assert len(endless([Module.of("access/model.py", "x = 1\n" * (LONGEST + 1))])) == 1


def test_a_talkative_package_is_found() -> None:
    text = '"""Agents."""\nfrom onethread.access.actions.keys import create_key\n__all__ = ["create_key"]'
    assert talkative([Module.of("access/__init__.py", text)]) == ["access/__init__.py"]
    assert not talkative([Module.of("access/actions/__init__.py", text)])
