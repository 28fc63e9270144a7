"""What can be asked about customers: by any writing of an identifier, their identifiers, their thread."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from onethread.kernel.errors import Invalid
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import BrandId, CustomerId, EventId, IdentifierId
from onethread.kernel.normal import normalise, variants
from onethread.platform.db import Tx
from onethread.platform.events.model import Event

_KINDS: Final = "|".join(get_args(IdentifierKind))
_WRITTEN: Final = re.compile(rf"({_KINDS})(?:@([^:\x00-\x20]{{1,256}}))?:(.*)", re.DOTALL)


def parse_identifier(text: str, country: str | None = None) -> Identifier:
    """Read `email:ana@example.com`, `phone:081 234 5678`, `external@crm:42`, or a bare address or number.

    `country` completes national numbers. Raises NotAnIdentifier, or Invalid for a kind we do not know.
    """
    if written := _WRITTEN.match(text.strip()):
        kind, scope, value = written.groups()
        return normalise(kind, value, country, scope=scope or "")  # type: ignore[arg-type]
    if "@" in text:
        return normalise("email", text, country)
    if re.match(r"\W*\d", text):
        return normalise("phone", text, country)
    raise Invalid("Write an identifier as kind:value, for example email:ana@example.com.")


@dataclass(frozen=True, slots=True)
class IdentifierLine:
    """An identifier of a customer. `verified_at` is when they first proved that it is theirs."""

    id: IdentifierId
    customer_id: CustomerId
    kind: IdentifierKind
    scope: str
    value: str
    epoch: int
    name: str | None
    locale: str | None
    first_seen_at: datetime
    verified_at: datetime | None
    blocked: bool
    shared: str | None


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """A customer. The id asked for may have been another one, which this one supersedes."""

    id: CustomerId
    name: str | None
    locale: str | None
    created_at: datetime
    identifiers: Sequence[IdentifierLine]


@dataclass(frozen=True, slots=True)
class _CustomerRow:
    id: CustomerId
    name: str | None
    locale: str | None
    created_at: datetime


# --- customers ------------------------------------------------------------------------------------


async def customer(tx: Tx, customer_id: CustomerId) -> CustomerLine | None:
    """Return the customer an id stands for now, however old the id is."""
    row = await tx.one(
        _CustomerRow,
        """
        SELECT current.id, current.name, current.locale, current.created_at
          FROM customers.customer AS asked
          JOIN customers.customer AS current ON current.id = coalesce(asked.superseded_by, asked.id)
         WHERE asked.id = %s
        """,
        (customer_id,),
    )
    return (await _with_identifiers(tx, [row]))[0] if row else None


async def current_id(tx: Tx, customer_id: CustomerId) -> CustomerId | None:
    """Return what a customer id stands for now; None for one that was never given."""
    found: CustomerId | None = await tx.value(
        "SELECT coalesce(superseded_by, id) FROM customers.customer WHERE id = %s", (customer_id,)
    )
    return found


async def anchor_of(tx: Tx, customer_id: CustomerId) -> IdentifierId | None:
    """Return the identifier the customer is called after now."""
    found: IdentifierId | None = await tx.value(
        """
        SELECT current.anchor_identifier_id
          FROM customers.customer AS asked
          JOIN customers.customer AS current ON current.id = coalesce(asked.superseded_by, asked.id)
         WHERE asked.id = %s
        """,
        (customer_id,),
    )
    return found


async def customers_with(tx: Tx, identifier: Identifier) -> list[CustomerLine]:
    """Return who has an identifier, in any of its writings; without a scope, in any scope."""
    writings = variants(identifier)
    rows = await tx.all(
        _CustomerRow,
        """
        SELECT id, name, locale, created_at
          FROM customers.customer
         WHERE id IN (SELECT customer_id
                        FROM customers.identifier
                       WHERE value = ANY (%(values)s) AND kind = %(kind)s
                         AND (scope = %(scope)s OR %(scope)s = ''))
         ORDER BY created_at DESC, id DESC
         LIMIT 100
        """,
        {"values": [one.value for one in writings], "kind": identifier.kind, "scope": identifier.scope},
    )
    return await _with_identifiers(tx, rows)


Place = tuple[datetime, CustomerId]


async def customers(tx: Tx, *, before: Place | None, limit: int) -> list[CustomerLine]:
    """Return customers, the newest first, after a place in that order."""
    at, id_ = before or (None, None)
    rows = await tx.all(
        _CustomerRow,
        """
        SELECT id, name, locale, created_at
          FROM customers.customer
         WHERE superseded_by IS NULL
           AND (%(at)s::timestamptz IS NULL OR (created_at, id) < (%(at)s::timestamptz, %(id)s::uuid))
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s
        """,
        {"at": at, "id": id_, "limit": limit},
    )
    return await _with_identifiers(tx, rows)


async def customers_like(tx: Tx, words: str, *, before: Place | None, limit: int) -> list[CustomerLine]:
    """Return customers one of whose identifiers has a name with the words in it or begins with them.

    Looks at 5000 matches of a kind at most: whoever gets that many should say more.
    """
    at, id_ = before or (None, None)
    pattern = re.sub(r"([\\%_])", r"\\\1", words)
    # The matches first, through their indexes, then their order: a rare name must not walk every customer.
    rows = await tx.all(
        _CustomerRow,
        """
        WITH matching AS MATERIALIZED (
            (SELECT customer_id FROM customers.identifier WHERE name ILIKE '%%' || %(pattern)s || '%%' LIMIT 5000)
             UNION
            (SELECT customer_id FROM customers.identifier WHERE value LIKE %(pattern)s || '%%' LIMIT 5000)
             UNION
            (SELECT customer_id FROM customers.identifier WHERE value LIKE lower(%(pattern)s) || '%%' LIMIT 5000)
        )
        SELECT id, name, locale, created_at
          FROM customers.customer
         WHERE id IN (SELECT customer_id FROM matching)
           AND (%(at)s::timestamptz IS NULL OR (created_at, id) < (%(at)s::timestamptz, %(id)s::uuid))
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s
        """,
        {"pattern": pattern, "at": at, "id": id_, "limit": limit},
    )
    return await _with_identifiers(tx, rows)


async def _with_identifiers(tx: Tx, rows: Sequence[_CustomerRow]) -> list[CustomerLine]:
    found = await identifiers(tx, [row.id for row in rows]) if rows else []
    of: dict[CustomerId, list[IdentifierLine]] = {row.id: [] for row in rows}
    for identifier in found:
        of[identifier.customer_id].append(identifier)
    return [CustomerLine(row.id, row.name, row.locale, row.created_at, of[row.id]) for row in rows]


# --- identifiers ------------------------------------------------------------------------------------------


async def identifiers(tx: Tx, customer_ids: Collection[CustomerId]) -> list[IdentifierLine]:
    """Return the identifiers of customers, the oldest first."""
    return await tx.all(
        IdentifierLine,
        """
        SELECT identifier.id, customer_id, kind, scope, value, epoch, name, locale, first_seen_at,
               (SELECT min(asserted_at)
                  FROM customers.evidence
                 WHERE (a = identifier.id OR b = identifier.id)
                   AND revoked_at IS NULL
                   AND evidence.kind IN ('verified', 'token_link')) AS verified_at,
               blocked, shared
          FROM customers.identifier
         WHERE customer_id = ANY (%s::uuid[])
         ORDER BY first_seen_at, identifier.id
        """,
        (list(customer_ids),),
    )


# --- the thread -----------------------------------------------------------------------------------


async def thread(
    tx: Tx,
    customer_id: CustomerId,
    *,
    before: tuple[datetime, EventId] | None,
    limit: int,
    brands: Collection[BrandId] | None = None,
) -> list[Event]:
    """Return the thread of a customer, the newest event first, after a place in that order.

    `brands` None means every brand; events of no brand belong to all of them.
    """
    at, id_ = before or (None, None)
    # A page from each identifier's own index, then the newest of these: never a sort of the whole thread. The
    # planner thinks of the average identifier, which has two events, and would rather sort them: with 100,000
    # that takes 140 ms instead of one. The last sort, of these pages, it does all the same.
    await tx.run("SELECT set_config('enable_sort', 'off', true)")
    events = await tx.all(
        Event,
        """
        SELECT event.*
          FROM customers.identifier
         CROSS JOIN LATERAL (
               SELECT id, seq, type, occurred_at, recorded_at, identifier_id, conversation_id, brand_id,
                      actor_kind, actor_id, channel, source, source_id, payload
                 FROM platform.event
                WHERE event.identifier_id = identifier.id
                  AND (event.occurred_at, event.id)
                      < (coalesce(%(at)s::timestamptz, 'infinity'),
                         coalesce(%(id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                  AND (%(brands)s::uuid[] IS NULL OR brand_id IS NULL OR brand_id = ANY (%(brands)s::uuid[]))
                ORDER BY event.occurred_at DESC, event.id DESC
                LIMIT %(limit)s) AS event
         WHERE identifier.customer_id = %(customer)s
         ORDER BY event.occurred_at DESC, event.id DESC
         LIMIT %(limit)s
        """,
        {
            "customer": customer_id,
            "at": at,
            "id": id_,
            "brands": None if brands is None else list(brands),
            "limit": limit,
        },
    )
    await tx.run("SELECT set_config('enable_sort', 'on', true)")
    return events
