"""Reads the house's source as syntax trees, for the rules to look at."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "onethread"

# From the ground up; rooms on one step stand side by side.
STAIRS: tuple[tuple[str, ...], ...] = (
    ("kernel",),
    ("platform",),
    ("access",),
    ("customers",),
    ("channels", "commerce"),
    ("conversations", "loyalty"),
    ("segments", "routing"),
    ("journeys", "bots"),
    ("analytics",),
    ("planner",),
    ("adapters",),
    ("playground",),
    ("app",),
)
STEP = {room: step for step, rooms in enumerate(STAIRS) for room in rooms}
FRONT_DOORS = {"actions", "queries", "events", "model", "contract"}
LIBRARIES = {"kernel", "platform"}
NOT_ROOMS = {"kernel", "adapters", "playground", "app"}
ROOMS = {room for room in STEP if room not in NOT_ROOMS}


@dataclass(frozen=True)
class Module:
    """One source file. `path` is relative to src/onethread, as in `customers/model.py`."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> "Module":
        return cls(path, text, ast.parse(text))

    @property
    def room(self) -> str:
        return self.path.partition("/")[0]

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.path.removesuffix(".py").removesuffix("/__init__").split("/"))

    def is_a(self, *kinds: str) -> bool:
        """Tell whether the file is of a kind: `store.py`, `store_noun.py` or anything in `store/`."""
        return any(part == kind or part.startswith(kind + "_") for part in self.parts[1:] for kind in kinds)

    def imports(self) -> Iterator[tuple[str, int]]:
        """Yield every imported name in full, `onethread.access.model.Actor`, with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)

    def house_imports(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield the parts below `onethread` of every import of our own."""
        for name, line in self.imports():
            parts = name.split(".")
            if parts[0] == "onethread" and len(parts) > 1:
                yield tuple(parts[1:]), line

    def texts(self) -> Iterator[tuple[str, int]]:
        """Yield every string of the code with its line; docstrings are not code."""
        prose = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield node.value, node.lineno

    def calls(self) -> Iterator[tuple[str, int]]:
        """Yield every called name, as written: `datetime.now`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node.lineno

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = ("onethread", *self.path.removesuffix(".py").split("/"))[: -node.level]
        return ".".join((*here, node.module) if node.module else here)


@cache
def house() -> tuple[Module, ...]:
    """Return every module of the house."""
    return tuple(
        Module.of(path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    )


def told(broken: list[str]) -> str:
    """Return what a failing rule prints."""
    return "\n" + "\n".join(broken)
