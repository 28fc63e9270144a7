"""The screen law: applying the frames of whatever happened to a stale screen gives what loading anew would give."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from onethread.kernel.clock import utc_now
from tests.cast import everybody
from tests.kits.reducer import EMPTY, Frame, State, applied, reduced
from tests.kits.server import Server
from tests.kits.shop import Shop
from tests.machines.figures import Tell
from tests.machines.waiting import until

pytestmark = pytest.mark.timeout(1800)

CASES = Path(__file__).parent.parent / "shared" / "screen_law"
RECORD = os.environ.get("ONETHREAD_RECORD") == "1"  # write the shared cases anew


Rows = dict[str, dict[str, Any]]


@dataclass
class Screen:
    """An agent's screen that never loads anew unless it is told to; `frames` is everything it heard."""

    shop: Shop
    socket: ClientConnection
    state: State = field(default_factory=lambda: EMPTY)
    frames: list[Frame] = field(default_factory=list)
    reading: asyncio.Task[None] = field(init=False)

    @classmethod
    @asynccontextmanager
    async def of(cls, shop: Shop) -> AsyncIterator["Screen"]:
        url = f"{shop.server.url.replace('http', 'ws', 1)}/api/v1/live"
        async with connect(url, compression=None, max_size=None) as socket:
            await socket.send(json.dumps(hello(shop)))
            async for text in socket:
                if json.loads(text)["type"] == "subscribed":
                    break
            screen = cls(shop, socket)
            screen.state = await fresh(shop)
            screen.listen()
            yield screen
            await screen.close()

    def listen(self) -> None:
        self.reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)

    async def _read(self) -> None:
        async for text in self.socket:
            frame = json.loads(text)
            assert frame["type"] not in {"behind", "gone"}, frame
            if "event" in frame["data"]:
                self.frames.append(frame)
                self.state = applied(self.state, frame)

    async def is_up_to_date(self) -> None:
        """Wait until everything that happened was applied, sent and heard of."""
        await self.shop.applied()

        async def heard() -> bool:
            if self.reading.done():
                self.reading.result()
            under_way = await self.shop.value(
                "SELECT count(*) FROM conversations.delivery WHERE status IN ('queued', 'sending') AND due_at <= now()"
            )
            last = await self.shop.value("SELECT coalesce(max(seq), 0) FROM platform.event")
            return under_way == 0 and max((frame["seq"] for frame in self.frames), default=last) >= last

        await until(heard)

    async def obeys_the_law(self) -> None:
        """Compare with what loading anew gives; what happens by itself meanwhile is waited out."""
        for _ in range(3):
            await self.is_up_to_date()
            there = await fresh(self.shop)
            loaded = set(self.state["loaded"])
            messages = {id_: one for id_, one in there["messages"].items() if one["conversation_id"] in loaded}
            if (self.state["conversations"], self.state["messages"]) == (there["conversations"], messages):
                break
        assert loaded <= set(there["loaded"])
        assert differences(self.state["conversations"], there["conversations"]) == {}
        assert differences(self.state["messages"], messages) == {}
        self.state = there  # load what it was told to load anew


def hello(shop: Shop) -> dict[str, object]:
    """Return what a screen says first: it watches a brand, and what belongs to none."""
    topics = [f"brand:{shop.server.brand_id}", "organisation"]
    return {"type": "hello", "token": shop.server.owner_key, "topics": topics}


def differences(stale: Rows, fresh: Rows) -> dict[str, object]:
    """Return what the stale screen shows and what it should, by row and field."""
    found: dict[str, object] = {}
    for id_ in stale.keys() | fresh.keys():
        mine, theirs = stale.get(id_), fresh.get(id_)
        if mine is None or theirs is None:
            found[id_] = "is missing" if mine is None else "is too many"
        elif mine != theirs:
            found[id_] = {name: (mine.get(name), theirs.get(name)) for name in theirs if mine.get(name) != theirs[name]}
    return found


async def fresh(shop: Shop) -> State:
    """Return what a screen that has just been opened loads: the inbox, and the messages of every conversation."""
    rows = {row["id"]: row for row in await shop.conversations()}
    pages = await asyncio.gather(*(shop.messages(id_) for id_ in rows))
    messages = {message["id"]: message for page in pages for message in page}
    return {"conversations": rows, "messages": messages, "loaded": sorted(rows)}


