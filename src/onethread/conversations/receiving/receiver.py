"""The receiver: takes waiting receipts lane by lane and applies them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from psycopg import Error as DatabaseError
from psycopg.errors import UniqueViolation

from onethread.channels import actions as channels
from onethread.channels.model import LANES, KeptReceipt, Settled
from onethread.conversations.receiving.applying import apply_batch
from onethread.conversations.receiving.batch import Desk
from onethread.conversations.receiving.placing import CustomersMoved
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Refused, Unavailable
from onethread.platform import metrics
from onethread.platform.db import Database, Tx, is_outage

log = structlog.get_logger(__name__)

_POLL: Final = 1.0  # seconds: the safety net for work nobody told us of

GetDesk = Callable[[], Awaitable[Desk]]


@dataclass(frozen=True, slots=True)
class Done:
    """What one step did. `more`: the lanes may hold more."""

    applied: int
    more: bool


class Receiver:
    """Applies receipts; several processes share the work, one lane at a time.

    `tell` makes it look at lanes at once. `run` goes on until cancelled.
    """

    def __init__(self, database: Database, desk: GetDesk, *, workers: int = 2) -> None:
        self._database = database
        self._desk = desk
        self._workers = workers
        self._lanes: asyncio.Queue[int] = asyncio.Queue()
        self._queued: set[int] = set()
        self._busy: set[int] = set()
        self._again: set[int] = set()
        self.applied = 0

    def tell(self, lanes: set[int]) -> None:
        """Say that receipts were kept in these lanes."""
        for lane in lanes - self._queued:
            self._queued.add(lane)
            self._lanes.put_nowait(lane)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look(), name="receiver:look")
            for number in range(self._workers):
                group.create_task(self._work(), name=f"receiver:{number}")

    async def _look(self) -> None:
        """Find what was kept by others, came due again, or was left by a crash."""
        while True:
            try:
                async with self._database.transaction() as tx:
                    self.tell(set(await channels.lanes_with_work(tx)))
            except Unavailable:
                pass
            await asyncio.sleep(_POLL)

    async def _work(self) -> None:
        while True:
            lanes = await self._next_lanes()
            try:
                await self._empty(lanes)
            except Unavailable:
                await asyncio.sleep(0.5)
            finally:
                self._busy.difference_update(lanes)

    async def _next_lanes(self) -> list[int]:
        """Wait for lanes with work; take as many as are a fair share, so that a few receipts each make one set."""
        share, lanes = LANES // self._workers, list[int]()
        while not lanes or (len(lanes) < share and not self._lanes.empty()):
            lane = await self._lanes.get()
            self._queued.discard(lane)
            if lane in self._busy:
                self._again.add(lane)  # another worker has it and will look once more
                continue
            self._busy.add(lane)
            lanes.append(lane)
        return lanes

    async def _empty(self, lanes: Sequence[int]) -> None:
        while True:
            self._again.difference_update(lanes)
            if not (await self.step(*lanes)).more and self._again.isdisjoint(lanes):
                return

    async def step(self, *lanes: int) -> Done:
        """Apply one batch of some lanes."""
        desk = await self._desk()
        receipts: list[KeptReceipt] = []
        more = False
        try:
            async with self._database.transaction() as tx:
                if not (claimed := await channels.claim_lanes(tx, lanes)):
                    return Done(0, False)
                receipts, more = await channels.waiting_receipts(tx, claimed)
                if not receipts:
                    return Done(0, False)
                settled = await apply_batch(tx, desk, receipts, utc_now())
                await _settle(tx, settled, receipts)
        except Unavailable:
            raise
        except Exception as failed:  # noqa: BLE001 - a door: whatever one receipt does must not stop the others
            log.warning("receiver.batch_failed", lanes=lanes, size=len(receipts), error=type(failed).__name__)
            await self._one_by_one(desk, lanes)
            more = True
        self.applied += len(receipts)
        metrics.applied_batch.observe(len(receipts))
        return Done(len(receipts), more)

    async def _one_by_one(self, desk: Desk, lanes: Sequence[int]) -> None:
        """After a failed batch: each receipt in a savepoint of its own, so that only the bad one is parked."""
        async with self._database.transaction() as tx:
            if not (claimed := await channels.claim_lanes(tx, lanes)):
                return
            receipts, _ = await channels.waiting_receipts(tx, claimed)
            settled: list[Settled] = []
            for receipt in receipts:
                try:
                    async with tx.savepoint():
                        settled += await apply_batch(tx, desk, [receipt], utc_now())
                except Unavailable:
                    raise
                except Exception as failed:  # parked with its reason
                    if is_outage(failed):
                        raise  # nobody's receipt is to blame
                    settled.append(_failed(receipt, failed))
                    if settled[-1].state == "waiting":
                        break  # what came after it must not overtake it
            await _settle(tx, settled, receipts)


async def _settle(tx: Tx, settled: Sequence[Settled], receipts: Sequence[KeptReceipt]) -> None:
    await channels.settle_receipts(tx, settled, {receipt.seq: receipt for receipt in receipts})
    for outcome, times in Counter(one.state for one in settled).items():
        metrics.receipts.labels(outcome).inc(times)


def _failed(receipt: KeptReceipt, error: Exception) -> Settled:
    """Two transactions in each other's way are nobody's fault: again. Anything else waits for a person."""
    in_the_way = isinstance(error, CustomersMoved) or (
        isinstance(error, DatabaseError)
        and ((error.sqlstate or "")[:2] in {"40", "55"} or isinstance(error, UniqueViolation))
    )
    if in_the_way and receipt.attempts < 10:
        return Settled(receipt.seq, "waiting", "It met another transaction.")
    return Settled(receipt.seq, "parked", _in_words(error))


def _in_words(error: Exception) -> str:
    if isinstance(error, Refused):
        return error.detail
    first_line = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first_line}"[:1000]
