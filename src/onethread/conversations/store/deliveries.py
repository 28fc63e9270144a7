"""SQL writes of deliveries: queued, claimed, settled, told about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from onethread.channels.contract import Act
from onethread.conversations.model import DeliveryStatus
from onethread.kernel.ids import AccountId, BrandId, ConversationId, DeliveryId, IdentifierId, MessageId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """The intent to send: it is a row before anything is called."""

    id: DeliveryId
    message_id: MessageId
    account_id: AccountId
    channel: str
    identifier_id: IdentifierId
    due_at: datetime
    act: Act = "message"
    emoji: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery this process may hand to its channel now."""

    id: DeliveryId
    message_id: MessageId
    account_id: AccountId
    channel: str
    identifier_id: IdentifierId
    act: Act
    emoji: str | None
    attempts: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt."""

    id: DeliveryId
    status: DeliveryStatus
    reason: str | None
    external_id: str | None
    due_in: float | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """A delivery whose status changed, with what the news needs."""

    id: DeliveryId
    message_id: MessageId
    conversation_id: ConversationId
    identifier_id: IdentifierId
    channel: str
    status: DeliveryStatus
    reason: str | None
    repeated: bool
    brand_id: BrandId


_BRAND: Final[LiteralString] = """
    (SELECT brand_id FROM conversations.conversation WHERE conversation.id = message.conversation_id) AS brand_id
