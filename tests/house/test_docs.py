"""Docs as tests: every setting, command, event and permission has a heading."""

import ast
import re
from pathlib import Path

import pytest

from onethread.access.model import PERMISSIONS, PERMISSIONS_OF, ROLES
from onethread.app.settings import Settings
from tests.house.reading import ROOT, house

REFERENCE = ROOT / "docs" / "reference"


def headings(page: Path) -> set[str]:
    """Return the headings of a page, without their backticks; none when the page is not there."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return {match[1].replace("`", "").strip() for match in re.finditer(r"^#{2,4} (.+)$", text, re.MULTILINE)}


def compare(page: str, named: set[str]) -> None:
    """Demand a heading for each name, and a name for each heading that looks like one."""
    found = headings(REFERENCE / page)
    assert not named - found, f"docs/reference/{page} lacks: {sorted(named - found)}"


def settings() -> set[str]:
    return {f"ONETHREAD_{name.upper()}" for name in Settings.model_fields}


def event_types() -> set[str]:
    """Name the facts rooms announce: the public dataclasses of every events.py."""
    return {
        node.name
        for module in house()
        if module.parts[1:2] == ("events",) and module.room not in {"platform", "app"}
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    }


def commands() -> set[str]:
    """Name the verbs of the command line, `onethread key create`."""
    cli = pytest.importorskip("onethread.app.cli", reason="there is no command line yet")
    from typer.main import get_command

    def below(command: object, name: str) -> set[str]:
        inner = getattr(command, "commands", None)
        if not inner:
            return {name}
        return {verb for key, one in inner.items() if not one.hidden for verb in below(one, f"{name} {key}")}

    return below(get_command(cli.app), "onethread")


def test_every_setting_is_explained() -> None:
    compare("settings.md", settings())
    assert headings(REFERENCE / "settings.md") == settings()


def test_every_event_is_explained() -> None:
    compare("events.md", event_types())


def test_every_command_is_explained() -> None:
    compare("cli.md", commands())


def test_every_permission_is_explained() -> None:
    compare("permissions.md", set(PERMISSIONS))


def test_the_roles_told_are_the_roles_given() -> None:
    text = (REFERENCE / "permissions.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^## (\S+)\n.*?^Roles: ([^.]+)\.$", text, re.MULTILINE | re.DOTALL))
    given = {
        permission: ", ".join(role.replace("_", "-") for role in ROLES if permission in PERMISSIONS_OF[role])
        for permission in PERMISSIONS
    }
    assert told == given


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "src").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = [
        target
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
        if not (page.parent / target).exists() and not target.startswith("/")
    ]
    # A path may be written from the room, from the package or from the root: its end must be that of a file.
    files = [
        f"/{path.relative_to(ROOT)}" for part in ("src", "tests", "scripts", "benchmarks") for path in _python(part)
    ]
    named = re.findall(r"`([\w/.]+\.py)`", text)
    broken += [path for path in named if not any(file.endswith(f"/{path}") for file in files)]
    assert not broken, f"{page.relative_to(ROOT)} names what is not there: {broken}"


def _python(part: str) -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


def test_every_room_has_its_page() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "onethread").glob("*/__init__.py")}
    pages = {path.stem for path in (ROOT / "docs" / "rooms").glob("*.md")} - {"README"}
    assert rooms == pages


def test_a_missing_heading_is_found() -> None:
    with pytest.raises(AssertionError, match="ONETHREAD_NOWHERE"):
        compare("settings.md", {"ONETHREAD_NOWHERE"})


def test_events_are_found_in_the_source() -> None:
    assert "ReceiptParked" in event_types()
