"""The committed description of the API is the one the routes give."""

import json

from onethread.app.web import describe
from tests.house.reading import ROOT


def test_the_committed_description_is_current() -> None:
    kept = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert kept == describe(), "run `onethread openapi` and commit docs/openapi.json"


def test_every_route_has_a_name_a_permission_and_words() -> None:
    seen = set()
    for path, operations in json.loads(describe())["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            assert operation["operationId"] not in seen, f"{place}: the name is taken"
            seen.add(operation["operationId"])
            assert operation.get("x-permission"), f"{place}: who may?"
            assert operation.get("description"), f"{place}: what does it do?"
            assert {"4XX", "5XX"} <= operation["responses"].keys(), place
            assert "422" not in operation["responses"], place
