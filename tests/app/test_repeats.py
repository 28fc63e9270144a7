"""A write with an Idempotency-Key is carried out once, whatever the network does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex

import httpx
import pytest

from tests.kits.server import Server


@pytest.fixture
def owner(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def key() -> dict[str, str]:
    return {"idempotency-key": token_hex(8)}


def teams(client: httpx.Client, name: str) -> int:
    return sum(team["name"] == name for team in client.get("teams").json()["items"])


def test_the_second_time_the_first_answer_is_given_again(owner: httpx.Client, key: dict[str, str]) -> None:
    name = f"Team {token_hex(4)}"
    first = owner.post("teams", json={"name": name}, headers=key)
    second = owner.post("teams", json={"name": name}, headers=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert teams(owner, name) == 1


def test_ten_at_once_make_one(owner: httpx.Client, key: dict[str, str]) -> None:
    name = f"Team {token_hex(4)}"
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: owner.post("teams", json={"name": name}, headers=key), range(10)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "in_progress"
            assert answer.headers["retry-after"] == "1"
    assert teams(owner, name) == 1


def test_a_refusal_is_an_answer_too(owner: httpx.Client, key: dict[str, str]) -> None:
    first = owner.post("webhooks", json={"url": "ftp://x.example/", "types": ["*"]}, headers=key)
    second = owner.post("webhooks", json={"url": "ftp://x.example/", "types": ["*"]}, headers=key)
    assert (first.status_code, second.headers.get("idempotency-replayed")) == (422, "true")
    assert second.headers["content-type"] == "application/problem+json"


def test_the_key_with_something_else_is_refused(owner: httpx.Client, key: dict[str, str]) -> None:
    owner.post("teams", json={"name": "One"}, headers=key)
    answer = owner.post("teams", json={"name": "Other"}, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_somebody_elses_key_is_another_key(server: Server, owner: httpx.Client, key: dict[str, str]) -> None:
    first = owner.post("keys", json={"name": "mine", "role": "agent"}, headers=key)
    with server.client(server.key("admin")) as other:
        second = other.post("keys", json={"name": "mine", "role": "agent"}, headers=key)
    assert (second.status_code, second.headers.get("idempotency-replayed")) == (201, None)
    assert first.json()["secret"] != second.json()["secret"]


def test_whoever_may_no_longer_come_in_gets_no_answer(server: Server, owner: httpx.Client, key: dict[str, str]) -> None:
    issued = owner.post("keys", json={"name": "brief", "role": "admin"}).json()
    with server.client(issued["secret"]) as brief:
        assert brief.post("teams", json={"name": "Brief"}, headers=key).status_code == 201
        owner.delete(f"keys/{issued['key']['id']}")
        assert brief.post("teams", json={"name": "Brief"}, headers=key).status_code == 401


@pytest.mark.parametrize("word", ["", "x" * 256, "a b", "ü"])
def test_a_key_that_is_none(owner: httpx.Client, word: str) -> None:
    answer = owner.post("teams", json={"name": "x"}, headers={"idempotency-key": word.encode()})
    assert answer.status_code == 422, answer.text


def test_a_restart_forgets_nothing(own_server: Server, key: dict[str, str]) -> None:
    with own_server.client() as client:
        first = client.post("keys", json={"name": "robot", "role": "agent"}, headers=key)
        own_server.restart()
        again = client.post("keys", json={"name": "robot", "role": "agent"}, headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["secret"] == first.json()["secret"]
