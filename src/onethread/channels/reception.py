"""The durable way in: receipts of all concurrent requests are committed together."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from onethread.channels import store
from onethread.channels.accounts import Accounts
from onethread.channels.actions import report_health
from onethread.channels.contract import Account, Health, ReceiptDraft
from onethread.channels.model import fitting, lane_of
from onethread.kernel.errors import Unavailable
from onethread.kernel.ids import AccountId
from onethread.platform import metrics
from onethread.platform.db import Contended, Database

_BATCH: Final = 500  # receipts in one commit
_BATCH_BYTES: Final = 16 * 1024 * 1024
_WRITERS: Final = 2  # commits under way at once: one writes while the other waits for the disk
_BACKLOG: Final = 20_000  # receipts waiting for their commit; beyond it callers are told to come again
_BACKLOG_BYTES: Final = 256 * 1024 * 1024

Tell = Callable[[set[int]], None]


class _Batch:
    """Receipts that will be committed together, and the promise their senders wait for."""

    __slots__ = ("done", "receipts", "size")

    def __init__(self) -> None:
        self.receipts: list[tuple[AccountId, ReceiptDraft]] = []
        self.size = 0
        self.done: asyncio.Future[set[tuple[AccountId, str]]] = asyncio.get_running_loop().create_future()


class Reception:
    """Keeps receipts. `tell` hears, after each commit, which lanes have work."""

    def __init__(self, database: Database, accounts: Accounts, tell: Tell) -> None:
        self._database = database
        self._accounts = accounts
        self._tell = tell
        self._batches: list[_Batch] = []
        self._waiting = 0
        self._waiting_bytes = 0
        self._writers: set[asyncio.Task[None]] = set()

    async def receive(self, account_id: AccountId, drafts: Sequence[ReceiptDraft]) -> list[bool]:
        """Keep the receipts; return, after the commit, which of them were new.

        Raises Unavailable when they could not be kept: then acknowledge nothing.
        """
        if not drafts:
            return []
        # One that PostgreSQL refuses would turn away everybody it shares a commit with.
        drafts = [_fitting(draft) for draft in drafts]
        batch = self._join(account_id, drafts)
        # Shielded: one caller that goes away must not take the others' promise with it.
        fresh = await asyncio.shield(batch.done)
        return [(account_id, draft.external_id) in fresh for draft in drafts]

    async def accounts(self, channel: str) -> Sequence[Account]:
        return [account for account in await self._accounts.all() if account.channel == channel]

    async def account(self, account_id: AccountId) -> Account | None:
        return await self._accounts.get(account_id)

    async def note_health(self, account_id: AccountId, health: Health) -> None:
        async with self._database.transaction() as tx:
            await report_health(tx, account_id, health)

    async def drain(self) -> None:
        """Wait until everything taken in is committed."""
        while self._writers:
            await asyncio.wait(set(self._writers))

    def _join(self, account_id: AccountId, drafts: Sequence[ReceiptDraft]) -> _Batch:
        size = sum(len(draft.body) for draft in drafts)
        if self._waiting > _BACKLOG or self._waiting_bytes > _BACKLOG_BYTES:
            raise Unavailable("More is coming in than can be kept; try again soon.", retry_after=1)
        last = self._batches[-1] if self._batches else None
        if last is None or len(last.receipts) >= _BATCH or last.size > _BATCH_BYTES:
            last = _Batch()
            self._batches.append(last)
        last.receipts.extend((account_id, draft) for draft in drafts)
        last.size += size
        self._waiting += len(drafts)
        self._waiting_bytes += size
        if len(self._writers) < _WRITERS:
            writer = asyncio.create_task(self._write(), name="reception")
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        return last

    async def _write(self) -> None:
        # One turn of the loop, so that requests read in the same turn share the commit.
        await asyncio.sleep(0)
        while self._batches:
            batch = self._batches.pop(0)
            self._waiting -= len(batch.receipts)
            self._waiting_bytes -= batch.size
            try:
                fresh = await self._keep(batch)
            except BaseException as failed:
                batch.done.set_exception(
                    failed if isinstance(failed, Exception) else Unavailable("Shutting down.", retry_after=1)
                )
                batch.done.exception()  # somebody may have gone away; nobody need hear of it twice
                if not isinstance(failed, Exception):
                    raise
            else:
                batch.done.set_result(fresh)
                metrics.receipt_batch.observe(len(batch.receipts))
                metrics.receipts.labels("new").inc(len(fresh))
                metrics.receipts.labels("repeated").inc(len(batch.receipts) - len(fresh))
                self._tell({lane_of(draft.sender) for _, draft in batch.receipts})

    async def _keep(self, batch: _Batch) -> set[tuple[AccountId, str]]:
        """Commit a batch. Two that hold the same receipts in another order meet once: the second try finds them."""
        try:
            return await self._insert(batch)
        except Contended:
            return await self._insert(batch)

    async def _insert(self, batch: _Batch) -> set[tuple[AccountId, str]]:
        async with self._database.transaction() as tx:
            return await store.insert_receipts(tx, batch.receipts)


def _fitting(draft: ReceiptDraft) -> ReceiptDraft:
    external_id, sender = fitting(draft.external_id), fitting(draft.sender)
    if external_id is draft.external_id and sender is draft.sender:
        return draft
    return replace(draft, external_id=external_id, sender=sender)
