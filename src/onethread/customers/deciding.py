"""What people decide about who is who: join, take back, tell apart, accept and reject suggestions."""

from datetime import datetime
from uuid import UUID

from onethread.access.model import Actor
from onethread.customers import actions, queries, queries_evidence
from onethread.customers.model import EvidenceDraft, Sighting
from onethread.kernel.errors import NotFound
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import CustomerId, EvidenceId, IdentifierId, new_id
from onethread.platform.db import Tx


async def join_customer(
    tx: Tx, actor: Actor, customer_id: CustomerId, other_id: CustomerId, *, reason: str, now: datetime
) -> None:
    """Confirm that two customers are one person. Joining a customer with themselves changes nothing."""
    actor.require("customers.link")
    await _confirm(tx, actor, await _anchor(tx, customer_id), await _anchor(tx, other_id), reason=reason, now=now)


async def join_identifier(
    tx: Tx, actor: Actor, customer_id: CustomerId, identifier: Identifier, *, reason: str, now: datetime
) -> None:
    """Confirm that an identifier is this customer's; one never seen before is kept."""
    actor.require("customers.link")
    anchor = await _anchor(tx, customer_id)
    known = await actions.recognise(tx, [Sighting(identifier, None, None, now)])
    await _confirm(tx, actor, anchor, known[identifier].identifier_id, reason=reason, now=now)


async def take_back(tx: Tx, actor: Actor, evidence_id: EvidenceId, *, reason: str, now: datetime) -> None:
    """Revoke evidence: what it joined is apart again, each side with its own."""
    actor.require("customers.link")
    await actions.revoke_evidence(tx, [evidence_id], reason=reason, by=actor.by, now=now)


async def tell_customers_apart(
    tx: Tx, actor: Actor, customer_id: CustomerId, other_id: CustomerId, *, reason: str, now: datetime
) -> UUID:
    """Mark two customers as different people; return the mark."""
    actor.require("customers.link")
    one, other = await _anchor(tx, customer_id), await _anchor(tx, other_id)
    return await actions.mark_not_same(tx, one, other, reason=reason, by=actor.by, now=now)


async def tell_identifiers_apart(
    tx: Tx, actor: Actor, one: IdentifierId, other: IdentifierId, *, reason: str, now: datetime
) -> UUID:
    """Mark two identifiers, perhaps of one customer, as different people's; return the mark."""
    actor.require("customers.link")
    return await actions.mark_not_same(tx, one, other, reason=reason, by=actor.by, now=now)


async def lift_mark(tx: Tx, actor: Actor, mark_id: UUID, *, now: datetime) -> None:
    """Take back that two are not the same person."""
    actor.require("customers.link")
    await actions.unmark(tx, [mark_id], by=actor.by, now=now)


async def accept_suggestion(tx: Tx, actor: Actor, evidence_id: EvidenceId, *, now: datetime) -> None:
    """Confirm what weak evidence suggests."""
    actor.require("customers.link")
    one, other = await _suggested(tx, evidence_id)
    await _confirm(tx, actor, one, other, reason=f"{actor.name} accepted the suggestion.", now=now)


async def reject_suggestion(tx: Tx, actor: Actor, evidence_id: EvidenceId, *, now: datetime) -> UUID:
    """Remember that what weak evidence suggests is not so; it is never suggested again. Returns the mark."""
    actor.require("customers.link")
    one, other = await _suggested(tx, evidence_id)
    reason = f"{actor.name} rejected the suggestion."
    return await actions.mark_not_same(tx, one, other, reason=reason, by=actor.by, now=now)


async def block_value(tx: Tx, actor: Actor, kind: IdentifierKind, value: str, *, reason: str, now: datetime) -> None:
    """Put a value on the company's list of those that stand for nobody."""
    actor.require("customers.link")
    await actions.block_value(tx, kind, value, reason=reason, by=actor.by, now=now)


async def unblock_value(tx: Tx, actor: Actor, kind: IdentifierKind, value: str, *, now: datetime) -> None:
    """Take a value from that list."""
    actor.require("customers.link")
    await actions.unblock_value(tx, kind, value, by=actor.by, now=now)


async def _confirm(tx: Tx, actor: Actor, one: IdentifierId, other: IdentifierId, *, reason: str, now: datetime) -> None:
    # Each confirmation is its own: taken back and given again it must hold again.
    draft = EvidenceDraft(one, other, "agent_confirmed", "people", new_id().hex, reason, now, actor.by)
    await actions.assert_evidence(tx, [draft])


async def _anchor(tx: Tx, customer_id: CustomerId) -> IdentifierId:
    anchor = await queries.anchor_of(tx, customer_id)
    if anchor is None:
        raise NotFound("There is no such customer.", customer_id=str(customer_id))
    return anchor


async def _suggested(tx: Tx, evidence_id: EvidenceId) -> tuple[IdentifierId, IdentifierId]:
    ends = await queries_evidence.evidence_ends(tx, evidence_id)
    if ends is None:
        raise NotFound("There is no such suggestion (any more).", evidence_id=str(evidence_id))
    return ends
