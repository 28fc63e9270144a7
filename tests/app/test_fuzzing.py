"""schemathesis sends what the description allows and what it does not: no answer is ever a 5xx."""

import json

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from onethread.app.web import describe
from tests.conftest import CHAOS
from tests.kits.server import Server

# Streams do not end by themselves; the watcher of the event log has its own tests.
schema = schemathesis.openapi.from_dict(json.loads(describe())).exclude(operation_id="stream_live_events")


@pytest.fixture(scope="module")
def fuzzed(server: Server) -> httpx.Client:
    with server.client() as client:
        yield client


@schema.parametrize()
@settings(
    max_examples=300 if CHAOS else 3,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_route_fails(case: schemathesis.Case, server: Server) -> None:
    if case.operation.definition.raw["operationId"] == "list_events":
        case.query.pop("wait", None)
    headers = {"authorization": f"Bearer {server.owner_key}"}
    response = case.call(base_url=server.url, headers=headers)
    case.validate_response(response, checks=[not_a_server_error])
