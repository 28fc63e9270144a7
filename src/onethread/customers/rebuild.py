"""Everything derived, computed once more from the evidence alone, beside what the tables say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from onethread.customers import store_evidence, store_whole
from onethread.customers.matching import Partition, customer_born_with, partition
from onethread.customers.model import Cause
from onethread.customers.settling import settle
from onethread.customers.store_evidence import Held
from onethread.kernel.ids import EvidenceId, IdentifierId
from onethread.platform.db import Tx
from onethread.platform.events.log import append
from onethread.platform.events.model import By

_AT_ONCE: Final = 200  # identifiers whose components are held at one time


@dataclass(frozen=True, slots=True)
class Difference:
    """Something derived that is not what the evidence says."""

    what: str
    id: UUID
    kept: object
    computed: object


async def differences(tx: Tx) -> list[Difference]:
    """Compute all customers from all evidence and report what differs from the tables; it should be nothing."""
    rules = await store_evidence.rules(tx)
    held, links, marks = await store_whole.identifiers(tx), await store_whole.links(tx), await store_whole.marks(tx)
    found = partition([one.node(complete=True) for one in held], [e for e in links if rules.joins(e)], marks, rules)
    compared = [
        *(Difference("customer of", one.id, one.customer_id, found.customer_of[one.id]) for one in held),
        *(Difference("shared", one.id, one.shared, found.shared.get(one.id)) for one in held),
        *(Difference("suppressed", link.id, was, found.suppressed.get(link.id)) for link, was in links.items()),
        *await _customer_rows(tx, held, found),
    ]
    return [one for one in compared if one.kept != one.computed]


async def repair(tx: Tx, *, by: By, now: datetime) -> int:
    """Bring everything derived in line with the evidence, after the rules were changed; return how much differed."""
    found = await differences(tx)
    links = {link.id: link for link in await store_whole.links(tx)} if found else {}
    ends: set[IdentifierId] = set()
    for one in found:
        if one.what in {"customer of", "shared"}:
            ends.add(IdentifierId(one.id))
        elif one.what == "suppressed":
            link = links[EvidenceId(one.id)]
            ends |= {link.a, link.b}
    ordered = sorted(ends)
    for start in range(0, len(ordered), _AT_ONCE):
        some = ordered[start : start + _AT_ONCE]
        causes = [Cause(id_, id_, id_, "The rules were changed.") for id_ in some]
        await append(tx, await settle(tx, causes, at=now, by=by, loosened=some))
    return len(found)


async def _customer_rows(tx: Tx, held: list[Held], found: Partition) -> list[Difference]:
    rows = await store_whole.superseded(tx)
    own = {customer_born_with(one.id) for one in held}
    return [
        *(Difference("superseded by", id_, rows.get(id_), found.superseded.get(id_)) for id_ in own),
        *(Difference("row of customer", id_, id_ in rows, id_ in own) for id_ in own | rows.keys()),
    ]
