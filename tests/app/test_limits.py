"""Whoever works for another brand, or for a team without work, neither sees nor touches what is not theirs."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from onethread.app.web import describe
from tests.kits.scene import Scene, filled
from tests.kits.server import Server, on_a_clone
from tests.machines.databases import Databases

pytestmark = pytest.mark.xdist_group("limits")

Call = tuple[str, str, Any]

CONTENT: Final = {"text": "Hello", "hold_seconds": 0}
# Every route that takes the id of something that belongs to a brand: method, path, body.
OF_A_CONVERSATION: Final[list[Call]] = [
    ("GET", "conversations/{conversation_id}", None),
    ("PATCH", "conversations/{conversation_id}", {"status": "closed"}),
    ("PATCH", "conversations/{conversation_id}", {"assignee_id": None}),
    ("PATCH", "conversations/{conversation_id}", {}),
    ("GET", "conversations/{conversation_id}/draft", None),
    ("PUT", "conversations/{conversation_id}/draft", {"text": "Hello", "version": 0}),
    ("POST", "conversations/{conversation_id}/join", {"into": "{other_conversation_id}"}),
    ("GET", "conversations/{conversation_id}/messages", None),
    ("POST", "conversations/{conversation_id}/messages", CONTENT),
    ("POST", "conversations/{conversation_id}/notes", {"text": "Hello"}),
    ("POST", "conversations/{conversation_id}/read", {"upto": 1}),
    ("POST", "conversations/{conversation_id}/split", {"message_ids": ["{message_id}"]}),
    ("GET", "conversations/{conversation_id}/ways", None),
    ("POST", "deliveries/{delivery_id}/retry", None),
    ("GET", "files/{sha256}", None),
    ("DELETE", "messages/{message_id}", None),
    ("PATCH", "messages/{message_id}", {"text": "Hello"}),
    ("PUT", "messages/{message_id}/reaction", {"emoji": "+1"}),
    ("POST", "messages/{message_id}/undo", None),
]
OF_A_BRAND: Final[list[Call]] = [
    *OF_A_CONVERSATION,
    ("GET", "accounts/{account_id}", None),
    ("PATCH", "accounts/{account_id}", {"enabled": False}),
    ("POST", "accounts/{account_id}/check", None),
    ("POST", "accounts", {"channel": "webchat", "brand_id": "{brand_id}", "name": "Chat"}),
    ("GET", "brands/{brand_id}", None),
    ("PATCH", "brands/{brand_id}", {"name": "Mine"}),
    ("POST", "keys", {"name": "mine", "role": "read_only", "brands": ["{brand_id}"]}),
    ("POST", "messages", {"to": "email:ana@example.com", "text": "Hello", "brand_id": "{brand_id}"}),
    ("GET", "receipts/{receipt}", None),
    ("POST", "webhooks", {"url": "http://127.0.0.1:9/", "types": ["*"], "brand_id": "{brand_id}"}),
    ("GET", "webhooks/{webhook_id}", None),
    ("PATCH", "webhooks/{webhook_id}", {"enabled": False}),
    ("DELETE", "webhooks/{webhook_id}", None),
    ("GET", "webhooks/{webhook_id}/deliveries", None),
    ("POST", "webhooks/{webhook_id}/deliveries/replay", {}),
    ("POST", "webhooks/{webhook_id}/ping", None),
    ("POST", "webhooks/{webhook_id}/secret", None),
    # What is nobody's brand's is for those without limits.
    ("GET", "audit", None),
    ("GET", "dead-letters", None),
    ("GET", "health", None),
]
# Lists are there, without what is not theirs.
LISTS: Final = (
    "accounts",
    "conversations",
    "conversations/count",
    "conversations?q=parcel",
    "conversations?customer={customer_id}",
    "customers/{customer_id}/thread",
    "events?limit=1000",
    "receipts",
    "receipts?account_id={account_id}",
    "webhooks",
)
# A customer is the same person for every brand; what was said with them is not told.
SECRET: Final = (
    "account_id",
    "conversation_id",
    "delivery_id",
    "message_id",
    "other_conversation_id",
    "sha256",
    "webhook_id",
)
IDS: Final = (
    "{account_id}",
    "{conversation_id}",
    "{delivery_id}",
    "{message_id}",
    "{receipt}",
    "{sha256}",
    "{webhook_id}",
)


@pytest.fixture(scope="module")
def scene(databases: Databases) -> Iterator[Scene]:
    with on_a_clone(databases) as server:
        yield Scene.on(server)


@pytest.fixture(scope="module")
def stranger(scene: Scene) -> Iterator[httpx.Client]:
    """An administrator's key, limited to another brand."""
    with scene.server.client(scene.key_of_another_brand()) as client:
        yield client


@pytest.fixture(scope="module")
def idle(scene: Scene) -> Iterator[httpx.Client]:
    """The browser of an administrator who sees only the work of a team that has none."""
    with scene.agent("admin", of_an_idle_team=True) as client:
        yield client


def called(client: httpx.Client, scene: Scene, call: Call) -> httpx.Response:
    method, path, body = call
    said = None if body is None else filled(body, scene.ids)
    return client.request(method, path.format(**scene.ids), json=said, follow_redirects=False)


def name_of(value: object) -> str:
    return "-".join(str(part) for part in value[:2]) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("call", OF_A_BRAND, ids=name_of)
