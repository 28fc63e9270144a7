"""Short words for tests about identity: who was seen, who vouches for what."""

from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from onethread.customers import actions
from onethread.customers.model import Asserted, EvidenceDraft, EvidenceKind, Recognised, Sighting
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import AgentId, CustomerId, IdentifierId, new_id
from onethread.kernel.normal import normalise
from onethread.platform.db import Tx
from onethread.platform.events.model import By
from tests.cast import ana, bruno, noon, somchai

ANA = normalise("email", ana.email)
ANAS_PHONE = normalise("phone", ana.phone)
BRUNO = normalise("email", bruno.email)
SOMCHAI = normalise("phone", somchai.phone)
BROWSER = Identifier("visitor", "browser-1")
OTHER_BROWSER = Identifier("visitor", "browser-2")
AGENT = By("agent", AgentId(UUID(int=7)))

_numbers = count(1)


async def come(tx: Tx, *identifiers: Identifier) -> list[IdentifierId]:
    """Let identifiers be seen and return their ids in order."""
    known = await seen(tx, *identifiers)
    return [known[identifier].identifier_id for identifier in identifiers]


async def seen(tx: Tx, *identifiers: Identifier) -> dict[Identifier, Recognised]:
    return await actions.recognise(tx, [Sighting(identifier, None, None, noon) for identifier in identifiers])


def statement(
    a: IdentifierId,
    b: IdentifierId,
    kind: EvidenceKind = "verified",
    *,
    ref: str | None = None,
    source: str = "web",
    at: datetime | None = None,
) -> EvidenceDraft:
    number = next(_numbers)
    return EvidenceDraft(
        a, b, kind, source, ref or f"ref-{number}", f"{kind} said so.", at or noon + timedelta(seconds=number)
    )


async def say(
    tx: Tx, a: IdentifierId, b: IdentifierId, kind: EvidenceKind = "verified", *, ref: str | None = None
) -> Asserted:
    return await actions.assert_evidence(tx, [statement(a, b, kind, ref=ref)])


async def customer_of(tx: Tx, identifier_id: IdentifierId) -> CustomerId:
    return CustomerId(await tx.value("SELECT customer_id FROM customers.identifier WHERE id = %s", (identifier_id,)))


async def announced(tx: Tx) -> list[str]:
    """Return the types of this transaction's events in order."""
    return await tx.values("SELECT type FROM platform.event ORDER BY seq")


def unknown_id() -> UUID:
    return new_id()
