"""The HTTP doors, and everybody who should not get through any door."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from onethread.adapters.channels.webchat.limits import Buckets, Places, Rate
from onethread.adapters.channels.webchat.wire.frames import MAX_FRAME
from onethread.adapters.channels.webchat.wire.identity import identity_hash
from onethread.channels.signing import sign_standard
from onethread.kernel.clock import utc_now
from tests.adapters.channels.webchat.client import VisitorScreen
from tests.adapters.channels.webchat.conftest import Shop
from tests.adapters.channels.webchat.payloads import HOOK_SECRET, IDENTIFY_SECRET, event, frame
from tests.cast import ana

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + b"\0" * 200


@pytest.fixture
async def http(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {await shop.token()}"}
    async with httpx.AsyncClient(base_url=shop.base, headers=headers, timeout=15) as http:
        yield http


async def close_code(shop: Shop, *frames: str, origin: str | None = None, account: object = None) -> int | None:
    """Send frames to a fresh socket and return how it is closed."""
    url = f"{shop.served.ws}/channels/webchat/{account or shop.account_id}/socket"
    async with connect(url, origin=origin, compression=None) as socket:  # type: ignore[arg-type]
        try:
            for text in frames:
                await socket.send(text)
            async with asyncio.timeout(10):
                async for _ in socket:
                    pass
        except ConnectionClosed:
            pass
        return socket.close_code


def hello(token: str) -> str:
    return json.dumps({"type": "hello", "body": {"token": token}})


async def sse(response: httpx.Response, *, count: int) -> list[dict[str, Any]]:
    """Read so many messages of a stream, with the ids they came under."""
    found: list[dict[str, Any]] = []
    place = None
    async with asyncio.timeout(15):
        async for line in response.aiter_lines():
            if line.startswith("id: "):
                place = line[4:]
            elif line.startswith("data: "):
                found.append(json.loads(line[6:]) | {"place": place})
                if len(found) == count:
                    break
    return found


# ---------------------------------------------------------------- round the WebSocket


async def test_without_websockets_a_visitor_posts_and_streams(shop: Shop, http: httpx.AsyncClient) -> None:
    async with http.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        sent = await http.post("/messages", json=frame("message", "m1", text="Hello"))
        assert sent.json()["replies"] == [{"v": 1, "type": "ack", "id": "m1"}]
        (own,) = await sse(stream, count=1)
        assert own["body"]["own"] == "m1"
    conversation = await shop.conversation()
    await shop.answer(conversation, "On its way.")
    await shop.answer(conversation, "It is there.")
    async with http.stream("GET", "/events", headers={"last-event-id": own["place"]}) as stream:
        texts = [message["body"]["text"] for message in await sse(stream, count=2)]
    assert texts == ["On its way.", "It is there."]


async def test_several_frames_in_one_post_are_answered_each(shop: Shop, http: httpx.AsyncClient) -> None:
    posted = {"frames": [frame("message", "m1", text="one"), frame("message", "m2", text=2), {"type": "?"}]}
    replies = (await http.post("/messages", json=posted)).json()["replies"]
    answers = [(reply["type"], reply.get("id")) for reply in replies]
    assert answers == [("ack", "m1"), ("refused", "m2"), ("refused", None)]
    assert "body.text" in replies[1]["body"]["detail"]


async def test_one_refused_frame_has_its_status(http: httpx.AsyncClient) -> None:
    assert (await http.post("/messages", json=frame("message", text=5))).status_code == 422
    assert (await http.post("/messages", content=b"\xff")).status_code == 422
    assert (await http.post("/messages", json=frame("message", text="é" * MAX_FRAME))).status_code == 413


async def test_a_visitor_who_shows_the_old_token_stays_who_they_are(shop: Shop, http: httpx.AsyncClient) -> None:
    first = (await http.post("/visitor")).json()
    again = (await http.post("/visitor", json={"token": first["token"]})).json()
    stranger = (await http.post("/visitor", json={"token": "nonsense"})).json()
    assert first["visitor"] == again["visitor"] != stranger["visitor"]
    assert (await http.post("/visitor", content=b"[1")).status_code == 400


# ---------------------------------------------------------------- files


async def test_a_photo_is_uploaded_and_sent(shop: Shop, http: httpx.AsyncClient) -> None:
    named = {"content-type": "image/png", "x-file-name": quote("รูป.jpg")}
    kept = await http.post("/uploads", content=JPEG, headers=named)
    assert kept.status_code == 201
    file = kept.json()
    assert (file["name"], file["type"], file["size"]) == ("รูป.jpg", "image/jpeg", len(JPEG))
    body = {"text": "These?", "files": [{name: file[name] for name in ("ref", "proof", "name")}]}
    sent = await http.post("/messages", json=frame("message", "m1", **body))
    assert sent.json()["replies"][0]["type"] == "ack"
    async with http.stream("GET", "/events") as stream:
        (message,) = await sse(stream, count=1)
    (shown,) = message["body"]["files"]
    assert shown["type"] == "image/jpeg"
    loaded = await http.get(shown["url"], headers={"authorization": ""})
    assert loaded.content == JPEG


async def test_a_form_carries_a_file_too(http: httpx.AsyncClient) -> None:
    kept = await http.post("/uploads", files={"file": ("../../a\0b.jpg", JPEG, "image/jpeg")})
    assert kept.status_code == 201
    assert "\0" not in kept.json()["name"]
    assert (await http.post("/uploads", files={"other": ("a.jpg", JPEG)})).status_code == 400
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert (await http.post("/uploads", content=b"--", headers=broken)).status_code == 400


async def test_nobody_sends_the_file_of_another(shop: Shop, http: httpx.AsyncClient) -> None:
    file = (await http.post("/uploads", content=JPEG, headers={"x-file-name": "a.jpg"})).json()
    body = {"files": [{name: file[name] for name in ("ref", "proof", "name")}]}
    theft = await http.post(
        "/messages", json=frame("message", **body), headers={"authorization": f"Bearer {await shop.token()}"}
    )
    assert theft.status_code == 422
    assert "proof" in theft.json()["replies"][0]["body"]["detail"]


async def test_empty_and_endless_files_are_refused(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"a" * 1024 * 1024

    assert (await http.post("/uploads", content=b"")).status_code == 400
    assert (await http.post("/uploads", content=endless())).status_code == 413


# ---------------------------------------------------------------- who does not get in


async def test_nobody_gets_in_without_a_token(shop: Shop, http: httpx.AsyncClient) -> None:
    for token in ("", "Bearer", "Bearer nonsense", "Basic abc"):
        for method, path in (("POST", "/messages"), ("POST", "/uploads"), ("GET", "/events")):
            refused = await http.request(method, path, headers={"authorization": token})
            assert refused.status_code == 401, (token, path)
            assert refused.headers["content-type"] == "application/problem+json"


async def test_a_socket_without_a_proper_hello_is_closed_with_4401(shop: Shop) -> None:
    nonsense = ["", "{", "[]", '{"type":"message"}', '{"type":"hello"}', hello(""), hello("x" * 77), "\0"]
    for first in nonsense:
        assert await close_code(shop, first) == 4401, first


async def test_a_token_of_another_account_is_nothing_here(shop: Shop) -> None:
    other = await shop.served.account("webchat", {})
    token = await shop.token()
    assert await close_code(shop, hello(token), account=other) == 4401


async def test_an_account_that_is_not_there_is_not_found(shop: Shop, http: httpx.AsyncClient) -> None:
    for account in (uuid4(), "nonsense", "%00"):
        lost = await http.post(f"{shop.served.http}/channels/webchat/{account}/visitor")
        assert lost.status_code == 404
    assert await close_code(shop, hello("x"), account=uuid4()) == 4404
    for path in ("", "/", "/nothing"):
        assert (await http.get(f"{shop.base}{path}")).status_code == 404
    assert (await http.get("/visitor")).status_code == 405


async def test_only_allowed_websites_open_the_chat(shop: Shop) -> None:
    guarded = await shop.served.account("webchat", {"allowed_domains": "shop.example"})
    base = f"{shop.served.http}/channels/webchat/{guarded}"
    async with httpx.AsyncClient(base_url=base) as http:
        evil = {"origin": "https://evil.example"}
        good = {"origin": "https://shop.example"}
        refused = await http.post("/visitor", headers=evil)
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
        given = await http.post("/visitor", headers=good)
        assert given.headers["access-control-allow-origin"] == "https://shop.example"
        asked = await http.options("/messages", headers=good | {"access-control-request-method": "POST"})
        assert asked.status_code == 204
        assert "authorization" in asked.headers["access-control-allow-headers"]
    token = given.json()["token"]
    assert await close_code(shop, hello(token), account=guarded, origin="https://evil.example") == 4403
    async with VisitorScreen(base, token, origin="https://shop.example") as ana_:
        await ana_.say("Hello")


async def test_broken_frames_are_refused_and_the_socket_lives_on(shop: Shop) -> None:
    async with await shop.visitor() as ana_:
        for raw in ("{", "[]", "null", '{"id":"x","type":"message","body":{"text":1}}', "\ufeff", b"\xff\xfe", b"\x00"):
            await ana_.raw(raw)
        await ana_.raw("a" * (MAX_FRAME + 1))
        await ana_.say("still here")
        refusals = [answer["body"] for answer in ana_.answers if answer["type"] == "refused"]
        assert len(refusals) == 8
        assert all(refusal["detail"] for refusal in refusals)


async def test_an_endless_frame_closes_the_socket(shop: Shop) -> None:
    assert await close_code(shop, hello(await shop.token()), "a" * (5 * MAX_FRAME)) == 1009


async def test_who_is_too_fast_is_told_when_to_go_on(shop: Shop, http: httpx.AsyncClient) -> None:
    limits = _limits(shop)
    limits.frames_of_visitor = Buckets(Rate(per_second=0.01, at_once=2))
    statuses = [(await http.post("/messages", json=frame("message", f"m{n}", text="a"))).status_code for n in range(3)]
    assert statuses == [200, 200, 429]
    limits.new_visitors = Buckets(Rate(per_second=0.01, at_once=1))
    given = [await http.post("/visitor", headers={"authorization": ""}) for _ in range(2)]
    assert [one.status_code for one in given] == [200, 429]
    assert int(given[1].headers["retry-after"]) > 1


async def test_too_many_screens_are_closed_with_4429(shop: Shop) -> None:
    _limits(shop).screens_of_visitor = Places(1)
    token = await shop.token()
    async with await shop.visitor(token):
        assert await close_code(shop, hello(token)) == 4429
    _limits(shop).screens_of_address = Places(0)
    assert await close_code(shop, hello(token)) == 4429


def _limits(shop: Shop) -> Any:
    site = shop.served.site
    app = site._channels["webchat"]
    return app.state.limits  # type: ignore[attr-defined]


# ---------------------------------------------------------------- the company's own server


async def test_a_companys_server_reports_for_its_visitors_and_identifies_them(
    shop: Shop, http: httpx.AsyncClient
) -> None:
    given = (await http.post("/visitor", headers={"authorization": ""})).json()
    events = [
        event(given["visitor"], frame("message", "m1", text="Hello from the app")),
        event(given["visitor"], frame("identify", "i1", user_id="u-1", email=ana.email, name="Ana Lima")),
    ]
    body = json.dumps({"events": events}).encode()
    headers = sign_standard(HOOK_SECRET, id_="msg_1", at=utc_now(), body=body)
    url = f"{shop.served.http}/hooks/{shop.account_id}"
    for _ in range(3):
        assert (await http.post(url, content=body, headers=headers)).status_code == 200
    assert (await http.post(url, content=body + b" ", headers=headers)).status_code == 401
    async with VisitorScreen(shop.base, given["token"]) as screen:
        await screen.shows("Hello from the app")
    async with asyncio.timeout(15):
        while True:
            found = (await shop.api.get("/api/v1/customers", params={"identifier": f"email:{ana.email}"})).json()
            if found.get("items"):
                break
            await asyncio.sleep(0.05)
    assert len(await shop.conversations()) == 1


async def test_a_signed_in_user_is_one_customer_on_two_browsers(shop: Shop) -> None:
    user = json.dumps({"user_id": "u-1", "email": ana.email})
    hash_ = identity_hash(IDENTIFY_SECRET, user)
    for text in ("from the laptop", "from the phone"):
        async with await shop.visitor() as screen:
            sent = await screen.send("identify", user=user, hash=hash_)
            assert (await screen.answer(sent))["type"] == "ack"
            await screen.say(text)
            await screen.until(lambda: text in screen.texts)  # noqa: B023
    conversations = await shop.conversations()
    assert len({conversation["customer_id"] for conversation in conversations}) == 1
    assert len(conversations) == 1


async def test_a_wrong_hash_is_refused_at_once(shop: Shop) -> None:
    async with await shop.visitor() as screen:
        sent = await screen.send("identify", user='{"user_id":"u-1"}', hash="0" * 64)
        answer = await screen.answer(sent)
        assert answer["type"] == "refused"
        assert "hash" in answer["body"]["detail"]


async def test_who_signs_in_next_at_the_same_browser_sees_nothing_of_the_one_before(shop: Shop) -> None:
    async with await shop.visitor() as screen:
        for user_id in ("u-1", "u-2"):
            said = f"what only {user_id} should read"
            sent = await screen.send("identify", user_id=user_id, hash=identity_hash(IDENTIFY_SECRET, user_id))
            assert (await screen.answer(sent))["type"] == "ack"
            await screen.say(said)
            await screen.shows(said)
    conversations = await shop.conversations()
    assert len({conversation["customer_id"] for conversation in conversations}) == 2