class Life:
    """Customers and agents who do whatever the dice say, as far as it can be done at the moment."""

    def __init__(self, shop: Shop, dice: random.Random) -> None:
        self.shop = shop
        self.dice = dice
        self.visitors = [UUID(int=dice.getrandbits(128), version=4) for _ in everybody]
        self.number = 0
        self.said: dict[UUID, list[str]] = {}
        self.agent = ""

    async def arrive(self) -> None:
        self.agent = (await self.shop.get("/agents"))["items"][0]["id"]

    # ------------------------------------------------------------ customers

    async def write(self) -> None:
        who, name = self._somebody(), self.dice.choice((None, None, "Ana Lima", "A. Lima", "山田 花子"))
        self.said.setdefault(who, []).append(f"c{self.number}")
        body = {"text": self.dice.choice(("Hello", "สวัสดี", "Are you there?"))} | ({"name": name} if name else {})
        await self._hook(who, "message", **body)

    async def identify(self) -> None:
        await self._hook(self._somebody(), "identify", user_id=self.dice.choice(("u1", "u2", "u3")), name="Ana")

    async def fill_in_the_form(self) -> None:
        await self._hook(self._somebody(), "form", email=self.dice.choice(("ana@example.com", "bruno@example.com")))

    async def change_their_words(self) -> None:
        who = self._speaker()
        await self._hook(who, "edit", own=self.dice.choice(self.said[who]), text=f"I mean {self.number}")

    async def take_it_back(self) -> None:
        who = self._speaker()
        await self._hook(who, "unsend", own=self.dice.choice(self.said[who]))

    async def feel(self) -> None:
        who = self._speaker()
        await self._hook(who, "reaction", own=self.dice.choice(self.said[who]), emoji=self.dice.choice(("👍", None)))

    async def see(self) -> None:
        line = await self._line("out")
        if line["identifier"]:
            who = UUID(line["identifier"].rpartition(":")[2])
            await self._hook(who, self.dice.choice(("delivered", "read")), messages=[line["id"]])

    # ------------------------------------------------------------ agents

    async def answer(self) -> None:
        await self._post(await self._conversation(), "messages", text="On its way.", hold_seconds=0)

    async def answer_and_regret_it(self) -> None:
        sent = await self._post(await self._conversation(), "messages", text="Oops", hold_seconds=60)
        if sent:
            await self.shop.post(f"/messages/{sent['id']}/undo", {})

    async def note(self) -> None:
        await self._post(await self._conversation(), "notes", text="Be kind.")

    async def change(self) -> None:
        until_then = (utc_now() + timedelta(hours=1)).isoformat()
        change = self.dice.choice(
            (
                {"status": "closed"},
                {"status": "open"},
                {"status": "snoozed", "snoozed_until": until_then},
                {"assignee_id": self.agent},
                {"assignee_id": None},
                {"subject": f"About {self.number}", "priority": self.dice.randint(-1, 2)},
            )
        )
        await self._may(self.shop.api.patch(f"/conversations/{await self._conversation()}", json=change))

    async def correct(self) -> None:
        line = await self._line("out")
        await self._may(self.shop.api.patch(f"/messages/{line['id']}", json={"text": f"Corrected {self.number}"}))

    async def withdraw(self) -> None:
        await self._may(self.shop.api.delete(f"/messages/{(await self._line('out'))['id']}"))

    async def join(self) -> None:
        one, other = await self._conversation(), await self._conversation()
        await self._post(one, "join", into=other)

    async def split(self) -> None:
        lines = await self.shop.messages(await self._conversation())
        chosen = [line["id"] for line in lines if self.dice.random() < 0.4]
        await self._post(lines[0]["conversation_id"], "split", message_ids=chosen or [lines[-1]["id"]])

    async def link(self) -> None:
        rows = await self.shop.conversations()
        one, other = self.dice.choice(rows), self.dice.choice(rows)
        body = {"customer_id": other["customer_id"], "reason": "They said so on the phone."}
        await self._may(self.shop.api.post(f"/customers/{one['customer_id']}/links", json=body))

    async def tell_apart(self) -> None:
        row = self.dice.choice(await self.shop.conversations())
        lines = (await self.shop.get(f"/customers/{row['customer_id']}/identifiers"))["items"]
        evidence = [one["id"] for line in lines for one in line["evidence"] if one["revoked_at"] is None]
        if evidence:
            await self._may(self.shop.api.request("DELETE", f"/evidence/{self.dice.choice(evidence)}", params=WHY))

    async def act(self) -> None:
        """Do one thing."""
        acts: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self.write, 8),
            (self.identify, 2),
            (self.fill_in_the_form, 1),
            (self.change_their_words, 1),
            (self.take_it_back, 1),
            (self.feel, 1),
            (self.see, 2),
            (self.answer, 3),
            (self.answer_and_regret_it, 1),
            (self.note, 1),
            (self.change, 5),
            (self.correct, 1),
            (self.withdraw, 1),
            (self.join, 1),
            (self.split, 1),
            (self.link, 1),
            (self.tell_apart, 1),
        ]
        self.number += 1
        [do] = self.dice.choices([act for act, _ in acts], [weight for _, weight in acts])
        try:
            await do()
        except Nothing:
            await self.write()

    # ------------------------------------------------------------ hands

    def _somebody(self) -> UUID:
        return self.dice.choice(self.visitors)

    def _speaker(self) -> UUID:
        if not self.said:
            raise Nothing
        return self.dice.choice(sorted(self.said))

    async def _conversation(self) -> str:
        rows = await self.shop.conversations()
        if not rows:
            raise Nothing
        return str(self.dice.choice(rows)["id"])

    async def _line(self, direction: str) -> dict[str, Any]:
        lines = await self.shop.messages(await self._conversation())
        found = [line for line in lines if line["direction"] == direction and line["channel"] == "webchat"]
        if not found:
            raise Nothing
        return self.dice.choice(found)

    async def _hook(self, visitor: UUID, kind: str, **body: object) -> None:
        frame = {"v": 1, "id": f"c{self.number}", "type": kind, "body": body}
        async with self.shop.line() as http:
            response = await self.shop.hook(http, json.dumps({"visitor": str(visitor), "frame": frame}).encode())
        assert response.status_code == 200, response.text
        await self.shop.applied()

    async def _post(self, conversation: str, act: str, **body: object) -> Any:
        return await self._may(self.shop.api.post(f"/conversations/{conversation}/{act}", json=body))

    async def _may(self, asked: Awaitable[httpx.Response]) -> Any:
        """Do what can be done; what cannot be done now is refused in words."""
        response = await asked
        assert response.is_success or response.status_code in {404, 409, 422}, response.text
        return response.json() if response.is_success and response.content else None


