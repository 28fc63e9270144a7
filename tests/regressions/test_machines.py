"""One thing that is broken does not stop the machine that carries everything else."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from onethread.channels.contract import Account, Blob, Media, Receipt
from onethread.conversations import media as fetching
from onethread.conversations.media import MediaFetcher
from onethread.kernel.clock import utc_now
from onethread.platform.db import Database, Tx
from onethread.platform.events.log import append
from onethread.platform.events.model import Event, EventDraft
from onethread.platform.files import Files
from onethread.platform.secrets import Secrets, new_key
from onethread.platform.webhooks import actions, store
from onethread.platform.webhooks.model import Answer
from onethread.platform.webhooks.sender import Details, Sender
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World, until


@dataclass(frozen=True, slots=True)
class _Happened:
    """Something."""


async def _nothing_more(_: Tx, __: list[Event]) -> Details:
    return {}


async def test_a_webhook_whose_secret_cannot_be_opened_stops_no_other(database: Database) -> None:
    posted: list[str] = []

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        del body, headers
        posted.append(url)
        if "odd" in url:
            raise ValueError("a defect of ours")
        return Answer(200)

    ours = Secrets.from_text(new_key())
    sender = Sender(database, ours, post, _nothing_more)
    async with database.transaction() as tx:
        for url, secrets in (
            ("https://lost.example/", Secrets.from_text(new_key())),
            ("https://odd.example/", ours),
            ("https://well.example/", ours),
        ):
            await actions.subscribe(tx, secrets, url=url, types=["*"], known=frozenset(), brand_id=None)
        await append(tx, [EventDraft(_Happened(), utc_now())])
        events = await tx.all(Event, "SELECT * FROM platform.event")
        await store.insert_deliveries(tx, events)
    running = asyncio.create_task(sender.run())

    async def settled() -> bool:
        async with database.transaction() as tx:
            states = await tx.tuples("SELECT state, error IS NOT NULL FROM platform.webhook_delivery ORDER BY 1")
        return states == [("delivered", False), ("waiting", True), ("waiting", True)]

    try:
        await until(settled)
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert sorted(posted) == ["https://odd.example/", "https://well.example/"]


class StuckCan(TinCan):
    """Never hands over the file `stuck`, and speaks oddly of the file `odd`."""

    async def fetch(self, receipt: Receipt, media: Media, account: Account) -> Blob:
        if media.name == "stuck":
            await asyncio.Event().wait()
        if media.name == "odd":
            raise ValueError("a null \0 and half a letter \ud800")
        return await super().fetch(receipt, media, account)


async def test_a_file_that_never_comes_holds_up_no_other(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_LEASE", 1.0)
    world = await World.open(database, StuckCan())
    await world.hear(Call("m1", "ana", media=["stuck", "odd"]), Call("m2", "bruno", media=["well"]))
    fetcher = MediaFetcher(database, world.desks, Files.at(database, tmp_path))
    async with asyncio.timeout(20):
        await fetcher.step()
    async with database.transaction() as tx:
        states = await tx.values("SELECT state FROM conversations.media ORDER BY state")
        reasons = await tx.values("SELECT reason FROM conversations.media WHERE state = 'waiting' ORDER BY position")
    assert states == ["stored", "waiting", "waiting"]
    assert all(reasons)


async def test_a_file_an_edit_took_away_is_asked_for_no_more(database: Database, tmp_path: Path) -> None:
    world = await World.open(database, TinCan())
    await world.hear(Call("m1", "ana", media=["one"]))
    await world.hear(Call("e1", "ana", "edit", text="Never mind", target="m1"))
    await MediaFetcher(database, world.desks, Files.at(database, tmp_path)).step()
    assert await world.value("SELECT state FROM conversations.media") == "failed"


async def test_an_account_whose_secrets_cannot_be_opened_stops_no_other(database: Database) -> None:
    world = await World.open(database, TinCan("lost"), TinCan("well"))
    sealed = Secrets.from_text(new_key()).encrypt(b"{}", purpose="channels.account")
    await world.value("UPDATE channels.account SET secrets = %s WHERE channel = 'lost' RETURNING 1", sealed)
    world.accounts.forget()
    assert [account.channel for account in await world.accounts.all()] == ["well"]
    await world.hear(Call("m1", "ana", text="Hello"), over="well")
    assert [row.last_text for row in await world.inbox()] == ["Hello"]
