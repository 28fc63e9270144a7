"""Fetches the files messages speak of, after the messages themselves are safe."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from onethread.channels import queries as channels
from onethread.channels.contract import Blob, Content, Receipt, Unreadable
from onethread.conversations.desk import Desks
from onethread.conversations.events import MediaStored
from onethread.conversations.model import unpack
from onethread.conversations.queries import screens
from onethread.conversations.queries.screens import MessagePlace
from onethread.conversations.receiving.batch import Desk
from onethread.conversations.store import messages as store
from onethread.conversations.store.messages import WantedMedia
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Refused, Unavailable
from onethread.platform.db import Database
from onethread.platform.events import log as events
from onethread.platform.events.model import BY_SYSTEM, EventDraft
from onethread.platform.files import Files

log = structlog.get_logger(__name__)

BELL: Final = "media"
_POLL: Final = 1.0  # seconds between looks for what came due by itself
_AT_ONCE: Final = 4
_LEASE: Final = 120.0  # seconds after which a file nobody reported on is fetched again
_PAUSES: Final = (2.0, 10.0, 60.0, 600.0, 3600.0)  # seconds before each next attempt


class MediaFetcher:
    """Fetches waiting files; several processes share the work. `run` goes on until cancelled."""

    def __init__(self, database: Database, desks: Desks, files: Files) -> None:
        self._database = database
        self._desks = desks
        self._files = files
        self._wanted = asyncio.Event()
        database.bells[BELL] = self._wanted.set

    async def run(self) -> None:
        while True:
            self._wanted.clear()
            try:
                more = await self.step()
            except Unavailable:
                more = False
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL):
                        await self._wanted.wait()

    async def step(self) -> bool:
        """Fetch what is due; tell whether there may be more."""
        async with self._database.transaction() as tx:
            claimed = await store.claim_media(tx, limit=_AT_ONCE, lease_seconds=_LEASE)
        desk = await self._desks()
        await asyncio.gather(*(self._fetch(desk, one) for one in claimed))
        return len(claimed) == _AT_ONCE

    async def _fetch(self, desk: Desk, wanted: WantedMedia) -> None:
        async with self._database.transaction() as tx:
            receipt = await channels.receipt(tx, wanted.receipt_seq)
            message = await screens.message_place(tx, wanted.message_id)
        account = desk.accounts.get(wanted.account_id)
        channel = desk.channels.get(account.channel) if account is not None else None
        content = unpack(message.content) if message is not None else Content()
        if message is None:
            return
        if wanted.position >= len(content.media):
            await self._give_up(wanted, message, "The message does not speak of it any more.")
            return
        if receipt is None or account is None or channel is None:
            await self._give_up(wanted, message, "What it came in is not there any more.")
            return
        media = content.media[wanted.position]
        as_kept = Receipt(receipt.external_id, receipt.sender, receipt.body, receipt.form, receipt.received_at)
        try:
            # Before the lease ends and somebody else begins: one file must not hold up all the others.
            async with asyncio.timeout(_LEASE * 0.8):
                blob = await channel.fetch(as_kept, media, account)
                await self._store(wanted, message, blob)
        except Unreadable as unreadable:
            await self._give_up(wanted, message, unreadable.detail)
        except Unavailable:
            raise
        except Refused as refusal:
            await self._give_up(wanted, message, refusal.detail)
        except Exception as error:  # noqa: BLE001 - a door: a stranger's server may fail in any way
            words = "".join(letter if letter.isprintable() else " " for letter in f"{type(error).__name__}: {error}")
            await self._later(wanted, message, words[:500])

    async def _store(self, wanted: WantedMedia, message: MessagePlace, blob: Blob) -> None:
        kept = await self._files.put(blob.body)
        async with self._database.transaction() as tx:
            stored = await store.finish_media(
                tx, wanted, ref=str(kept), media_type=kept.media_type, size=kept.size, reason=None
            )
            if stored:
                await events.append(tx, [_news(wanted, message, None)])

    async def _later(self, wanted: WantedMedia, message: MessagePlace, reason: str) -> None:
        log.info("media.fetch_failed", attempts=wanted.attempts, channel=message.channel)
        if wanted.attempts > len(_PAUSES):
            await self._give_up(wanted, message, reason)
            return
        async with self._database.transaction() as tx:
            await store.delay_media(tx, wanted.id, seconds=_PAUSES[wanted.attempts - 1], reason=reason)

    async def _give_up(self, wanted: WantedMedia, message: MessagePlace, reason: str) -> None:
        async with self._database.transaction() as tx:
            if await store.finish_media(tx, wanted, ref=None, media_type=None, size=None, reason=reason):
                await events.append(tx, [_news(wanted, message, reason)])


def _news(wanted: WantedMedia, message: MessagePlace, reason: str | None) -> EventDraft:
    return EventDraft(
        MediaStored(message.id, wanted.position, reason),
        occurred_at=utc_now(),
        by=BY_SYSTEM,
        identifier_id=message.identifier_id,
        conversation_id=message.conversation_id,
        brand_id=message.brand_id,
        channel=message.channel,
    )
