"""Agents watch live: what is theirs and nothing else, without a gap and without repetition."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from onethread.access.actions.teams import create_team
from onethread.access.model import SYSTEM
from onethread.kernel.clock import utc_now
from tests.adapters.channels.webchat.client import VisitorScreen, visitor_token
from tests.kits.site import Served, serving

Frame = dict[str, Any]


@pytest.fixture
async def served(fresh_conninfo: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(fresh_conninfo, tmp_path) as served:
        yield served


class Tab:
    """One tab of an agent's workspace."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.last = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, served: Served, hello: Frame, **headers: str) -> AsyncIterator["Tab"]:
        origin = headers.pop("origin", None)
        url = f"{served.ws}/api/v1/live"
        async with connect(url, origin=origin, additional_headers=headers, compression=None) as socket:  # type: ignore[arg-type]
            tab = cls(socket)
            await tab.ask(type="hello", **hello)
            yield tab

    async def ask(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def next(self) -> Frame:
        async with asyncio.timeout(15):
            frame: Frame = json.loads(await self.socket.recv())
        self.last = max(self.last, frame["seq"] or 0)
        return frame

    async def until(self, type_: str) -> list[Frame]:
        """Return the frames up to and with the first of a type."""
        frames = [await self.next()]
        while frames[-1]["type"] != type_:
            frames.append(await self.next())
        return frames

    async def said(self, count: int) -> list[str]:
        """Return the texts of the next messages."""
        texts: list[str] = []
        while len(texts) < count:
            frame = await self.next()
            if frame["type"] == "MessageReceived":
                texts.append(frame["data"]["message"]["content"]["text"])
        return texts


@asynccontextmanager
async def visitor(served: Served) -> AsyncIterator[VisitorScreen]:
    account = await served.account("webchat", {})
    base = f"{served.http}/channels/webchat/{account}"
    async with VisitorScreen(base, (await visitor_token(base))["token"]) as screen:
        yield screen


async def test_a_message_is_on_the_agents_screen(served: Served) -> None:
    brand = await served.found()
    key = await served.key("agent")
    async with Tab.open(served, {"token": key, "topics": [f"brand:{brand}"]}) as tab, visitor(served) as ana:
        ready, subscribed = await tab.next(), await tab.next()
        assert ready["type"] == "ready"
        assert subscribed["data"] == {"topics": [f"brand:{brand}"], "refused": {}}
        await ana.say("Hello")
        frame = (await tab.until("MessageReceived"))[-1]
        assert frame["data"]["message"]["content"]["text"] == "Hello"
        assert frame["data"]["conversation"]["last_text"] == "Hello"
        assert frame["seq"] > ready["data"]["seq"]


async def test_a_tab_that_comes_back_misses_nothing_and_sees_nothing_twice(served: Served) -> None:
    topics = [f"brand:{await served.found()}"]
    key = await served.key("agent")
    async with visitor(served) as ana:
        async with Tab.open(served, {"token": key, "topics": topics}) as tab:
            await tab.until("subscribed")
            await ana.say("one")
            assert await tab.said(1) == ["one"]
        for text in ("two", "three"):
            await ana.say(text)
        async with Tab.open(served, {"token": key, "topics": topics, "after": tab.last}) as back:
            await ana.say("four")
            assert await back.said(3) == ["two", "three", "four"]
        async with Tab.open(served, {"token": key, "topics": topics}) as late:
            await late.until("subscribed")
            await late.ask(type="resume", seq=tab.last)
            await late.ask(type="resume", seq=tab.last)
            await ana.say("five")
            assert await late.said(4) == ["two", "three", "four", "five"]


async def test_a_tab_far_behind_is_told_to_load_anew(served: Served) -> None:
    topics = [f"brand:{await served.found()}"]
    key = await served.key("agent")
    async with Tab.open(served, {"token": key, "topics": topics, "after": 10**12}) as tab, visitor(served) as ana:
        behind = (await tab.until("behind"))[-1]
        assert behind["seq"] < 10**12
        await ana.say("and on it goes")
        assert await tab.said(1) == ["and on it goes"]


async def test_an_agent_of_a_team_sees_only_the_teams_work(served: Served) -> None:
    brand = await served.found()
    async with served.house.database.transaction() as tx:
        team = await create_team(tx, SYSTEM, name="Returns", members=(), now=utc_now())
    await served.agent("Nok", teams=(team.id,), only_own_teams=True)
    cookie = await _signed_in(served, "nok@cornershop.example")
    owner = await served.key("owner")
    topics = [f"team:{team.id}"]
    async with (
        visitor(served) as ana,
        httpx.AsyncClient(base_url=served.http, headers={"authorization": f"Bearer {owner}"}) as api,
    ):
        await ana.say("Hello")
        conversation = await _conversation(api)
        hello = {"topics": [*topics, f"brand:{brand}", f"conversation:{conversation}", "organisation", "visitor:1"]}
        async with Tab.open(served, hello, cookie=cookie, origin=served.http) as tab:
            subscribed = (await tab.until("subscribed"))[-1]["data"]
            assert subscribed["topics"] == topics
            assert len(subscribed["refused"]) == 4

            taken = await api.patch(f"/api/v1/conversations/{conversation}", json={"team_id": str(team.id)})
            assert taken.is_success, taken.text
            assert (await tab.until("ConversationAssigned"))[-1]["data"]["conversation"]["team_id"] == str(team.id)
            await tab.ask(type="subscribe", topics=[f"conversation:{conversation}"])
            assert (await tab.until("subscribed"))[-1]["data"]["topics"] == [f"conversation:{conversation}"]

            await api.patch(f"/api/v1/conversations/{conversation}", json={"team_id": None})
            assert (await tab.next())["data"] == {"conversation_id": conversation}


async def test_a_team_hears_that_work_left_it(served: Served) -> None:
    await served.found()
    async with served.house.database.transaction() as tx:
        team = await create_team(tx, SYSTEM, name="Returns", members=(), now=utc_now())
    await served.agent("Nok", teams=(team.id,), only_own_teams=True)
    cookie = await _signed_in(served, "nok@cornershop.example")
    owner = await served.key("owner")
    async with (
        visitor(served) as ana,
        httpx.AsyncClient(base_url=served.http, headers={"authorization": f"Bearer {owner}"}) as api,
        Tab.open(served, {"topics": [f"team:{team.id}"]}, cookie=cookie, origin=served.http) as tab,
    ):
        await ana.say("Hello")
        conversation = await _conversation(api)
        for team_id in (str(team.id), None):
            changed = await api.patch(f"/api/v1/conversations/{conversation}", json={"team_id": team_id})
            assert changed.is_success, changed.text
        frames = await tab.until("gone")
        assert [frame["type"] for frame in frames if frame["seq"]] == ["ConversationAssigned", "gone"]
        assert frames[-1]["data"] == {"conversation_id": conversation}


async def test_a_key_of_one_brand_watches_that_brand_and_what_is_the_whole_organisations(served: Served) -> None:
    brand = await served.found()
    owner = await served.key("owner")
    async with httpx.AsyncClient(base_url=f"{served.http}/api/v1", headers={"authorization": f"Bearer {owner}"}) as api:
        other = (await api.post("/brands", json={"name": "Other", "default_country": "TH"})).json()["id"]
        key = (await api.post("/keys", json={"name": "Other", "role": "admin", "brands": [other]})).json()["secret"]
        topics = [f"brand:{other}", f"brand:{brand}", "organisation"]
        async with Tab.open(served, {"token": key, "topics": topics}) as tab, visitor(served) as ana:
            subscribed = (await tab.until("subscribed"))[-1]["data"]
            assert subscribed["topics"] == [f"brand:{other}", "organisation"]
            await ana.say("Hello")
            await _conversation(api, "/conversations")
            await api.post("/teams", json={"name": "Returns"})
            frames = await tab.until("TeamChanged")
            assert not [frame for frame in frames if "conversation" in frame["data"] or "message" in frame["data"]]


async def _conversation(api: httpx.AsyncClient, path: str = "/api/v1/conversations") -> str:
    """Wait until what was said is applied; return its conversation."""
    async with asyncio.timeout(15):
        while not (items := (await api.get(path)).json()["items"]):  # noqa: ASYNC110  the receiver wakes no test
            await asyncio.sleep(0.02)
    return str(items[0]["id"])


async def _signed_in(served: Served, email: str) -> str:
    async with httpx.AsyncClient(base_url=served.http) as http:
        answer = await http.post("/api/v1/session", json={"email": email, "password": "a long enough pass phrase"})
        assert answer.is_success, answer.text
    return answer.headers["set-cookie"].partition(";")[0]


async def test_colleagues_see_who_is_looking_and_typing_and_that_they_left(served: Served) -> None:
    owner = await served.key("owner")
    async with visitor(served) as ana:
        await ana.say("Hello")
        async with httpx.AsyncClient(base_url=served.http, headers={"authorization": f"Bearer {owner}"}) as api:
            conversation = await _conversation(api)
    hello = {"token": owner, "topics": [f"conversation:{conversation}"]}
    async with Tab.open(served, hello) as one:
        await one.until("subscribed")
        async with Tab.open(served, hello) as other:
            await other.until("subscribed")
            await other.ask(type="looking", conversation=conversation, on=True)
            seen = (await one.until("looking"))[-1]["data"]
            assert (seen["on"], seen["conversation"]) == (True, conversation)
            await other.ask(type="typing", conversation=conversation, on=True, note=True)
            assert (await one.until("typing"))[-1]["data"]["on"] is True
            async with Tab.open(served, hello) as late:
                assert {frame["type"] for frame in [await late.next() for _ in range(4)]} >= {"looking", "typing"}
        left = [(await one.until(type_))[-1] for type_ in ("looking", "typing")]
        assert [frame["data"]["on"] for frame in left] == [False, False]


async def test_who_may_not_watch_is_shown_the_door(served: Served) -> None:
    await served.agent("Nok")
    cookie = await _signed_in(served, "nok@cornershop.example")
    narrow = await served.key("agent", scopes=["customers.read"])
    cases: list[tuple[int, Frame, dict[str, str]]] = [
        (4401, {}, {}),
        (4401, {"token": "otk_nonsense"}, {}),
        (4401, {}, {"cookie": "onethread_session=nonsense", "origin": served.http}),
        (4403, {}, {"cookie": cookie}),
        (4403, {}, {"cookie": cookie, "origin": "https://evil.example"}),
        (4403, {}, {"cookie": cookie, "origin": "null"}),
        (4403, {"token": narrow}, {}),
    ]
    for code, hello, headers in cases:
        async with Tab.open(served, hello, **headers) as tab:
            await tab.socket.wait_closed()
            assert tab.socket.close_code == code, (hello, headers)
    for first in ("", "{", '{"type":"ping"}', "\0"):
        async with connect(f"{served.ws}/api/v1/live", compression=None) as socket:
            await socket.send(first)
            await socket.wait_closed()
            assert socket.close_code == 4401
    async with Tab.open(served, {}, cookie=cookie, origin=served.http) as tab:
        assert (await tab.next())["data"]["actor"]["name"] == "Nok"


async def test_nonsense_is_refused_and_the_tab_lives_on(served: Served) -> None:
    async with Tab.open(served, {"token": await served.key("agent")}) as tab:
        await tab.until("subscribed")
        for raw in ("{", "[]", '{"type":"dance"}', '{"type":"subscribe","topics":5}', '{"type":"resume","seq":-1}'):
            await tab.socket.send(raw)
            assert (await tab.next())["type"] == "refused"
        await tab.ask(type="typing", conversation="018f3a00-0000-7000-8000-000000000001", on=True)
        assert (await tab.next())["data"]["code"] == "not_allowed"
        await tab.ask(type="ping")
        assert (await tab.next())["type"] == "pong"


async def test_a_tab_that_sends_too_much_is_closed(served: Served) -> None:
    async with Tab.open(served, {"token": await served.key("agent")}) as tab:
        for _ in range(400):
            await tab.ask(type="ping")
        with pytest.raises(ConnectionClosedError):
            async for _ in tab.socket:
                pass
        assert tab.socket.close_code == 4429


async def test_without_websockets_the_same_is_streamed(served: Served) -> None:
    brand = await served.found()
    headers = {"authorization": f"Bearer {await served.key('agent')}"}
    async with visitor(served) as ana, httpx.AsyncClient(base_url=served.http, headers=headers, timeout=15) as http:
        async with http.stream("GET", "/api/v1/live/events", params={"topics": f"brand:{brand}"}) as stream:
            assert stream.headers["x-accel-buffering"] == "no"
            await ana.say("one")
            place = await _streamed(stream, "one")
        await ana.say("two")
        again = {"last-event-id": place}
        async with http.stream(
            "GET", "/api/v1/live/events", params={"topics": f"brand:{brand}"}, headers=again
        ) as stream:
            await _streamed(stream, "two")
        refused = await http.get("/api/v1/live/events", params={"topics": f"brand:{brand},visitor:1"})
        assert refused.status_code == 403
        assert (await http.get("/api/v1/live/events", headers={"authorization": ""})).status_code == 401


async def _streamed(stream: httpx.Response, text: str) -> str:
    place = ""
    async with asyncio.timeout(15):
        async for line in stream.aiter_lines():
            if line.startswith("id: "):
                place = line[4:]
            if line.startswith("data: "):
                frame = json.loads(line[6:])
                if frame["type"] == "MessageReceived":
                    assert frame["data"]["message"]["content"]["text"] == text
                    return place
    raise AssertionError("the stream ended")
