"""From receipts to messages: a whole batch in one transaction and a fixed number of statements."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from onethread.channels.model import KeptReceipt, Settled
from onethread.conversations.receiving.acts import TOO_EARLY, apply_acts
from onethread.conversations.receiving.batch import Batch, Desk, sort_out
from onethread.conversations.receiving.placing import CustomersMoved, People, place
from onethread.conversations.receiving.proving import Proof, prove
from onethread.customers import actions as customers
from onethread.customers.model import Sighting
from onethread.platform.db import Tx
from onethread.platform.events import log
from onethread.platform.events.model import EventDraft

_LARGE: Final = 1024 * 1024  # bytes

# Seconds until a receipt that came before what it speaks of is tried again; then it is given up.
_LATER: Final = (0.5, 2.0, 10.0, 60.0, 300.0)


async def apply_batch(tx: Tx, desk: Desk, receipts: Sequence[KeptReceipt], now: datetime) -> list[Settled]:
    """Apply receipts in their order; return what became of each. What raises concerns the whole batch."""
    batch = await _sort_out(desk, receipts)
    people = await _recognise(tx, batch.sightings)
    proof = await prove(tx, desk, batch, people, now)
    if proof.evidence:
        asserted = await customers.assert_evidence(tx, proof.evidence)
        if asserted.epoch_of and len(receipts) > 1:
            raise CustomersMoved  # somebody else signed in on a browser: what was said before is not theirs
        people = await _recognise(tx, batch.sightings)
    events = await _apply(tx, desk, batch, people, proof, now)
    await log.append(tx, events)
    return [batch.settled.get(receipt.seq) or Settled(receipt.seq, "applied") for receipt in receipts]


async def _sort_out(desk: Desk, receipts: Sequence[KeptReceipt]) -> Batch:
    """Parse; what is large (a mail with a film in it) must not hold up everybody else's sockets."""
    if sum(len(receipt.body) for receipt in receipts) > _LARGE:
        return await asyncio.to_thread(sort_out, desk, receipts)
    return sort_out(desk, receipts)


async def _recognise(tx: Tx, sightings: Sequence[Sighting]) -> People:
    return await customers.recognise(tx, sightings) if sightings else {}


async def _apply(tx: Tx, desk: Desk, batch: Batch, people: People, proof: Proof, now: datetime) -> list[EventDraft]:
    events: list[EventDraft] = []
    if batch.messages:
        events += await place(
            tx,
            desk,
            messages=batch.messages,
            people=people,
            answered=proof.answered,
            referred=proof.referred,
            now=now,
        )
    if batch.acts:
        news, early = await apply_acts(tx, batch.acts, people, now)
        events += news
        for came in batch.acts:
            if came.receipt.seq in early:
                batch.settled[came.receipt.seq] = _too_early(came.receipt)
    return events


def _too_early(receipt: KeptReceipt) -> Settled:
    """Providers keep no order: wait for what it speaks of, then let a person see it."""
    if receipt.attempts < len(_LATER):
        return Settled(receipt.seq, "waiting", TOO_EARLY, retry_seconds=_LATER[receipt.attempts])
    return Settled(receipt.seq, "parked", TOO_EARLY)
