"""Why customers are who they are: evidence, suggestions, marks, and what was joined and split when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from onethread.customers.model import EvidenceKind
from onethread.kernel.identifier import IdentifierKind
from onethread.kernel.ids import CustomerId, EvidenceId, IdentifierId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """Why two identifiers are one person, or why that was not believed (`not_joined`)."""

    id: EvidenceId
    identifier_id: IdentifierId
    other_identifier_id: IdentifierId
    other_kind: IdentifierKind
    other_value: str
    other_customer_id: CustomerId
    kind: EvidenceKind
    strength: int
    source: str
    reason: str
    asserted_at: datetime
    asserted_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_reason: str | None
    not_joined: str | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Another customer who may be the same person: what says so and why that alone does not join them."""

    evidence_id: EvidenceId
    customer_id: CustomerId
    identifier_id: IdentifierId
    other_customer_id: CustomerId
    other_identifier_id: IdentifierId
    other_kind: IdentifierKind
    other_value: str
    other_name: str | None
    kind: EvidenceKind
    strength: int
    reason: str
    not_joined: str
    asserted_at: datetime


@dataclass(frozen=True, slots=True)
class MarkLine:
    """Somebody said that an identifier of this customer and another one are not the same person."""

    id: UUID
    a: IdentifierId
    b: IdentifierId
    a_customer_id: CustomerId
    b_customer_id: CustomerId
    reason: str
    marked_by: str
    marked_at: datetime


@dataclass(frozen=True, slots=True)
class BlockedLine:
    """A value that stands for nobody in this company."""

    kind: IdentifierKind
    value: str
    reason: str
    blocked_by: str
    blocked_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A line of the merge log: which customers became which, and why."""

    id: UUID
    at: datetime
    act: str
    before: Sequence[CustomerId]
    after: Sequence[CustomerId]
    cause: str
    actor: str


async def evidence_of(tx: Tx, customer_id: CustomerId) -> list[EvidenceLine]:
    """Return all evidence at the identifiers of a customer, seen from them, the newest first; revoked too."""
    return await tx.all(
        EvidenceLine,
        """
        SELECT evidence.id, mine.id AS identifier_id, theirs.id AS other_identifier_id,
               theirs.kind AS other_kind, theirs.value AS other_value, theirs.customer_id AS other_customer_id,
               evidence.kind, strength, source, reason, asserted_at, asserted_by,
               revoked_at, revoked_by, revoked_reason,
               CASE WHEN revoked_at IS NULL AND mine.customer_id <> theirs.customer_id
                    THEN coalesce(suppressed, 'Alone it is too weak to join them.') END AS not_joined
          FROM customers.identifier AS mine
          JOIN customers.evidence ON evidence.a = mine.id OR evidence.b = mine.id
          JOIN customers.identifier AS theirs
            ON theirs.id = CASE WHEN evidence.a = mine.id THEN evidence.b ELSE evidence.a END
         WHERE mine.customer_id = %s
         ORDER BY asserted_at DESC, evidence.id, mine.id
         LIMIT 2000
        """,
        (customer_id,),
    )


async def evidence_ends(tx: Tx, evidence_id: EvidenceId) -> tuple[IdentifierId, IdentifierId] | None:
    """Return the identifiers that valid evidence is about."""
    rows = await tx.tuples("SELECT a, b FROM customers.evidence WHERE id = %s AND revoked_at IS NULL", (evidence_id,))
    return (rows[0][0], rows[0][1]) if rows else None


_SUGGESTION: Final[LiteralString] = """
        SELECT evidence.id AS evidence_id, mine.customer_id, mine.id AS identifier_id,
               theirs.customer_id AS other_customer_id, theirs.id AS other_identifier_id,
               theirs.kind AS other_kind, theirs.value AS other_value, customer.name AS other_name,
               evidence.kind, strength, reason,
               coalesce(suppressed, 'Alone it is too weak to join them.') AS not_joined, asserted_at
          FROM customers.identifier AS mine
          JOIN customers.evidence ON evidence.a = mine.id OR evidence.b = mine.id
          JOIN customers.identifier AS theirs
            ON theirs.id = CASE WHEN evidence.a = mine.id THEN evidence.b ELSE evidence.a END
          JOIN customers.customer ON customer.id = theirs.customer_id
         WHERE revoked_at IS NULL
           AND mine.customer_id <> theirs.customer_id
           AND NOT mine.blocked
           AND NOT theirs.blocked
           AND NOT customers.told_apart(mine.customer_id, theirs.customer_id)
"""


async def suggestions(tx: Tx, customer_id: CustomerId, *, limit: int) -> list[Suggestion]:
    """Return who else this customer may be, the strongest evidence first; rejected ones stay away."""
    return await tx.all(
        Suggestion,
        _SUGGESTION
        + """
           AND mine.customer_id = %s
         ORDER BY strength DESC, asserted_at DESC, evidence.id
         LIMIT %s
        """,
        (customer_id, limit),
    )


async def marks(tx: Tx, customer_id: CustomerId) -> list[MarkLine]:
    """Return who this customer is not, the newest mark first."""
    return await tx.all(
        MarkLine,
        """
        SELECT mark.id, mark.a, mark.b, a.customer_id AS a_customer_id, b.customer_id AS b_customer_id,
               reason, marked_by, marked_at
          FROM customers.cannot_link AS mark
          JOIN customers.identifier AS a ON a.id = mark.a
          JOIN customers.identifier AS b ON b.id = mark.b
         WHERE revoked_at IS NULL
           AND (mark.a IN (SELECT id FROM customers.identifier WHERE customer_id = %(customer)s)
                OR mark.b IN (SELECT id FROM customers.identifier WHERE customer_id = %(customer)s))
         ORDER BY marked_at DESC, mark.id
        """,
        {"customer": customer_id},
    )


async def blocked_values(tx: Tx, *, limit: int) -> list[BlockedLine]:
    """Return the values the company blocked, the newest first."""
    return await tx.all(
        BlockedLine,
        """
        SELECT kind, value, reason, blocked_by, blocked_at
          FROM customers.blocked_value
         ORDER BY blocked_at DESC, kind, value
         LIMIT %s
        """,
        (limit,),
    )


async def changes_of(tx: Tx, customer_id: CustomerId, *, limit: int) -> list[ChangeLine]:
    """Return when this customer was joined with others or split, the newest first."""
    return await tx.all(
        ChangeLine,
        """
        SELECT id, at, act, before, after, cause, actor
          FROM customers.merge_log
         WHERE before @> ARRAY[%(customer)s::uuid] OR after @> ARRAY[%(customer)s::uuid]
         ORDER BY at DESC, id DESC
         LIMIT %(limit)s
        """,
        {"customer": customer_id, "limit": limit},
    )
