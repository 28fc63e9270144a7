"""The second part of every channel's suite: through the real door, kept, and applied by the real receiver."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import Message

from onethread.access.actions.agents import NewAgent
from onethread.access.actions.brands import NewBrand, found_organisation
from onethread.access.model import SYSTEM
from onethread.channels import actions as channels
from onethread.channels import queries
from onethread.channels.accounts import Accounts
from onethread.channels.contract import Channel, Hook
from onethread.channels.door import HookDoor
from onethread.channels.model import LANES, ReceiptLine
from onethread.channels.reception import Reception
from onethread.conversations.desk import Desks
from onethread.conversations.receiving.receiver import Receiver
from onethread.conversations.unsubscribing import UnsubscribeLinks
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import AccountId
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets, new_key
from tests.cast import corner_shop
from tests.kits.channel import ChannelKit

KEY = b"the key of reply tokens in tests"


@dataclass(frozen=True, slots=True)
class Process:
    """One process' door and receiver."""

    door: HookDoor
    receiver: Receiver


@dataclass(frozen=True, slots=True)
class Rooms:
    """An account of a channel, served by two processes that share a database."""

    database: Database
    account_id: AccountId
    processes: Sequence[Process]

    async def post(self, hook: Hook, *, process: int = 0) -> int:
        """Send a request to the webhook door; return its status."""
        answers: list[Message] = []
        body: Message | None = {"type": "http.request", "body": hook.body, "more_body": False}

        async def receive() -> Message:
            nonlocal body
            message, body = body, None
            return message or {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            answers.append(message)

        scope = {
            "type": "http",
            "method": hook.method,
            "path": f"/hooks/{self.account_id}",
            "query_string": hook.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in hook.headers.items()],
        }
        await self.processes[process].door(scope, receive, send)
        status: int = answers[0]["status"]
        return status

    async def apply(self) -> None:
        """Let both receivers work at once until nothing is due."""
        await asyncio.gather(*(self._empty(process.receiver) for process in self.processes))
        await self._empty(self.processes[0].receiver)

    async def _empty(self, receiver: Receiver) -> None:
        for lane in random.sample(range(LANES), LANES):
            while (await receiver.step(lane)).more:
                pass

    async def texts(self) -> list[str]:
        """Return what was said, in the order of its conversation."""
        return await self._values("SELECT content ->> 'text' FROM conversations.message ORDER BY conversation_id, seq")

    async def count(self, table: str) -> int:
        counted = {
            "customers": "SELECT count(*) FROM customers.customer WHERE superseded_by IS NULL",
            "conversations": "SELECT count(*) FROM conversations.conversation",
            "receipts": "SELECT count(*) FROM channels.receipt",
        }
        return int((await self._values(counted[table]))[0])

    async def parked(self) -> list[ReceiptLine]:
        async with self.database.transaction() as tx:
            return await queries.receipts(tx, state="parked", account_id=self.account_id, before=None, limit=100)

    async def _values(self, sql: str) -> list[Any]:
        async with self.database.transaction() as tx:
            return await tx.values(sql)