def test_a_stranger_to_the_brand_is_refused(scene: Scene, stranger: httpx.Client, call: Call) -> None:
    answer = called(stranger, scene, call)
    assert answer.status_code in {403, 404}, answer.text
    assert not [name for name in SECRET if scene.ids[name] in answer.text and name not in call[1]]


@pytest.mark.parametrize("call", OF_A_CONVERSATION, ids=name_of)
def test_a_stranger_to_the_team_is_refused(scene: Scene, idle: httpx.Client, call: Call) -> None:
    answer = called(idle, scene, call)
    assert answer.status_code in {403, 404}, answer.text


@pytest.mark.parametrize("path", ["audit", "dead-letters", "health", "events"])
def test_what_is_not_cut_by_teams_is_refused_with_words(idle: httpx.Client, path: str) -> None:
    answer = idle.get(path)
    assert answer.status_code == 403
    assert "teams" in answer.json()["detail"]


@pytest.mark.parametrize("path", LISTS)
def test_lists_do_not_name_what_is_another_brands(scene: Scene, stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(path.format(**scene.ids))
    assert answer.status_code == 200, answer.text
    assert not [name for name in SECRET if scene.ids[name] in answer.text], answer.text
    assert "parcel" not in answer.text
    if "count" in answer.json():
        assert answer.json()["count"] == 0


@pytest.mark.parametrize("path", ["conversations", "conversations/count", "conversations?q=parcel"])
def test_lists_do_not_name_what_is_another_teams(scene: Scene, idle: httpx.Client, path: str) -> None:
    answer = idle.get(path)
    assert answer.status_code == 200, answer.text
    assert scene.conversation not in answer.text
    assert answer.json().get("count", 0) == 0


def test_the_thread_does_not_say_to_another_team_what_was_said(scene: Scene, idle: httpx.Client) -> None:
    answer = idle.get(f"customers/{scene.ids['customer_id']}/thread")
    assert answer.status_code == 200
    assert "parcel" not in answer.text
    assert "Here it is" not in answer.text


def test_receipts_of_another_brand_are_neither_replayed_nor_dismissed(scene: Scene, stranger: httpx.Client) -> None:
    seq = int(scene.ids["receipt"])
    calls: list[tuple[str, dict[str, object]]] = [
        ("receipts/replay", {"all": True}),
        ("receipts/replay", {"receipts": [seq]}),
        ("receipts/dismiss", {"receipts": [seq]}),
    ]
    for path, body in calls:
        answer = stranger.post(path, json=body)
        assert answer.json() == {"count": 0}, answer.text
    with scene.server.client() as owner:
        assert owner.get(f"receipts/{seq}").json()["receipt"]["state"] == "parked"


def test_nothing_is_dismissed_unseen(scene: Scene) -> None:
    with scene.server.client() as owner:
        bodies: list[dict[str, object]] = [{}, {"receipts": []}, {"all": True}]
        for body in bodies:
            assert owner.post("receipts/dismiss", json=body).status_code == 422


def test_this_page_names_every_route_to_what_belongs_to_a_brand() -> None:
    routes = {
        (method.upper(), path.removeprefix("/api/v1/"))
        for path, operations in json.loads(describe())["paths"].items()
        for method in operations
        if any(id_ in path for id_ in IDS)
    }
    assert routes <= {(method, path) for method, path, _ in OF_A_BRAND}


def test_who_belongs_to_the_brand_is_let_in(scene: Scene) -> None:
    """So that the refusals above speak of limits, not of ids nobody has."""
    with scene.server.client() as owner:
        for call in OF_A_BRAND:
            if call[0] == "GET":
                assert called(owner, scene, call).status_code in {200, 307}, call


def test_a_file_is_opened_by_who_brought_it_and_by_who_may_read_what_names_it(server: Server) -> None:
    scene = Scene.on(server)
    with scene.agent("agent") as anna, scene.agent("agent") as bob, scene.agent("agent", of_an_idle_team=True) as idle:
        file = anna.post("files", content=b"a letter of mine", headers={"content-type": "text/plain"}).json()
        path = "files/" + file["ref"].removeprefix("file:")

        def opened() -> list[int]:
            return [who.get(path, follow_redirects=False).status_code for who in (anna, bob, idle)]

        assert opened() == [307, 404, 404]
        draft = anna.put(f"conversations/{scene.conversation}/draft", json={"media": [file], "version": 0})
        assert draft.is_success, draft.text
        assert opened() == [307, 307, 404]
        anna.put(f"conversations/{scene.conversation}/draft", json={"version": draft.json()["version"]})
        assert opened() == [307, 404, 404]
        sent = anna.post(f"conversations/{scene.conversation}/messages", json={"media": [file], "hold_seconds": 0})
        assert sent.is_success, sent.text
        assert opened() == [307, 307, 404]


def test_who_gives_work_to_another_team_does_give_it_away(server: Server) -> None:
    scene = Scene.on(server)
    path = f"conversations/{scene.conversation}"
    with server.client() as owner, scene.agent("supervisor", of_an_idle_team=True) as giver:
        taking = owner.post("teams", json={"name": f"Taking {scene.conversation}"}).json()["id"]
        owner.patch(path, json={"assignee_id": giver.get("me").json()["id"]})
        assert giver.get(path).status_code == 200
        given = giver.patch(path, json={"assignee_id": None, "team_id": taking})
        assert (given.status_code, given.json()["team_id"]) == (200, taking)
        assert giver.get(path).status_code == 404
        assert owner.get(path).json()["team_id"] == taking
