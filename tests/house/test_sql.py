"""Rule 3: a room writes its own schema, in its store; it reads lower schemas in its queries."""

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from tests.house.reading import LIBRARIES, ROOMS, STEP, Module, house, told

_TABLE = r"(?:ONLY\s+)?(\w+)(?:\.(\w+))?"
_WRITE = re.compile(rf"\b(?:INSERT INTO|MERGE INTO|(?<!FOR )(?<!DO )UPDATE|DELETE FROM|TRUNCATE(?: TABLE)?)\s+{_TABLE}")
_COPY = re.compile(r"\bCOPY\s+(\w+)(?:\.(\w+))?\s*(?:\([^)]*\))?\s*FROM\b")
_READ = re.compile(r"\b(?:(?<!DELETE )FROM|JOIN)\s+(?:ONLY\s+|LATERAL\s+)?(\w+)\.(\w+)(?!\w*\s*\()")
_SQL = re.compile(r"^\s*(?:WITH\s+\w+|SELECT\b|INSERT INTO\b|UPDATE\s+\w+|DELETE FROM\b)")
SCHEMAS = ROOMS
_SHARED_HOLD = {"SET", "OF", "NOWAIT", "SKIP", "ON"}  # words after UPDATE that are no table


def misplaced(modules: Iterable[Module]) -> list[str]:
    """List the statements that write or read where they may not."""
    return [f"{module.path}:{line} {words}" for module in modules for line, words in _faults(module)]


def _faults(module: Module) -> Iterator[tuple[int, str]]:
    if module.path.startswith("app/migrations/"):
        return
    for text, line in module.texts():
        for schema, table in _tables(_WRITE, text) + _tables(_COPY, text):
            if table is None:
                yield line, f"writes {schema}: name its schema"
            elif schema in SCHEMAS and schema != module.room:
                yield line, f"writes {schema}.{table}, which belongs to {schema}"
            elif schema in SCHEMAS and not module.is_a("store"):
                yield line, f"writes {schema}.{table} outside its store"
        for schema, table in _tables(_READ, text):
            if schema not in SCHEMAS:
                continue
            if schema == module.room:
                if not module.is_a("store", "queries") and module.room not in LIBRARIES:
                    yield line, f"reads {schema}.{table} outside store and queries"
            elif STEP[schema] >= STEP[module.room]:
                yield line, f"reads {schema}.{table}, which is not below {module.room}"
            elif not module.is_a("queries") and module.room != "app":
                yield line, f"reads {schema}.{table} of another room outside its queries"


def put_together(modules: Iterable[Module]) -> list[str]:
    """List SQL built with f-strings, format or %: values travel as parameters."""
    broken = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.JoinedStr):
                first = node.values[0]
                text = first.value if isinstance(first, ast.Constant) else ""
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
                text = node.func.value.value if isinstance(node.func.value, ast.Constant) else ""
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
                text = node.left.value if isinstance(node.left, ast.Constant) else ""
            else:
                continue
            if isinstance(text, str) and _SQL.match(text):
                broken.append(f"{module.path}:{node.lineno} puts SQL together")
    return broken


def _tables(pattern: re.Pattern[str], text: str) -> list[tuple[str, str | None]]:
    found = [(match[1], match[2]) for match in pattern.finditer(text)]
    return [(schema, table) for schema, table in found if table or schema not in _SHARED_HOLD]


def test_every_statement_is_in_its_place() -> None:
    broken = misplaced(house())
    assert not broken, told(broken)


def test_sql_is_written_not_put_together() -> None:
    broken = put_together(house())
    assert not broken, told(broken)


@pytest.mark.parametrize(
    ("path", "sql"),
    [
        ("conversations/store.py", "INSERT INTO customers.customer (id) VALUES (%s)"),
        ("conversations/store/message.py", "UPDATE channels.account AS a SET enabled = false"),
        ("customers/actions.py", "DELETE FROM customers.evidence WHERE id = %s"),
        ("customers/queries.py", "UPDATE customers.customer SET name = %s"),
        ("customers/queries.py", "SELECT 1 FROM conversations.message"),
        ("conversations/store.py", "SELECT 1 FROM customers.customer"),
        ("conversations/actions.py", "SELECT 1 FROM conversations.message"),
        ("conversations/store.py", "WITH x AS (INSERT INTO message (id) VALUES (%s)) SELECT 1"),
        ("app/cli.py", "INSERT INTO access.agent (id) VALUES (%s)"),
        ("channels/store.py", "COPY platform.event (id, seq) FROM STDIN"),
    ],
)
def test_a_misplaced_statement_is_found(path: str, sql: str) -> None:
    assert len(misplaced([Module.of(path, f"SQL = {sql!r}")])) == 1


@pytest.mark.parametrize(
    ("path", "sql"),
    [
        (
            "customers/store.py",
            "INSERT INTO customers.evidence AS e (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET x = 1",
        ),
        ("customers/store_evidence.py", "SELECT 1 FROM customers.evidence FOR UPDATE OF e SKIP LOCKED"),
        ("conversations/queries/inbox.py", "SELECT 1 FROM conversations.inbox JOIN customers.customer USING (id)"),
        ("customers/actions.py", "Delete from your address book"),
    ],
)
def test_a_statement_in_its_place_passes(path: str, sql: str) -> None:
    assert not misplaced([Module.of(path, f"SQL = {sql!r}")])


@pytest.mark.parametrize(
    "code",
    ['f"SELECT * FROM x WHERE id = {id}"', '"SELECT {} FROM x".format(y)', '"DELETE FROM x WHERE id = %s" % id'],
)
def test_sql_put_together_is_found(code: str) -> None:
    assert len(put_together([Module.of("customers/store.py", code)])) == 1