class WholeChannelKit(ChannelKit):
    """What every channel must do once it is connected to the rooms."""

    def unreadable_bodies(self) -> Sequence[bytes]:
        """Return bodies that are parked, rightly signed as they are. None: nothing signed can be unreadable."""
        return ()

    @pytest.fixture
    async def rooms(self, database: Database) -> AsyncIterator[Rooms]:
        neighbour = Database(database.conninfo)
        await neighbour.open()
        channel, secrets = self.channel(), Secrets.from_text(new_key())
        account_id = await self._account(database, channel, secrets)
        processes = [self._process(each, channel, secrets) for each in (database, neighbour)]
        yield Rooms(database, account_id, processes)
        await neighbour.close()

    async def _account(self, database: Database, channel: Channel, secrets: Secrets) -> AccountId:
        async with database.transaction() as tx:
            founded = await found_organisation(
                tx,
                name="Corner Shops",
                brand=NewBrand(name=corner_shop.name, default_country=corner_shop.default_country),
                owner=NewAgent(email="olga@cornershop.example", name="Olga Owner", role="owner"),
                password="a long enough pass phrase",
                now=utc_now(),
            )
            line = await channels.add_account(
                tx,
                SYSTEM,
                channel.declaration,
                brand_id=founded.brand.id,
                name="An account",
                settings=self.account().settings,
                secrets=secrets,
            )
            return line.id

    def _process(self, database: Database, channel: Channel, secrets: Secrets) -> Process:
        by_name = {channel.declaration.name: channel}
        accounts = Accounts(database, secrets)
        desks = Desks(database, accounts, by_name, KEY, UnsubscribeLinks("http://127.0.0.1", KEY))
        receiver = Receiver(database, desks)
        reception = Reception(database, accounts, receiver.tell)
        return Process(HookDoor(database, accounts, by_name, reception), receiver)

    def _now(self, text: str, *, number: int = 1, sender: int = 1) -> Hook:
        """Return the request of a message, signed at this moment."""
        return self.signed(self.hook_of_message(text, number=number, sender=sender).body, at=utc_now())

    # ------------------------------------------------------------ once, whatever happens

    async def test_the_same_request_three_times_from_four_connections_is_one_message(self, rooms: Rooms) -> None:
        hooks = [self._now(f"number {number}", number=number) for number in range(1, 7)]
        posts = [(hook, process) for hook in hooks for process in (0, 1, 0, 1) for _ in range(3)]
        random.Random(7).shuffle(posts)
        waiting = iter(posts)

        async def connection() -> None:
            for hook, process in waiting:
                assert await rooms.post(hook, process=process) == 200

        applying = asyncio.create_task(rooms.apply())
        await asyncio.gather(*(connection() for _ in range(4)))
        await applying
        await rooms.apply()
        assert sorted(await rooms.texts()) == [f"number {number}" for number in range(1, 7)]
        assert await rooms.count("conversations") == 1
        assert await rooms.parked() == []

    async def test_two_messages_of_a_new_sender_at_once_are_one_customer(self, rooms: Rooms) -> None:
        hooks = [self._now(f"number {number}", number=number) for number in (1, 2)]
        assert await asyncio.gather(*(rooms.post(hook, process=at) for at, hook in enumerate(hooks))) == [200, 200]
        await rooms.apply()
        assert sorted(await rooms.texts()) == ["number 1", "number 2"]
        assert await rooms.count("customers") == 1
        assert await rooms.count("conversations") == 1

    async def test_a_burst_is_applied_in_order(self, rooms: Rooms) -> None:
        texts = [f"number {number}" for number in range(1, 61)]
        for number, text in enumerate(texts, start=1):
            assert await rooms.post(self._now(text, number=number), process=number % 2) == 200
        await rooms.apply()
        assert await rooms.texts() == texts

    async def test_two_senders_are_two_customers(self, rooms: Rooms) -> None:
        for sender in (1, 2):
            assert await rooms.post(self._now("Hello", number=sender, sender=sender)) == 200
        await rooms.apply()
        assert await rooms.count("customers") == 2
        assert await rooms.count("conversations") == 2

    # ------------------------------------------------------------ never lost, never in the way

    async def test_forgeries_leave_no_trace(self, rooms: Rooms) -> None:
        for _, forged in self.forgeries(self._now("Hello")):
            assert await rooms.post(forged) == 401
        assert await rooms.count("receipts") == 0

    async def test_what_cannot_be_read_is_parked_with_its_reason_and_in_nobodys_way(self, rooms: Rooms) -> None:
        bodies = [*self.unreadable_bodies(), *self.unknown_bodies()]
        for body in bodies:
            assert await rooms.post(self.signed(body, at=utc_now())) == 200
        assert await rooms.post(self._now("Hello")) == 200
        await rooms.apply()
        assert await rooms.texts() == ["Hello"]
        parked = await rooms.parked()
        assert len(parked) >= len(self.unreadable_bodies())
        assert all(line.reason for line in parked)

        async with rooms.database.transaction() as tx:
            await channels.replay_receipts(tx, SYSTEM, None)
        await rooms.apply()
        assert {line.seq: line.reason for line in await rooms.parked()} == {line.seq: line.reason for line in parked}
        assert await rooms.texts() == ["Hello"]
