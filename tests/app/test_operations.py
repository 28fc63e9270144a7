"""The event log and the webhooks over the API, on the real server."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from secrets import token_hex

import httpx
import pytest
from standardwebhooks import Webhook as Reference

from onethread.kernel.clock import utc_now
from onethread.platform import signing
from tests.cast import somchai
from tests.kits.server import Server
from tests.machines.receiver import Receiver
from tests.machines.waiting import until


@pytest.fixture
def owner(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def end_of_log(client: httpx.Client) -> int:
    """Return the position everything so far lies before."""
    after = 0
    while True:
        page = client.get("events", params={"after": after, "limit": 1000}).json()
        after = page["last"]
        if not page["more"]:
            return after


def test_events_are_read_on_from_where_one_was(owner: httpx.Client) -> None:
    after = end_of_log(owner)
    made = [owner.post("teams", json={"name": f"Team {token_hex(4)}"}).json()["id"] for _ in range(3)]
    first = owner.get("events", params={"after": after, "limit": 1, "wait": 10}).json()
    rest = owner.get("events", params={"after": first["last"], "types": "TeamChanged", "wait": 10}).json()
    seen = [event["payload"]["team_id"] for event in first["items"] + rest["items"] if event["type"] == "TeamChanged"]
    assert seen == made
    assert first["more"] is True
    assert rest["last"] >= rest["items"][-1]["seq"]
    assert rest["items"][0]["actor"]["kind"] == "key"


def test_waiting_ends_with_the_news(owner: httpx.Client, server: Server) -> None:
    after = end_of_log(owner)

    def later() -> None:
        time.sleep(0.3)
        with server.client() as client:
            client.post("teams", json={"name": "News"})

    thread = threading.Thread(target=later)
    thread.start()
    page = owner.get("events", params={"after": after, "types": "TeamChanged", "wait": 20}).json()
    thread.join()
    assert [event["type"] for event in page["items"]] == ["TeamChanged"]


def test_waiting_for_nothing_ends_with_nothing(owner: httpx.Client) -> None:
    page = owner.get("events", params={"after": end_of_log(owner), "types": "BrandChanged", "wait": 0.3}).json()
    assert page["items"] == []


def test_whoever_works_for_a_brand_reads_no_other_brands_events(server: Server, owner: httpx.Client) -> None:
    other = owner.post("brands", json={"name": f"Other {token_hex(4)}", "default_country": "TH"}).json()["id"]
    key = owner.post("keys", json={"name": "narrow", "role": "admin", "brands": [other]}).json()["secret"]
    with server.client(key) as narrow:
        seen = {event["brand_id"] for event in narrow.get("events", params={"limit": 1000, "wait": 10}).json()["items"]}
        assert seen <= {other, None}, "events of no brand belong to all of them"
        assert narrow.get("webhooks").json()["items"] == []
        everything = narrow.post("webhooks", json={"url": "https://hooks.example/", "types": ["*"]})
        assert everything.status_code == 403


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://10.0.0.1:8080/", "https://localhost/", "http://[::1]/"]
)
def test_a_webhook_to_an_inner_address_is_refused_at_once(server: Server, url: str) -> None:
    with server.client() as owner:
        answer = owner.post("webhooks", json={"url": url, "types": ["*"]})
    assert (answer.status_code, answer.json()["field"]) == (422, "url")
    assert "ONETHREAD_OUTWARD_ALLOW" in answer.json()["detail"]


async def test_the_life_of_a_webhook(server: Server, owner: httpx.Client) -> None:
    async with Receiver.listening() as receiver:
        made = await asyncio.to_thread(owner.post, "webhooks", json={"url": receiver.url, "types": ["TeamChanged"]})
        assert made.status_code == 201, made.text
        secret, place = made.json()["secret"], f"webhooks/{made.json()['webhook']['id']}"

        ping = await asyncio.to_thread(owner.post, f"{place}/ping")
        assert ping.json() == {"status": 200, "error": ""}

        await asyncio.to_thread(owner.post, "teams", json={"name": "Told"})
        [_, told] = await receiver.requests(2)
        body = Reference(secret).verify(told.body, told.headers)
        assert body["type"] == "TeamChanged"
        assert body["data"]["id"] == told.headers["webhook-id"]

        receiver.always = 410
        await asyncio.to_thread(owner.post, "teams", json={"name": "Gone"})

        async def disabled() -> bool:
            return not (await asyncio.to_thread(owner.get, place)).json()["enabled"]

        await until(disabled)
        dead = (await asyncio.to_thread(owner.get, f"{place}/deliveries", params={"state": "dead"})).json()["items"]
        assert [(one["event_type"], one["status"]) for one in dead] == [("TeamChanged", 410)]

        receiver.always = 200
        rotated = await asyncio.to_thread(owner.post, f"{place}/secret")
        assert rotated.json()["secret"] != secret
        await asyncio.to_thread(owner.patch, place, json={"enabled": True})
        replayed = await asyncio.to_thread(owner.post, f"{place}/deliveries/replay", json={})
        assert replayed.json() == {"count": 1}
        again = (await receiver.requests(4))[3]
        for one in (secret, rotated.json()["secret"]):
            assert (
                json.loads(again.body)["data"]["id"] == Reference(one).verify(again.body, again.headers)["data"]["id"]
            )

        assert (await asyncio.to_thread(owner.delete, place)).status_code == 204
        assert (await asyncio.to_thread(owner.get, place)).status_code == 404


async def test_a_message_arrives_with_its_words(server: Server, owner: httpx.Client) -> None:
    secret = signing.new_secret()
    settings = {
        "channel": "webchat",
        "brand_id": str(server.brand_id),
        "name": "Website",
        "settings": {"hook_secret": secret},
    }
    account = (await asyncio.to_thread(owner.post, "accounts", json=settings)).json()["id"]
    said = {"id": "m1", "type": "message", "body": {"text": somchai.hello}}
    body = json.dumps({"visitor": "0b7c4f0e-6a53-4c0f-8c53-1d3b1f1f9a77", "frame": said}).encode()
    headers = signing.sign([secret], id_="msg_1", at=utc_now(), body=body)
    async with Receiver.listening() as receiver:
        hook = {"url": receiver.url, "types": ["MessageReceived"]}
        made = (await asyncio.to_thread(owner.post, "webhooks", json=hook)).json()
        kept = await asyncio.to_thread(
            httpx.post, f"{server.url}/hooks/{account}", content=body, headers=headers, trust_env=False
        )
        assert kept.status_code == 200, kept.text
        [told] = await receiver.requests(1)
    event = Reference(made["secret"]).verify(told.body, told.headers)["data"]
    assert (event["type"], event["channel"]) == ("MessageReceived", "webchat")
    assert event["details"]["message"]["content"]["text"] == somchai.hello
    await asyncio.to_thread(owner.delete, f"webhooks/{made['webhook']['id']}")


def test_a_webhook_to_an_inner_address_is_never_called(own_server: Server) -> None:
    with own_server.client() as client:
        made = client.post("webhooks", json={"url": "http://127.0.0.1:1/", "types": ["*"]}).json()
    own_server.stop()
    own_server.environment["ONETHREAD_OUTWARD_ALLOW"] = ""  # it was allowed, and is no more
    own_server.start()
    with own_server.client() as client:
        answer = client.post(f"webhooks/{made['webhook']['id']}/ping").json()
    assert answer["status"] is None
    assert "not public" in answer["error"]


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://x.example/", "types": ["*"]},
        {"url": "https://x.example/", "types": []},
        {"url": "https://x.example/", "types": ["Nonsense"]},
        {"url": "https://x.example/", "types": ["*"], "secret": "short"},
        {"url": "https://x.example/", "types": ["*"], "brand_id": "nonsense"},
        {"url": "https://x.example/", "types": ["*"], "more": 1},
    ],
)
def test_a_webhook_that_is_not_right(owner: httpx.Client, body: dict[str, object]) -> None:
    assert owner.post("webhooks", json=body).status_code == 422
