"""Whatever is wrong with a request: the answer is a problem in one shape, never a 500."""

import httpx
import pytest

from tests.kits.server import Server

LONG = "x" * 3_000_000
DEEP = "[" * 100_000 + "]" * 100_000
JSON = {"content-type": "application/json"}


@pytest.fixture
def ask(server: Server) -> httpx.Client:
    with server.client() as client:
        yield client


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """Demand a problem of this status and code; return it."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["type"] == f"urn:onethread:{code}"
    assert body["detail"].endswith(".")
    assert body["title"]
    return body


BODIES = [
    pytest.param(b"", 422, "invalid", id="empty"),
    pytest.param(b"{", 400, "malformed", id="broken JSON"),
    pytest.param(b'{"name":"a"}}', 400, "malformed", id="something after the end"),
    pytest.param(b"\xff\xfe{}", 400, "malformed", id="not UTF-8"),
    pytest.param(b'{"name":"\xc3\x28"}', 400, "malformed", id="broken UTF-8 in a text"),
    pytest.param(b'{"name":"a\\u0000b"}', 422, "invalid", id="a null character"),
    pytest.param(b'{"a\\u0000b":1}', 422, "invalid", id="a null character in a name"),
    pytest.param(b'{"name":"\\ud800"}', 400, "malformed", id="half a character"),
    pytest.param(b'{"name":NaN}', 400, "malformed", id="NaN"),
    pytest.param(b'{"name":123456789012345678901234567890}', 422, "invalid", id="a number too large"),
    pytest.param(b'{"name":1e999}', 400, "malformed", id="a number beyond floats"),
    pytest.param(DEEP.encode(), 400, "malformed", id="deep nesting"),
    pytest.param(b'{"name":' + b"[" * 80 + b"]" * 80 + b"}", 400, "malformed", id="quite deep nesting"),
    pytest.param(b"[]", 422, "invalid", id="a list"),
    pytest.param(b"null", 422, "invalid", id="nothing"),
    pytest.param(b'{"name":["a"]}', 422, "invalid", id="the wrong type"),
    pytest.param(b'{"nonsense":1}', 422, "invalid", id="an unknown field"),
    pytest.param(f'{{"name":"{LONG}"}}'.encode(), 413, "too_large", id="three megabytes"),
]


@pytest.mark.parametrize(("body", "status", "code"), BODIES)
def test_a_body_that_is_not_right(ask: httpx.Client, body: bytes, status: int, code: str) -> None:
    is_problem(ask.post("teams", content=body, headers=JSON), status, code)


def test_a_streamed_body_is_measured_as_it_comes(ask: httpx.Client) -> None:
    answer = ask.post("teams", content=(b"x" * 100_000 for _ in range(40)), headers=JSON)
    is_problem(answer, 413, "too_large")


def test_what_looks_like_a_null_character_but_is_none(ask: httpx.Client) -> None:
    answer = ask.post("teams", content=rb'{"name":"C:\\u0000"}', headers=JSON)
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "C:\\u0000"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nothing", 404, "not_found"),
        ("teams/not-a-uuid", 422, "invalid"),
        ("teams/00000000-0000-0000-0000-000000000000", 404, "not_found"),
        ("teams/%00", 422, "invalid"),
        ("teams/%ff", 400, "malformed"),
        ("customers?identifier=email%00:a", 422, "invalid"),
        ("customers?identifier=%ff", 400, "malformed"),
        ("customers?identifier=nonsense", 422, "invalid"),
        ("conversations?cursor=nonsense", 422, "invalid"),
        ("conversations?limit=0", 422, "invalid"),
        ("conversations?limit=99999999999999999999999", 422, "invalid"),
        ("events?after=-1", 422, "invalid"),
        ("events?after=9223372036854775808", 422, "invalid"),
        ("events?types=Nonsense", 422, "invalid"),
        ("webhooks?cursor=bnVsbA", 422, "invalid"),
        ("webhooks?cursor=IjEi", 422, "invalid"),
    ],
)
def test_an_address_that_is_not_right(ask: httpx.Client, path: str, status: int, code: str) -> None:
    is_problem(ask.get(path), status, code)


def test_a_method_that_is_not_taken(ask: httpx.Client) -> None:
    answer = ask.put("teams")
    body = is_problem(answer, 405, "method_not_allowed")
    assert body["detail"] == "/api/v1/teams takes GET, POST, not PUT."
    assert answer.headers["allow"] == "GET, POST"


def test_nobody_in_particular(server: Server) -> None:
    with server.client("") as client:
        answer = client.get("events")
    is_problem(answer, 401, "not_signed_in")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_form_where_json_is_wanted(ask: httpx.Client) -> None:
    is_problem(ask.post("teams", data={"name": "a"}), 415, "unsupported")
    is_problem(ask.post("teams", content=b'{"name":"a"}'), 415, "unsupported")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("conversations?stauts=open", "query.stauts: There is no such parameter here; it takes assignee, brand,"),
        ("conversations?status=open&status=closed", "query.status: Say this once."),
        ("me?cursor=1", "query.cursor: There is no such parameter here; it takes none."),
        ("conversations?limit=0", "query.limit: This must be 1 or more."),
        ("conversations?limit=ten", "query.limit: This must be a whole number."),
        ("conversations?status=done", "query.status: This must be 'open', 'snoozed' or 'closed'."),
        ("teams/not-a-uuid", "path.team_id: This is not an id."),
    ],
)
def test_a_parameter_that_is_not_right_is_named_in_plain_words(ask: httpx.Client, path: str, said: str) -> None:
    assert str(is_problem(ask.get(path), 422, "invalid")["detail"]).startswith(said)


def test_the_bare_address_says_where_to_go_on(server: Server) -> None:
    front = httpx.get(server.url, trust_env=False).json()
    assert httpx.get(server.url + front["openapi"], trust_env=False).status_code == 200
    assert httpx.get(server.url + front["ready"], trust_env=False).status_code == 200


def test_every_fault_of_a_body_is_named(ask: httpx.Client) -> None:
    body = is_problem(ask.post("webhooks", json={"url": 1, "types": []}), 422, "invalid")
    assert [error["field"] for error in body["errors"]] == ["body.url", "body.types"]


def test_every_answer_has_a_request_id_and_the_security_headers(ask: httpx.Client) -> None:
    answer = ask.get("me", headers={"x-request-id": "ana.1"})
    assert answer.headers["x-request-id"] == "ana.1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    forged = ask.get("me", headers={"x-request-id": "a b"})
    assert forged.headers["x-request-id"] != "a b"


def test_the_description_is_served_and_the_page_to_try_it_is_not(ask: httpx.Client) -> None:
    assert ask.get("openapi.json").json()["openapi"].startswith("3.1")
    is_problem(ask.get("docs"), 404, "not_found")
