"""A small working house without doors: one shop, its accounts, the receiver and the sender."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onethread.access.actions.agents import NewAgent
from onethread.access.actions.brands import NewBrand, found_organisation
from onethread.access.model import SYSTEM
from onethread.channels import actions as channel_actions
from onethread.channels.accounts import Accounts
from onethread.channels.contract import Channel
from onethread.channels.model import LANES
from onethread.channels.reception import Reception
from onethread.conversations.desk import Desks
from onethread.conversations.queries import inbox, messages
from onethread.conversations.queries.inbox import InboxRow, View
from onethread.conversations.queries.messages import MessageLine
from onethread.conversations.receiving.receiver import Receiver
from onethread.conversations.sender import Sender
from onethread.conversations.unsubscribing import UnsubscribeLinks
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import AccountId, BrandId, ConversationId
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets, new_key
from tests.cast import corner_shop
from tests.kits.tincan import Call, TinCan, draft_of

KEY = b"the key of reply tokens in tests"


@dataclass
class World:
    """Everything a test of the rooms needs; nothing runs unless the test says so."""

    database: Database
    brand_id: BrandId
    channels: Mapping[str, Channel]
    account_ids: Mapping[str, AccountId]
    accounts: Accounts
    desks: Desks
    reception: Reception
    receiver: Receiver
    sender: Sender
    secrets: Secrets

    @classmethod
    async def open(cls, database: Database, *channels: TinCan) -> "World":
        cans = channels or (TinCan(),)
        secrets_ = Secrets.from_text(new_key())
        by_name: dict[str, Channel] = {can.name: can for can in cans}
        account_ids: dict[str, AccountId] = {}
        async with database.transaction() as tx:
            brand_id = await _found(tx)
            for can in cans:
                line = await channel_actions.add_account(
                    tx,
                    SYSTEM,
                    can.declaration,
                    brand_id=brand_id,
                    name=f"The {can.name}",
                    settings={"secret": secrets.token_hex(4)},
                    secrets=secrets_,
                )
                account_ids[can.name] = line.id
        accounts = Accounts(database, secrets_)
        desks = Desks(database, accounts, by_name, KEY, UnsubscribeLinks("http://127.0.0.1", KEY))
        receiver = Receiver(database, desks)
        reception = Reception(database, accounts, receiver.tell)
        return cls(
            database=database,
            brand_id=brand_id,
            channels=by_name,
            account_ids=account_ids,
            accounts=accounts,
            desks=desks,
            reception=reception,
            receiver=receiver,
            sender=Sender(database, desks, lease_seconds=30.0),
            secrets=secrets_,
        )

    async def hear(self, *calls: Call, over: str = "tincan") -> list[bool]:
        """Let calls come in and be applied; tell which were new."""
        fresh = await self.reception.receive(self.account_ids[over], [draft_of(call) for call in calls])
        await self.apply()
        return fresh

    async def apply(self) -> None:
        """Apply what waits and is due."""
        for lane in range(LANES):
            while (await self.receiver.step(lane)).more:
                pass

    async def send_all(self) -> None:
        """Send what is due and wait for the outcomes."""
        while True:
            await self.sender.step()
            if not self.sender.busy:
                return
            await self.sender.drain()

    async def inbox(self, **wanted: Any) -> list[InboxRow]:
        async with self.database.transaction() as tx:
            return await inbox.page(tx, View(**wanted), before=None, limit=200)

    async def messages(self, conversation_id: ConversationId) -> list[MessageLine]:
        async with self.database.transaction() as tx:
            return await messages.page(tx, conversation_id, before=None, after=None, limit=200)

    async def events(self) -> list[str]:
        async with self.database.transaction() as tx:
            return await tx.values("SELECT type FROM platform.event ORDER BY seq")

    async def parked(self) -> Sequence[str]:
        async with self.database.transaction() as tx:
            return await tx.values("SELECT reason FROM channels.receipt WHERE state = 'parked' ORDER BY seq")

    async def value(self, sql: str, *params: object) -> Any:
        async with self.database.transaction() as tx:
            return await tx.value(sql, params)


async def _found(tx: Any) -> BrandId:
    founded = await found_organisation(
        tx,
        name="Corner Shops",
        brand=NewBrand(name=corner_shop.name, default_country=corner_shop.default_country),
        owner=NewAgent(email="olga@cornershop.example", name="Olga Owner", role="owner"),
        password="a long enough pass phrase",
        now=utc_now(),
    )
    return founded.brand.id


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float = 10.0) -> None:
    """Wait until something is true; fail after a deadline."""
    for _ in range(int(seconds / 0.02)):
        if await true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never became true")


__all__ = ["Call", "Path", "TinCan", "World", "until"]
