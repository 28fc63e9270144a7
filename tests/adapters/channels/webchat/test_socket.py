"""Visitors on the WebSocket: nothing lost, nothing twice, nobody else's."""

import asyncio
import json
from pathlib import Path

from websockets.asyncio.client import connect

from tests.adapters.channels.webchat.client import VisitorScreen, visitor_token
from tests.adapters.channels.webchat.conftest import Shop
from tests.adapters.channels.webchat.payloads import HOOK_SECRET
from tests.kits.site import serving


async def test_a_visitor_says_hello_and_is_answered(shop: Shop) -> None:
    async with await shop.visitor() as ana:
        await ana.say("Hello, where is my order?")
        await ana.shows("Hello, where is my order?")
        conversation = await shop.conversation()
        await shop.answer(conversation, "On its way.")
        await ana.shows("Hello, where is my order?", "On its way.")
        own, ours = sorted(ana.messages.values(), key=lambda message: message["seq"])
        assert own["body"]["from"] == "visitor"
        assert ours["body"]["from"] == "company"


async def test_a_resent_message_is_there_once(shop: Shop) -> None:
    async with await shop.visitor() as ana:
        for _ in range(3):
            await ana.send("message", "the-same", text="Hello")
        await ana.until(lambda: len(ana.answers) == 3)
        assert [answer["type"] for answer in ana.answers] == ["ack"] * 3
        assert [answer.get("body", {}).get("known", False) for answer in ana.answers] == [False, True, True]
        await ana.say("And then?")
        await ana.shows("Hello", "And then?")


async def test_a_burst_stays_in_order(shop: Shop) -> None:
    async with await shop.visitor() as ana:
        texts = [f"number {number}" for number in range(30)]
        for text in texts:
            await ana.send("message", text=text)
        await ana.shows(*texts)
    assert len(await shop.conversations()) == 1


async def test_who_was_away_gets_what_was_missed_once(shop: Shop) -> None:
    ana = await shop.visitor()
    async with ana:
        await ana.say("Hello")
        await ana.shows("Hello")
        conversation = await shop.conversation()
    for number in range(5):
        await shop.answer(conversation, f"answer {number}")
    await ana.open()
    await ana.shows("Hello", *(f"answer {number}" for number in range(5)))
    await shop.answer(conversation, "and live again")
    await ana.until(lambda: ana.texts[-1] == "and live again")
    assert len(ana.texts) == 7
    await ana.drop()


async def test_two_tabs_of_one_visitor_show_the_same(shop: Shop) -> None:
    token = await shop.token()
    async with await shop.visitor(token) as one, await shop.visitor(token) as other:
        await one.say("Hello from one")
        await other.shows("Hello from one")
        await other.say("and from the other")
        await one.shows("Hello from one", "and from the other")
        conversation = await shop.conversation()
        await shop.answer(conversation, "Welcome, both.")
        for tab in (one, other):
            await tab.shows("Hello from one", "and from the other", "Welcome, both.")


async def test_a_visitor_hears_nothing_of_another(shop: Shop) -> None:
    async with await shop.visitor() as ana, await shop.visitor() as bruno:
        await ana.say("I am Ana")
        await bruno.say("I am Bruno")
        await ana.shows("I am Ana")
        await bruno.shows("I am Bruno")
        for conversation in await shop.conversations():
            await shop.answer(conversation["id"], f"about: {conversation['last_text']}")
        await ana.shows("I am Ana", "about: I am Ana")
        await bruno.shows("I am Bruno", "about: I am Bruno")


async def test_notes_are_never_shown_to_the_visitor(shop: Shop) -> None:
    async with await shop.visitor() as ana:
        await ana.say("Hello")
        conversation = await shop.conversation()
        noted = await shop.api.post(f"/api/v1/conversations/{conversation}/notes", json={"text": "She is angry."})
        assert noted.is_success, noted.text
        await shop.answer(conversation, "We are sorry.")
        await ana.shows("Hello", "We are sorry.")
    await ana.open()
    await ana.shows("Hello", "We are sorry.")
    await ana.drop()


async def test_what_was_read_is_known_to_the_agent(shop: Shop) -> None:
    async with await shop.visitor() as ana:
        await ana.say("Hello")
        conversation = await shop.conversation()
        await shop.answer(conversation, "On its way.")
        await ana.shows("Hello", "On its way.")
        ours = next(id_ for id_, message in ana.messages.items() if message["body"]["from"] == "company")
        for word in ("delivered", "read"):
            await ana.send(word, messages=[ours])
            await _status_is(shop, conversation, word)


