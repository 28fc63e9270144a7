"""Lists arrive as they were sent, whatever is in them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from onethread.platform.db import Tx

ONE, OTHER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("uuid", [ONE, ONE, ONE]),
        ("uuid", [ONE, None, OTHER]),
        ("uuid", [None, None]),
        ("text", ["in", "in"]),
        ("text", ["", 'a "quoted" {one}', None, "سلام", "NULL"]),
        ("text", []),
        ("timestamptz", [NOON, NOON]),
        ("bool", [True, True, True]),
        ("bool", [True, False, None]),
        ("bigint", [1 << 40, 1 << 40]),
        ("bigint", [1, 1 << 40]),
        ("int", [7]),
        ("float8", [0.0, 0.0]),
        ("float8", [0.0, -0.0, 1.5]),
        ("bytea", [b"\x00\xff", b"\x00\xff"]),
        ("text[]", [["a", "b"], ["a", "b"]]),
    ],
)
async def test_a_list_arrives_as_it_was_sent(tx: Tx, kind: str, sent: list[Any]) -> None:
    array = kind if kind.endswith("[]") else f"{kind}[]"
    for mark in ("%s", "%b"):
        assert await tx.value(f"SELECT {mark}::{array}", (sent,)) == sent  # type: ignore[arg-type]


async def test_a_column_of_one_value_is_as_long_as_its_list(tx: Tx) -> None:
    rows = await tx.tuples("SELECT * FROM unnest(%b::text[], %b::uuid[])", (["in"] * 500, [ONE] * 500))
    assert rows == [("in", ONE)] * 500