class Nothing(Exception):
    """There is nothing to do this to yet."""


WHY = {"reason": "A slip."}


@pytest.fixture
async def shop(own_server: Server) -> AsyncIterator[Shop]:
    async with Shop.on(own_server) as shop:
        yield shop


async def test_frames_applied_to_a_stale_screen_give_the_fresh_one(shop: Shop, figure: Tell, chaos: bool) -> None:
    rounds, acts = (30, 40) if chaos else (5, 16)
    seed = random.randrange(1 << 32) if chaos else 5
    life = Life(shop, random.Random(seed))
    await life.arrive()
    types: set[str] = set()
    async with Screen.of(shop) as screen:
        for round_ in range(rounds):
            before, heard = screen.state, len(screen.frames)
            for _ in range(acts):
                await life.act()
            await screen.is_up_to_date()
            after = screen.state
            print(f"seed {seed}, round {round_}")  # what to look at when it fails
            await screen.obeys_the_law()
            types |= {frame["type"] for frame in screen.frames[heard:]}
            if RECORD:
                record(f"random-{round_ + 1}", before, screen.frames[heard:], after)
    assert {"MessageReceived", "MessageSent", "DeliveryChanged", "ConversationClosed", "CustomersMerged"} <= types
    figure(f"screen law: {life.number:,} acts, {len(screen.frames):,} frames of {len(types)} types, seed {seed}")


async def test_a_screen_that_comes_back_obeys_the_law_too(shop: Shop) -> None:
    life = Life(shop, random.Random(8))
    await life.arrive()
    for _ in range(10):
        await life.act()
    async with Screen.of(shop) as screen:
        await screen.is_up_to_date()
        state = screen.state
        seq = await shop.value("SELECT max(seq) FROM platform.event")
    for _ in range(15):
        await life.act()
    url = f"{shop.server.url.replace('http', 'ws', 1)}/api/v1/live"
    async with connect(url, compression=None, max_size=None) as socket:
        await socket.send(json.dumps({**hello(shop), "after": seq}))
        back = Screen(shop, socket, state=state)
        back.listen()
        await back.obeys_the_law()
        await back.close()


def record(name: str, before: State, frames: list[Frame], after: State) -> None:
    """Write a case for the screens of every language to be tested with."""
    CASES.mkdir(parents=True, exist_ok=True)
    case = {"before": before, "frames": frames, "after": after}
    (CASES / f"{name}.json").write_text(json.dumps(case, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("case", sorted(CASES.glob("*.json")), ids=lambda case: case.stem)
def test_the_shared_cases_hold(case: Path) -> None:
    told = json.loads(case.read_text())
    assert reduced(told["before"], told["frames"]) == told["after"]


def test_there_are_shared_cases() -> None:
    assert len(list(CASES.glob("*.json"))) >= 3


def test_an_unknown_frame_changes_nothing() -> None:
    state = {"conversations": {"c": {"id": "c"}}, "messages": {}, "loaded": ["c"]}
    frame = {"seq": 1, "type": "BellRang", "data": {"event": {"id": str(uuid4())}}}
    assert applied(state, frame) == state