async def _status_is(shop: Shop, conversation_id: str, status: str) -> None:
    async with asyncio.timeout(15):
        while True:
            page = (await shop.api.get(f"/api/v1/conversations/{conversation_id}/messages")).json()["items"]
            statuses = [delivery["status"] for message in page for delivery in message["deliveries"]]
            if statuses == [status]:
                return
            await asyncio.sleep(0.05)


async def test_a_visitor_edits_and_takes_back_what_they_said(shop: Shop) -> None:
    async with await shop.visitor() as ana:
        first = await ana.say("Helo")
        second = await ana.say("wrong window")
        await ana.shows("Helo", "wrong window")
        await ana.send("edit", own=first, text="Hello")
        await ana.send("unsend", own=second)
        await ana.shows("Hello", "")
    fresh = await shop.visitor(ana.token)
    async with fresh:
        await fresh.shows("Hello", "")


async def test_nobody_edits_what_another_visitor_said(shop: Shop) -> None:
    async with await shop.visitor() as ana, await shop.visitor() as bruno:
        said = await ana.say("Hello")
        await ana.shows("Hello")
        await bruno.say("I am Bruno")
        await bruno.send("edit", own=said, text="Hacked")
        await bruno.send("unsend", own=said)
        await bruno.say("still here")
        await ana.say("Nothing changed?")
        await ana.shows("Hello", "Nothing changed?")


async def test_typing_goes_both_ways_and_is_never_kept(shop: Shop) -> None:
    async with await shop.visitor() as ana:
        await ana.say("Hello")
        await ana.shows("Hello")
        conversation = await shop.conversation()
        key = shop.api.headers["authorization"].removeprefix("Bearer ")
        async with connect(f"{shop.served.ws}/api/v1/live", compression=None) as desk:
            await desk.send(json.dumps({"type": "hello", "token": key, "topics": [f"conversation:{conversation}"]}))
            await ana.send("typing", conv=conversation, on=True)
            async with asyncio.timeout(10):
                while (frame := json.loads(await desk.recv()))["type"] != "typing":
                    pass
            assert frame["data"]["who"].startswith("visitor:")
            await desk.send(json.dumps({"type": "typing", "conversation": conversation, "on": True}))
            await ana.until(lambda: bool(ana.signals))
            assert ana.signals[0] == {"v": 1, "type": "typing", "conv": conversation, "body": {"on": True}}
            await desk.send(json.dumps({"type": "typing", "conversation": conversation, "on": True, "note": True}))
            await shop.answer(conversation, "Done.")
            await ana.shows("Hello", "Done.")
            assert len(ana.signals) == 1
    async with shop.served.house.database.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM channels.receipt") == 1


async def test_nobody_types_in_a_conversation_of_another(shop: Shop) -> None:
    async with await shop.visitor() as ana, await shop.visitor() as bruno:
        await ana.say("Hello")
        await ana.shows("Hello")
        conversation = await shop.conversation()
        heard = shop.served.house.hub.subscribe([f"conversation:{conversation}"])
        await bruno.send("typing", conv=conversation, on=True)
        await bruno.send("ping", "done")
        await bruno.answer("done")
        await ana.send("typing", conv=conversation, on=True)
        frames = await heard.take()
        assert [frame.data["who"] for frame in frames if frame.type == "typing"] == [
            f"visitor:{ana.welcome['body']['visitor']}"
        ]
        heard.close()


async def test_the_server_restarts_and_everybody_goes_on(fresh_conninfo: str, tmp_path: Path) -> None:
    async with serving(fresh_conninfo, tmp_path) as served:
        account_id = await served.account("webchat", {"hook_secret": HOOK_SECRET})
        base = f"{served.http}/channels/webchat/{account_id}"
        ana = VisitorScreen(base, (await visitor_token(base))["token"])
        await ana.open()
        await ana.say("before")
        await ana.shows("before")
        await ana.send("message", text="while it goes down")
    await ana.drop()
    await ana.send("message", "in-the-dark", text="while it is down")
    async with serving(fresh_conninfo, tmp_path, port=served.port):
        await ana.open()
        await ana.shows("before", "while it goes down", "while it is down")
        await ana.until(lambda: not ana.unacknowledged)
        await ana.drop()
