"""SQL of evidence and marks, of the component a change touches, and of the membership it makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from onethread.customers.matching import Link, Mark, Node, Rules
from onethread.customers.model import Change, EarlierSignIn, EvidenceDraft, EvidenceKind, in_words
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import CustomerId, EvidenceId, IdentifierId, new_id
from onethread.platform.db import Tx


async def rules(tx: Tx) -> Rules:
    """Return what the company decided about joining."""
    rows = await tx.tuples(
        """
        SELECT link_strength, shared_above, most_in_group,
               (SELECT coalesce(jsonb_object_agg(source, link_strength), '{}') FROM customers.source_rule),
               (SELECT coalesce(jsonb_object_agg(kind, most), '{}') FROM customers.kind_limit)
          FROM customers.rule
        """
    )
    link_strength, shared_above, most_in_group, by_source, limits = rows[0]
    return Rules(link_strength, by_source, limits, shared_above, most_in_group)


async def insert_evidence(tx: Tx, drafts: Sequence[EvidenceDraft]) -> list[EvidenceId]:
    """Keep evidence; return the ids of what was not known before."""
    ordered = sorted({draft.id: draft for draft in drafts}.items())
    return await tx.values(
        """
        INSERT INTO customers.evidence
               (id, a, b, kind, strength, source, source_ref, reason, asserted_at, asserted_by)
        SELECT *
          FROM unnest(%b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::int[], %b::text[], %b::text[],
                      %b::text[], %b::timestamptz[], %b::text[])
            ON CONFLICT (id) DO NOTHING
        RETURNING id
        """,
        (
            [id_ for id_, _ in ordered],
            [draft.ends[0] for _, draft in ordered],
            [draft.ends[1] for _, draft in ordered],
            [draft.kind for _, draft in ordered],
            [draft.strength for _, draft in ordered],
            [draft.source for _, draft in ordered],
            [draft.source_ref for _, draft in ordered],
            [draft.reason for _, draft in ordered],
            [draft.asserted_at for _, draft in ordered],
            [in_words(draft.by) for _, draft in ordered],
        ),
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """What a piece of evidence or a mark is about."""

    id: UUID
    a: IdentifierId
    b: IdentifierId


async def revoke_evidence(tx: Tx, ids: Sequence[EvidenceId], *, at: datetime, by: str, reason: str) -> list[Ends]:
    """Take valid evidence back; return what was valid until now."""
    return await tx.all(
        Ends,
        """
        UPDATE customers.evidence
           SET revoked_at = %s, revoked_by = %s, revoked_reason = %s, suppressed = NULL
         WHERE id = ANY (%b::uuid[]) AND revoked_at IS NULL
        RETURNING id, a, b
        """,
        (at, by, reason, list(ids)),
    )


async def known_evidence(tx: Tx, ids: Sequence[EvidenceId]) -> set[EvidenceId]:
    return set(await tx.values("SELECT id FROM customers.evidence WHERE id = ANY (%b::uuid[])", (list(ids),)))


async def insert_mark(
    tx: Tx, a: IdentifierId, b: IdentifierId, *, reason: str, by: str, at: datetime
) -> tuple[UUID, bool]:
    """Mark two identifiers as not one person; return the mark and whether it is new."""
    low, high = sorted((a, b))
    fresh: UUID | None = await tx.value(
        """
        INSERT INTO customers.cannot_link (id, a, b, reason, marked_by, marked_at)
        VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (a, b) WHERE revoked_at IS NULL DO NOTHING
        RETURNING id
        """,
        (new_id(), low, high, reason, by, at),
    )
    if fresh is not None:
        return fresh, True
    held: UUID = await tx.value(
        "SELECT id FROM customers.cannot_link WHERE a = %s AND b = %s AND revoked_at IS NULL", (low, high)
    )
    return held, False


async def revoke_marks(tx: Tx, ids: Sequence[UUID], *, by: str, at: datetime) -> list[Ends]:
    """Take marks back; return those that held until now."""
    return await tx.all(
        Ends,
        """
        UPDATE customers.cannot_link
           SET revoked_at = %s, revoked_by = %s
         WHERE id = ANY (%b::uuid[]) AND revoked_at IS NULL
        RETURNING id, a, b
        """,
        (at, by, list(ids)),
    )


async def known_marks(tx: Tx, ids: Sequence[UUID]) -> set[UUID]:
    return set(await tx.values("SELECT id FROM customers.cannot_link WHERE id = ANY (%b::uuid[])", (list(ids),)))


async def sign_ins_on(tx: Tx, epochs: Mapping[IdentifierId, int]) -> dict[IdentifierId, list[EarlierSignIn]]:
    """Return the valid sign-ins of browsers, by the identifier of the epoch they happened in."""
    rows = await tx.tuples(
        """
        SELECT browser.id, person.id, person.customer_id, evidence.kind, evidence.source, evidence.source_ref
          FROM unnest(%b::uuid[]) AS browser (id)
         CROSS JOIN LATERAL (SELECT b AS far, kind, source, source_ref
                               FROM customers.evidence
                              WHERE a = browser.id AND revoked_at IS NULL
                              UNION ALL
                             SELECT a, kind, source, source_ref
                               FROM customers.evidence
                              WHERE b = browser.id AND revoked_at IS NULL) AS evidence
          JOIN customers.identifier AS person ON person.id = evidence.far
         WHERE evidence.kind IN ('verified', 'identify')
           AND person.kind NOT IN ('visitor', 'device')
        """,
        (list(epochs),),
    )
    found: dict[IdentifierId, list[EarlierSignIn]] = {id_: [] for id_ in epochs}
    for browser, *rest in rows:
        found[browser].append(EarlierSignIn(epochs[browser], *rest))
    return found


# --- the component a change touches ---------------------------------------------------------------


async def component(
    tx: Tx, closed_starts: Sequence[IdentifierId], open_starts: Sequence[IdentifierId], rules: Rules, *, most: int
) -> dict[IdentifierId, bool]:
    """Return the identifiers that joining evidence reaches, and whether their own evidence was followed.

    The way never leads through a shared identifier, so its size does not hang on a shop's tablet.
    Starts are followed; `closed_starts` only when they are not shared. Stops after `most`.
    """
    rows = await tx.tuples(
        """
        WITH RECURSIVE reached (id, open) AS (
            SELECT identifier.id, identifier.shared IS NULL OR identifier.id = ANY (%(open)b::uuid[])
              FROM customers.identifier
             WHERE identifier.id = ANY (%(starts)b::uuid[])
             UNION
            SELECT identifier.id, identifier.shared IS NULL
              FROM reached
             CROSS JOIN LATERAL (SELECT b AS id, strength, source
                                   FROM customers.evidence
                                  WHERE a = reached.id AND revoked_at IS NULL
                                  UNION ALL
                                 SELECT a, strength, source
                                   FROM customers.evidence
                                  WHERE b = reached.id AND revoked_at IS NULL) AS far
              JOIN customers.identifier ON identifier.id = far.id
             WHERE reached.open
               AND far.strength >= coalesce((SELECT link_strength
                                               FROM customers.source_rule
                                              WHERE source_rule.source = far.source), %(link_strength)s)
        )
        SELECT id, bool_or(open) FROM (SELECT id, open FROM reached LIMIT %(most)s) AS bounded GROUP BY id
        """,
        {
            "open": list(open_starts),
            "starts": [*closed_starts, *open_starts],
            "link_strength": rules.link_strength,
            "most": most,
        },
    )
    return dict(rows)


@dataclass(frozen=True, slots=True)
class Held:
    """A locked identifier as it is now."""

    id: IdentifierId
    kind: IdentifierKind
    scope: str
    value: str
    epoch: int
    blocked: bool
    shared: str | None
    customer_id: CustomerId

    def node(self, *, complete: bool) -> Node:
        """The same for matching; `complete` when all its evidence is at hand."""
        identifier = Identifier(self.kind, self.value, self.scope)
        return Node(self.id, identifier, self.epoch, self.blocked, None if complete else self.shared)


async def lock_identifiers(tx: Tx, ids: Sequence[IdentifierId]) -> dict[IdentifierId, Held]:
    """Lock identifiers in the order of their ids and read them as they are after waiting."""
    rows = await tx.all(
        Held,
        """
        SELECT id, kind, scope, value, epoch, blocked, shared, customer_id
          FROM customers.identifier
         WHERE id = ANY (%b::uuid[])
         ORDER BY id
           FOR NO KEY UPDATE
        """,
        (list(ids),),
    )
    return {row.id: row for row in rows}


async def links_of(tx: Tx, ids: Sequence[IdentifierId]) -> dict[Link, str | None]:
    """Return the valid evidence at identifiers, each with why it is not joined now (None when it is)."""
    rows = await tx.tuples(
        """
        SELECT id, a, b, kind, strength, source, source_ref, suppressed
          FROM customers.evidence
         WHERE revoked_at IS NULL AND (a = ANY (%(ids)b::uuid[]) OR b = ANY (%(ids)b::uuid[]))
        """,
        {"ids": list(ids)},
    )
    return {Link(*row): suppressed for *row, suppressed in rows}


async def marks_among(tx: Tx, ids: Sequence[IdentifierId]) -> list[Mark]:
    return await tx.all(
        Mark,
        """
        SELECT a, b
          FROM customers.cannot_link
         WHERE revoked_at IS NULL AND a = ANY (%(ids)b::uuid[]) AND b = ANY (%(ids)b::uuid[])
        """,
        {"ids": list(ids)},
    )


# --- what is derived ------------------------------------------------------------------------------


async def place_identifiers(tx: Tx, placed: Sequence[tuple[IdentifierId, CustomerId, str | None]]) -> None:
    """Give identifiers (id, customer, why shared) their customer."""
    await tx.run(
        """
        UPDATE customers.identifier AS identifier
           SET customer_id = placed.customer_id, shared = placed.shared
          FROM unnest(%b::uuid[], %b::uuid[], %b::text[]) AS placed (id, customer_id, shared)
         WHERE identifier.id = placed.id
        """,
        ([id_ for id_, _, _ in placed], [customer for _, customer, _ in placed], [why for _, _, why in placed]),
    )


async def supersede_customers(tx: Tx, current: Mapping[CustomerId, CustomerId | None]) -> None:
    """Say what customer ids stand for now; None for themselves."""
    await tx.run(
        """
        UPDATE customers.customer AS customer
           SET superseded_by = given.superseded_by
          FROM unnest(%b::uuid[], %b::uuid[]) AS given (id, superseded_by)
         WHERE customer.id = given.id AND customer.superseded_by IS DISTINCT FROM given.superseded_by
        """,
        (list(current), list(current.values())),
    )


async def suppress_evidence(tx: Tx, reasons: Mapping[EvidenceId, str | None]) -> None:
    """Write down why evidence is not joined; None when it is."""
    await tx.run(
        """
        UPDATE customers.evidence AS evidence
           SET suppressed = given.reason
          FROM unnest(%b::uuid[], %b::text[]) AS given (id, reason)
         WHERE evidence.id = given.id
        """,
        (list(reasons), list(reasons.values())),
    )


async def log_changes(tx: Tx, changes: Sequence[Change], *, at: datetime, actor: str) -> None:
    """Write down which customers became which."""
    await tx.run(
        """
        INSERT INTO customers.merge_log (id, at, act, before, after, cause, causes, actor)
        SELECT id, %s, act, before, after, cause, causes, %s
          FROM jsonb_to_recordset(%s)
               AS given (id uuid, act text, before uuid[], after uuid[], cause text, causes uuid[])
        """,
        (
            at,
            actor,
            Jsonb(
                [
                    {
                        "id": new_id(),
                        "act": change.act,
                        "before": change.before,
                        "after": change.after,
                        "cause": change.cause,
                        "causes": change.causes,
                    }
                    for change in changes
                ]
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class Weak:
    """New evidence too weak to join: whose its ends are, and whether somebody ruled it out."""

    evidence_id: EvidenceId
    a: IdentifierId
    customer_id: CustomerId
    other_customer_id: CustomerId
    kind: EvidenceKind
    reason: str


async def suggested_by(tx: Tx, ids: Sequence[EvidenceId]) -> list[Weak]:
    """Return which of some evidence proposes two customers nobody marked as different."""
    return await tx.all(
        Weak,
        """
        SELECT evidence.id AS evidence_id, evidence.a, a.customer_id, b.customer_id AS other_customer_id,
               evidence.kind, evidence.reason
          FROM customers.evidence
          JOIN customers.identifier AS a ON a.id = evidence.a
          JOIN customers.identifier AS b ON b.id = evidence.b
         WHERE evidence.id = ANY (%b::uuid[])
           AND evidence.revoked_at IS NULL
           AND a.customer_id <> b.customer_id
           AND NOT customers.told_apart(a.customer_id, b.customer_id)
        """,
        (list(ids),),
    )
