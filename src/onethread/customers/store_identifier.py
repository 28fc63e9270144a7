"""SQL of identifiers and customer rows: finding them, first sight, what was observed, locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.customers.matching import customer_born_with
from onethread.customers.model import Sighting
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import CustomerId, IdentifierId, new_id
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Row:
    """A kept identifier, its newest epoch."""

    id: IdentifierId
    customer_id: CustomerId
    epoch: int
    blocked: bool
    name: str | None
    name_at: datetime | None
    locale: str | None
    locale_at: datetime | None


async def find(tx: Tx, identifiers: Sequence[Identifier]) -> dict[Identifier, Row]:
    """Return what is kept of identifiers; those never seen are left out."""
    rows = await tx.tuples(
        """
        SELECT given.n, kept.id, kept.customer_id, kept.epoch, kept.blocked,
               kept.name, kept.name_at, kept.locale, kept.locale_at
          FROM unnest(%b::text[], %b::text[], %b::text[]) WITH ORDINALITY AS given (kind, scope, value, n)
         CROSS JOIN LATERAL (SELECT *
                               FROM customers.identifier
                              WHERE kind = given.kind AND scope = given.scope AND value = given.value
                              ORDER BY epoch DESC
                              LIMIT 1) AS kept
        """,
        _columns(identifiers),
    )
    return {identifiers[n - 1]: Row(*row) for n, *row in rows}


async def insert(tx: Tx, sightings: Sequence[Sighting], *, epoch: int = 0) -> dict[Identifier, Row]:
    """Keep identifiers seen for the first time, each with a customer of its own.

    Returns those this transaction inserted: another one may have been first with some. Whoever inserts
    sets takes them in one order, so that two transactions never wait for each other.
    """
    ordered = sorted(sightings, key=_in_order)
    ids = [IdentifierId(new_id()) for _ in ordered]
    rows = await tx.tuples(
        """
        WITH fresh AS (
            INSERT INTO customers.identifier
                   (id, customer_id, kind, scope, value, epoch, blocked,
                    name, name_at, locale, locale_at, first_seen_at)
            SELECT id, customer_id, kind, scope, value, %s,
                   EXISTS (SELECT
                             FROM customers.blocked_value AS blocked
                            WHERE blocked.kind = given.kind AND blocked.value = lower(given.value)),
                   name, CASE WHEN name IS NOT NULL THEN seen_at END,
                   locale, CASE WHEN locale IS NOT NULL THEN seen_at END, seen_at
              FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::text[],
                          %b::text[], %b::text[], %b::timestamptz[])
                   AS given (id, customer_id, kind, scope, value, name, locale, seen_at)
                ON CONFLICT (kind, scope, value, epoch) DO NOTHING
            RETURNING id, customer_id, kind, scope, value, epoch, blocked,
                      name, name_at, locale, locale_at, first_seen_at
        ), born AS (
            INSERT INTO customers.customer (id, anchor_identifier_id, name, locale, created_at)
            SELECT customer_id, id, name, locale, first_seen_at FROM fresh
        )
        SELECT kind, scope, value, id, customer_id, epoch, blocked, name, name_at, locale, locale_at
          FROM fresh
        """,
        (
            epoch,
            ids,
            [customer_born_with(id_) for id_ in ids],
            *_columns([sighting.identifier for sighting in ordered]),
            [sighting.name for sighting in ordered],
            [sighting.locale for sighting in ordered],
            [sighting.seen_at for sighting in ordered],
        ),
    )
    return {Identifier(kind, value, scope): Row(*row) for kind, scope, value, *row in rows}


async def observe(tx: Tx, observed: Sequence[tuple[IdentifierId, Sighting]]) -> list[CustomerId]:
    """Write down newer names and locales; return whose they are."""
    return await tx.values(
        """
        WITH held AS (
            SELECT id FROM customers.identifier WHERE id = ANY (%b::uuid[]) ORDER BY id FOR NO KEY UPDATE
        ), changed AS (
            UPDATE customers.identifier AS kept
               SET name      = CASE WHEN given.name_at >= coalesce(kept.name_at, '-infinity')
                                    THEN given.name ELSE kept.name END,
                   name_at   = greatest(kept.name_at, given.name_at),
                   locale    = CASE WHEN given.locale_at >= coalesce(kept.locale_at, '-infinity')
                                    THEN given.locale ELSE kept.locale END,
                   locale_at = greatest(kept.locale_at, given.locale_at)
              FROM held
              JOIN unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::text[], %b::timestamptz[])
                   AS given (id, name, name_at, locale, locale_at) USING (id)
             WHERE kept.id = held.id
            RETURNING kept.customer_id
        )
        SELECT DISTINCT customer_id FROM changed
        """,
        (
            [id_ for id_, _ in observed],
            [id_ for id_, _ in observed],
            [sighting.name for _, sighting in observed],
            [sighting.seen_at if sighting.name else None for _, sighting in observed],
            [sighting.locale for _, sighting in observed],
            [sighting.seen_at if sighting.locale else None for _, sighting in observed],
        ),
    )


async def fold_profiles(tx: Tx, customer_ids: Sequence[CustomerId]) -> None:
    """Give customers the newest name and locale observed on any of their identifiers."""
    await tx.run(
        """
        WITH held AS (
            SELECT id FROM customers.customer WHERE id = ANY (%b::uuid[]) ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE customers.customer AS customer
           SET name = newest.name, locale = newest.locale
          FROM (SELECT held.id,
                       (SELECT name
                          FROM customers.identifier
                         WHERE customer_id = held.id AND name IS NOT NULL
                         ORDER BY name_at DESC, id
                         LIMIT 1) AS name,
                       (SELECT locale
                          FROM customers.identifier
                         WHERE customer_id = held.id AND locale IS NOT NULL
                         ORDER BY locale_at DESC, id
                         LIMIT 1) AS locale
                  FROM held) AS newest
         WHERE customer.id = newest.id
           AND (customer.name, customer.locale) IS DISTINCT FROM (newest.name, newest.locale)
        """,
        (list(customer_ids),),
    )


async def lock_customers(tx: Tx, customer_ids: Sequence[CustomerId]) -> dict[CustomerId, CustomerId | None]:
    """Lock customer rows in the order of their ids; return each with the id that supersedes it, if any."""
    rows = await tx.tuples(
        """
        SELECT id, superseded_by
          FROM customers.customer
         WHERE id = ANY (%b::uuid[])
         ORDER BY id
           FOR NO KEY UPDATE
        """,
        (list(customer_ids),),
    )
    return {CustomerId(id_): superseded_by for id_, superseded_by in rows}


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a browser, and which of the given identifiers it was asked for with."""

    given: IdentifierId
    id: IdentifierId
    kind: IdentifierKind
    scope: str
    value: str
    epoch: int


async def lock_epochs(tx: Tx, identifier_ids: Sequence[IdentifierId]) -> list[Epoch]:
    """Lock every epoch of the given identifiers, the newest last."""
    return await tx.all(
        Epoch,
        """
        SELECT given.id AS given, kept.id, kept.kind, kept.scope, kept.value, kept.epoch
          FROM customers.identifier AS given
          JOIN customers.identifier AS kept USING (kind, scope, value)
         WHERE given.id = ANY (%b::uuid[])
         ORDER BY kept.id
           FOR NO KEY UPDATE OF kept
        """,
        (list(identifier_ids),),
    )


async def block_value(tx: Tx, kind: IdentifierKind, value: str, *, reason: str, by: str, at: datetime) -> None:
    """Put a value (lower case) on the company's list of values that stand for nobody."""
    await tx.run(
        """
        INSERT INTO customers.blocked_value (kind, value, reason, blocked_by, blocked_at)
        VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (kind, value) DO UPDATE SET reason = excluded.reason
        """,
        (kind, value, reason, by, at),
    )


async def unblock_value(tx: Tx, kind: IdentifierKind, value: str) -> bool:
    """Take a value from the list; tell whether it was there."""
    return bool(await tx.run("DELETE FROM customers.blocked_value WHERE kind = %s AND value = %s", (kind, value)))


async def flag_blocked(tx: Tx, kind: IdentifierKind, value: str, *, blocked: bool) -> list[IdentifierId]:
    """Flag kept identifiers of a value (lower case) by the list; return those that changed."""
    return await tx.values(
        """
        UPDATE customers.identifier
           SET blocked = %s
         WHERE id IN (SELECT id
                        FROM customers.identifier
                       WHERE kind = %s AND lower(value) = %s AND blocked <> %s
                       ORDER BY id
                         FOR NO KEY UPDATE)
        RETURNING id
        """,
        (blocked, kind, value, blocked),
    )


async def customers_of(tx: Tx, identifier_ids: Sequence[IdentifierId]) -> dict[IdentifierId, CustomerId]:
    rows = await tx.tuples(
        "SELECT id, customer_id FROM customers.identifier WHERE id = ANY (%b::uuid[])",
        (list(identifier_ids),),
    )
    return dict(rows)


async def kinds_of(tx: Tx, identifier_ids: Sequence[IdentifierId]) -> dict[IdentifierId, IdentifierKind]:
    rows = await tx.tuples(
        "SELECT id, kind FROM customers.identifier WHERE id = ANY (%b::uuid[])",
        (list(identifier_ids),),
    )
    return dict(rows)


def _in_order(sighting: Sighting) -> tuple[str, str, str]:
    identifier = sighting.identifier
    return (identifier.kind, identifier.scope, identifier.value)


def _columns(identifiers: Sequence[Identifier]) -> tuple[list[str], list[str], list[str]]:
    return (
        [identifier.kind for identifier in identifiers],
        [identifier.scope for identifier in identifiers],
        [identifier.value for identifier in identifiers],
    )