"""

# The order of `climbs` in the model, as a number the database can compare.
_RANK: Final[LiteralString] = """
    array_position(ARRAY['queued', 'sending', 'unknown', 'failed', 'sent', 'delivered', 'read', 'cancelled'],
"""


async def insert_deliveries(tx: Tx, new: Sequence[NewDelivery]) -> None:
    await tx.run(
        """
        INSERT INTO conversations.delivery
               (id, message_id, account_id, channel, identifier_id, due_at, act, emoji)
        SELECT id, message_id, account_id, channel, identifier_id, due_at, act, emoji
          FROM unnest(%b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::uuid[], %b::timestamptz[],
                      %b::text[], %b::text[])
               AS given (id, message_id, account_id, channel, identifier_id, due_at, act, emoji)
        """,
        (
            [one.id for one in new],
            [one.message_id for one in new],
            [one.account_id for one in new],
            [one.channel for one in new],
            [one.identifier_id for one in new],
            [one.due_at for one in new],
            [one.act for one in new],
            [one.emoji for one in new],
        ),
    )


async def claim_due(tx: Tx, rooms: Mapping[AccountId, int], *, lease_seconds: float) -> list[Claimed]:
    """Take due deliveries, of each account as many as it has room for, one person's in their order; lease them."""
    return await tx.all(
        Claimed,
        """
        UPDATE conversations.delivery
           SET status      = 'sending',
               attempts    = delivery.attempts + 1,
               lease_until = now() + make_interval(secs => %(lease)s),
               changed_at  = clock_timestamp()
          FROM unnest(%(accounts)s::uuid[], %(rooms)s::int[]) AS given (account, room)
         CROSS JOIN LATERAL (SELECT id
                               FROM conversations.delivery AS next
                              WHERE status = 'queued' AND due_at <= now()
                                AND next.account_id = given.account
                                AND NOT EXISTS (SELECT
                                                  FROM conversations.delivery AS earlier
                                                 WHERE earlier.account_id = next.account_id
                                                   AND earlier.identifier_id = next.identifier_id
                                                   AND earlier.id < next.id
                                                   AND earlier.status IN ('queued', 'sending'))
                              ORDER BY due_at
                              LIMIT given.room
                                FOR UPDATE SKIP LOCKED) AS due
         WHERE delivery.id = due.id
        RETURNING delivery.id, message_id, account_id, channel, identifier_id, act, emoji, attempts, repeated
        """,
        {"accounts": list(rooms), "rooms": list(rooms.values()), "lease": lease_seconds},
    )


async def explain_waiting(
    tx: Tx, *, able: Sequence[AccountId], known: Sequence[AccountId], off: str, gone: str, grace_seconds: float
) -> list[Moved]:
    """Say of due deliveries whose account cannot send why they wait; return those it was not said of before.

    An account nobody here knows may be new: nothing is said before the grace is over.
    """
    return await tx.all(
        Moved,
        """
        UPDATE conversations.delivery
           SET reason = waiting.why, changed_at = clock_timestamp()
          FROM (SELECT delivery.id AS waiting_id, message.conversation_id,
                       CASE WHEN delivery.account_id = ANY (%(known)s::uuid[])
                            THEN %(off)s ELSE %(gone)s END AS why, """
        + _BRAND
        + """
                  FROM conversations.delivery
                  JOIN conversations.message ON message.id = delivery.message_id
                 WHERE status = 'queued' AND delivery.account_id <> ALL (%(able)s::uuid[])
                   AND due_at <= now() - CASE WHEN delivery.account_id = ANY (%(known)s::uuid[]) THEN interval '0'
                                              ELSE make_interval(secs => %(grace)s) END
                   AND reason IS DISTINCT FROM
                       CASE WHEN delivery.account_id = ANY (%(known)s::uuid[]) THEN %(off)s ELSE %(gone)s END
                 ORDER BY due_at
                 LIMIT 500
                   FOR UPDATE OF delivery SKIP LOCKED) AS waiting
         WHERE delivery.id = waiting_id
        RETURNING delivery.id, message_id, waiting.conversation_id, identifier_id, channel, status, reason,
                  repeated, waiting.brand_id
        """,
        {"able": list(able), "known": list(known), "off": off, "gone": gone, "grace": grace_seconds},
    )


async def write_results(tx: Tx, results: Sequence[Result]) -> list[Moved]:
    """Write the outcomes of attempts; news that came in meanwhile (a status) is never overwritten.

    Whoever comes late, its lease over, may still say that it was sent: else it would be sent twice.
    """
    return await tx.all(
        Moved,
        """
        WITH given AS (
            SELECT *
              FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::text[], %b::float8[], %b::bool[])
                   AS given (id, status, reason, external_id, due_in, repeated)
        )
        UPDATE conversations.delivery
           SET status      = CASE WHEN delivery.status IN ('sending', 'unknown', 'queued')
                                  THEN given.status ELSE delivery.status END,
               reason      = CASE WHEN delivery.status IN ('sending', 'unknown', 'queued')
                                  THEN given.reason ELSE delivery.reason END,
               external_id = coalesce(given.external_id, delivery.external_id),
               due_at      = coalesce(now() + make_interval(secs => given.due_in), delivery.due_at),
               repeated    = delivery.repeated OR given.repeated,
               lease_until = NULL,
               changed_at  = clock_timestamp()
          FROM given, conversations.message
         WHERE delivery.id = given.id AND message.id = delivery.message_id
           AND (delivery.status IN ('sending', 'sent', 'delivered', 'read', 'failed')
                OR (delivery.status IN ('unknown', 'queued') AND given.status IN ('sent', 'delivered')))
        RETURNING delivery.id, delivery.message_id, message.conversation_id, delivery.identifier_id,
                  delivery.channel, delivery.status, delivery.reason, delivery.repeated,
        """
        + _BRAND,
        (
            [one.id for one in results],
            [one.status for one in results],
            [one.reason for one in results],
            [one.external_id for one in results],
            [one.due_in for one in results],
            [one.repeated for one in results],
        ),
    )


@dataclass(frozen=True, slots=True)
class News:
    """What a provider says about a delivery it names by its own id or by ours."""

    account_id: AccountId
    external_id: str | None
    delivery_id: DeliveryId | None
    status: DeliveryStatus
    reason: str | None


@dataclass(frozen=True, slots=True)
class Meant:
    """A delivery that news speaks of, whether the news moved it or not."""

    id: DeliveryId
    identifier_id: IdentifierId
    channel: str


async def write_news(tx: Tx, news: Sequence[News]) -> tuple[list[Moved], dict[int, list[Meant]]]:
    """Let statuses climb; return what moved and, by the place of the news, the deliveries it speaks of."""
    rows = await tx.tuples(
        """
        WITH given AS (
            SELECT *
              FROM unnest(%b::int[], %b::uuid[], %b::text[], %b::uuid[], %b::text[], %b::text[])
                   AS given (place, account_id, external_id, delivery_id, status, reason)
        ), found AS (
            SELECT given.*, delivery.id, delivery.identifier_id, delivery.channel
              FROM given
              JOIN conversations.delivery
                ON (delivery.id = given.delivery_id AND delivery.account_id = given.account_id)
                OR (delivery.account_id = given.account_id AND delivery.external_id = given.external_id)
        ), best AS (
            SELECT DISTINCT ON (id) id, status, reason
              FROM found
             ORDER BY id, """
        + _RANK
        + """ status) DESC
        ), moved AS (
            UPDATE conversations.delivery
               SET status = best.status, reason = coalesce(nullif(best.reason, ''), delivery.reason),
                   lease_until = NULL, changed_at = clock_timestamp()
              FROM best, conversations.message
             WHERE delivery.id = best.id AND message.id = delivery.message_id
               AND CASE WHEN best.status = 'failed'
                        THEN delivery.status IN ('queued', 'sending', 'unknown', 'sent')
                        ELSE delivery.status <> 'cancelled'
                             AND """
        + _RANK
        + """ best.status) > """
        + _RANK
        + """ delivery.status) END
            RETURNING delivery.id, delivery.message_id, message.conversation_id, delivery.identifier_id,
                      delivery.channel, delivery.status, delivery.reason, delivery.repeated, """
        + _BRAND
        + """
        )
        SELECT found.place, found.id, found.identifier_id, found.channel, moved.id, moved.message_id,
               moved.conversation_id, moved.identifier_id, moved.channel, moved.status, moved.reason, moved.repeated,
               moved.brand_id
          FROM found
          LEFT JOIN moved USING (id)
        """,
        (
            list(range(len(news))),
            [one.account_id for one in news],
            [one.external_id for one in news],
            [one.delivery_id for one in news],
            [one.status for one in news],
            [one.reason for one in news],
        ),
    )
    moved = {row[4]: Moved(*row[4:]) for row in rows if row[4] is not None}
    meant: dict[int, list[Meant]] = {}
    for place, *whose in (row[:4] for row in rows):
        meant.setdefault(place, []).append(Meant(*whose))
    return list(moved.values()), meant


async def expire_leases(tx: Tx, *, reconcile_seconds: float, idempotent: Sequence[str]) -> list[Moved]:
    """Deliveries nobody reported on: safe ones are queued again, the others' outcome is unknown."""
    return await tx.all(
        Moved,
        """
        UPDATE conversations.delivery
           SET status      = CASE WHEN channel = ANY (%(idempotent)s) THEN 'queued' ELSE 'unknown' END,
               reason      = 'The server stopped while this was being sent.',
               lease_until = NULL,
               due_at      = now() + make_interval(secs => CASE WHEN channel = ANY (%(idempotent)s)
                                                                THEN 0 ELSE %(reconcile)s END),
               changed_at  = clock_timestamp()
          FROM (SELECT delivery.id AS late_id, message.conversation_id, """
        + _BRAND
        + """
                  FROM conversations.delivery
                  JOIN conversations.message ON message.id = delivery.message_id
                 WHERE status = 'sending' AND lease_until < now()
                 ORDER BY lease_until
                 LIMIT 500
                   FOR UPDATE OF delivery SKIP LOCKED) AS late
         WHERE delivery.id = late_id
        RETURNING delivery.id, message_id, late.conversation_id, identifier_id, channel, status, reason,
                  repeated, late.brand_id
        """,
        {"idempotent": list(idempotent), "reconcile": reconcile_seconds},
    )


async def retry_unknown(tx: Tx) -> list[Moved]:
    """Queue deliveries again whose provider kept silent for the whole time; they are marked as repeated.

    Once: whoever hears nothing a second time leaves it to a person, who may have it sent again.
    """
    return await tx.all(
        Moved,
        """
        UPDATE conversations.delivery
           SET status = CASE WHEN repeated THEN 'failed' ELSE 'queued' END,
               repeated = true, due_at = now(), changed_at = clock_timestamp(),
               reason = CASE WHEN repeated
                             THEN 'The outcome stayed unknown twice; it may have arrived, so it is not sent again.'
                             ELSE 'The outcome stayed unknown; it is sent once more and may arrive twice.' END
          FROM (SELECT delivery.id AS silent_id, message.conversation_id, """
        + _BRAND
        + """
                  FROM conversations.delivery
                  JOIN conversations.message ON message.id = delivery.message_id
                 WHERE status = 'unknown' AND due_at <= now()
                 ORDER BY due_at
                 LIMIT 500
                   FOR UPDATE OF delivery SKIP LOCKED) AS silent
         WHERE delivery.id = silent_id
        RETURNING delivery.id, message_id, silent.conversation_id, identifier_id, channel, status, reason,
                  repeated, silent.brand_id
        """,
    )


async def cancel_queued(tx: Tx, message_id: MessageId) -> int:
    """Take back what has not left yet; return how many deliveries that were."""
    return await tx.run(
        """
        UPDATE conversations.delivery
           SET status = 'cancelled', reason = 'It was taken back before it left.', changed_at = clock_timestamp()
         WHERE message_id = %s AND status = 'queued' AND attempts = 0
        """,
        (message_id,),
    )


async def requeue(tx: Tx, delivery_id: DeliveryId) -> Moved | None:
    """Send a failed delivery once more, at an agent's word."""
    return await tx.one(
        Moved,
        """
        UPDATE conversations.delivery
           SET status = 'queued', due_at = now(), attempts = 0, reason = NULL, changed_at = clock_timestamp()
          FROM conversations.message
         WHERE delivery.id = %s AND delivery.status = 'failed' AND message.id = delivery.message_id
           AND message.unsent_at IS NULL
        RETURNING delivery.id, message_id, message.conversation_id, delivery.identifier_id,
                  delivery.channel, status, reason, repeated,
        """
        + _BRAND,
        (delivery_id,),
    )
