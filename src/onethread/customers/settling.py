"""After a change of evidence: compute anew the customers it can touch, and only those."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from onethread.customers import store_evidence as store
from onethread.customers import store_identifier
from onethread.customers.events import CustomersMerged, CustomerSplit
from onethread.customers.matching import Link, Partition, Rules, customer_born_with, partition
from onethread.customers.model import Cause, Change, changes, in_words
from onethread.customers.store_evidence import Held
from onethread.kernel.errors import Conflict
from onethread.kernel.ids import CustomerId, IdentifierId
from onethread.platform.db import Tx
from onethread.platform.events.model import By, EventDraft

# A chain of evidence this long is an attack or a broken import; a customer has at most a few hundred.
_MOST_REACHED: Final = 20_000


class _Grew(Exception):
    """While we waited for a lock, somebody else's evidence reached further."""


@dataclass(frozen=True, slots=True)
class _Component:
    """Locked identifiers that evidence connects. Those in `closed` are shared: only their edge is here."""

    held: dict[IdentifierId, Held]
    closed: frozenset[IdentifierId]
    links: dict[Link, str | None]


async def settle(
    tx: Tx,
    causes: Sequence[Cause],
    *,
    at: datetime,
    by: By,
    loosened: Collection[IdentifierId] = (),
) -> list[EventDraft]:
    """Bring membership in line with the evidence at the ends of `causes`; return the news of it.

    `loosened` are ends that may have stopped being shared. Nothing but identifiers and customer rows is
    written, so the cost hangs on the identifiers of the people concerned and never on their history.
    """
    rules = await store.rules(tx)
    ends = {end for cause in causes for end in (cause.a, cause.b)}
    found = await _hold_component(tx, ends - set(loosened), set(loosened), rules)
    nodes = [held.node(complete=id_ not in found.closed) for id_, held in found.held.items()]
    joining = [link for link in found.links if rules.joins(link)]
    marks = await store.marks_among(tx, list(found.held))
    return await _write(tx, found, partition(nodes, joining, marks, rules), causes, at=at, by=by)


async def _hold_component(
    tx: Tx, ends: Collection[IdentifierId], loosened: Collection[IdentifierId], rules: Rules
) -> _Component:
    """Lock what the evidence reaches; start again when it reaches further once the locks are ours.

    All locks of a try are taken in one order and let go together, so that nobody waits in a circle.
    """
    while True:
        reached = await store.component(tx, list(ends), list(loosened), rules, most=_MOST_REACHED)
        if len(reached) >= _MOST_REACHED:
            raise Conflict("This would connect too many identifiers; look for a shared one among them.")
        try:
            async with tx.savepoint():
                return await _lock(tx, reached, rules)
        except _Grew:
            continue


async def _lock(tx: Tx, reached: dict[IdentifierId, bool], rules: Rules) -> _Component:
    held = await store.lock_identifiers(tx, list(reached))
    closed = frozenset(id_ for id_, followed in reached.items() if not followed)
    links = await store.links_of(tx, [id_ for id_, followed in reached.items() if followed])
    if any(held[id_].shared is None for id_ in closed):
        raise _Grew
    if any(end not in held for link in links if rules.joins(link) for end in (link.a, link.b)):
        raise _Grew
    return _Component(held, closed, links)


async def _write(
    tx: Tx, found: _Component, now: Partition, causes: Sequence[Cause], *, at: datetime, by: By
) -> list[EventDraft]:
    before = {id_: held.customer_id for id_, held in found.held.items() if id_ not in found.closed}
    after = {id_: now.customer_of[id_] for id_ in before}
    placed = [
        (id_, after[id_], now.shared.get(id_))
        for id_ in sorted(before)
        if (before[id_], found.held[id_].shared) != (after[id_], now.shared.get(id_))
    ]
    reasons = {link.id: now.suppressed.get(link.id) for link in found.links}
    reasons = {link.id: reasons[link.id] for link, was in found.links.items() if reasons[link.id] != was}
    happened = changes(before, after, causes)
    if placed:
        await _move(tx, before, after, placed)
    if reasons:
        await store.suppress_evidence(tx, reasons)
    if happened:
        await store.log_changes(tx, happened, at=at, actor=in_words(by))
    return [_news(change, at=at, by=by) for change in happened]


async def _move(
    tx: Tx,
    before: dict[IdentifierId, CustomerId],
    after: dict[IdentifierId, CustomerId],
    placed: Sequence[tuple[IdentifierId, CustomerId, str | None]],
) -> None:
    moved = {id_ for id_, _, _ in placed if before[id_] != after[id_]}
    if moved:
        own = {customer_born_with(id_): after[id_] for id_ in moved}
        touched = own.keys() | {before[id_] for id_ in moved} | {after[id_] for id_ in moved}
        await store_identifier.lock_customers(tx, sorted(touched))
    await store.place_identifiers(tx, placed)
    if moved:
        await store.supersede_customers(tx, {id_: None if now == id_ else now for id_, now in own.items()})
        await store_identifier.fold_profiles(tx, sorted({after[id_] for id_ in before}))


def _news(change: Change, *, at: datetime, by: By) -> EventDraft:
    fact: CustomersMerged | CustomerSplit
    if change.act == "merged":
        customer_id = change.after[0]
        absorbed = tuple(id_ for id_ in change.before if id_ != customer_id)
        fact = CustomersMerged(customer_id, absorbed, change.identifier_ids, change.cause)
    else:
        fact = CustomerSplit(change.before[0], change.after, change.identifier_ids, change.cause)
    return EventDraft(fact, at, by=by, identifier_id=change.identifier_ids[0])
