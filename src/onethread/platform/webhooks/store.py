"""SQL of the outgoing webhooks: tables platform.webhook and platform.webhook_delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.kernel.ids import BrandId, EventId
from onethread.platform.db import Tx
from onethread.platform.events.model import Event
from onethread.platform.webhooks.model import Delivery, DeliveryState, Webhook, WebhookId


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to be made now, with where it goes; `secrets` are still encrypted."""

    id: int
    webhook_id: WebhookId
    event_id: EventId
    attempts: int
    url: str
    secret: bytes
    old_secret: bytes | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of an attempt. `retry_seconds` matters while the state is `waiting`."""

    id: int
    state: DeliveryState
    status: int | None
    error: str
    retry_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes and what signs for it; the secrets are encrypted."""

    url: str
    secret: bytes
    old_secret: bytes | None


@dataclass(frozen=True, slots=True)
class Failing:
    """A webhook in trouble: how many deliveries gave up, how many try again, and why the last one failed."""

    id: WebhookId
    url: str
    reason: str
    dead: int
    retrying: int


async def insert_webhook(
    tx: Tx, id_: WebhookId, *, url: str, types: Sequence[str], brand_id: BrandId | None, secret: bytes
) -> None:
    await tx.run(
        """
        INSERT INTO platform.webhook (id, url, types, brand_id, secret)
        VALUES (%s, %s, %s, %s, %s)
        """,
        (id_, url, list(types), brand_id, secret),
    )


async def webhooks(tx: Tx, *, before: WebhookId | None, limit: int) -> list[Webhook]:
    """Return webhooks, newest first."""
    return await tx.all(
        Webhook,
        """
        SELECT id, url, types, brand_id, enabled, disabled_reason, old_secret_ends, created_at
          FROM platform.webhook
         WHERE %(before)s::uuid IS NULL OR id < %(before)s
         ORDER BY id DESC
         LIMIT %(limit)s
        """,
        {"before": before, "limit": limit},
    )


async def webhook(tx: Tx, id_: WebhookId) -> Webhook | None:
    return await tx.one(
        Webhook,
        """
        SELECT id, url, types, brand_id, enabled, disabled_reason, old_secret_ends, created_at
          FROM platform.webhook
         WHERE id = %s
        """,
        (id_,),
    )


async def target(tx: Tx, id_: WebhookId) -> Target | None:
    return await tx.one(
        Target,
        """
        SELECT url, secret, CASE WHEN old_secret_ends > now() THEN old_secret END AS old_secret
          FROM platform.webhook
         WHERE id = %s
        """,
        (id_,),
    )


async def update_webhook(
    tx: Tx, id_: WebhookId, *, url: str, types: Sequence[str], brand_id: BrandId | None, enabled: bool
) -> None:
    await tx.run(
        """
        UPDATE platform.webhook
           SET url = %s, types = %s, brand_id = %s, enabled = %s,
               disabled_reason = CASE WHEN %s THEN NULL ELSE coalesce(disabled_reason, 'Switched off by hand.') END
         WHERE id = %s
        """,
        (url, list(types), brand_id, enabled, enabled, id_),
    )


async def disable_webhooks(tx: Tx, ids: Sequence[WebhookId], reasons: Sequence[str]) -> None:
    await tx.run(
        """
        UPDATE platform.webhook
           SET enabled = false, disabled_reason = given.reason
          FROM unnest(%s::uuid[], %s::text[]) AS given (id, reason)
         WHERE webhook.id = given.id AND webhook.enabled
        """,
        (list(ids), list(reasons)),
    )


async def rotate_secret(tx: Tx, id_: WebhookId, secret: bytes, *, old_ends: datetime) -> bool:
    """Put a new secret in place and keep the one before until `old_ends`; False when there is no such webhook."""
    touched = await tx.run(
        """
        UPDATE platform.webhook
           SET old_secret = secret, old_secret_ends = %s, secret = %s
         WHERE id = %s
        """,
        (old_ends, secret, id_),
    )
    return touched == 1


async def delete_webhook(tx: Tx, id_: WebhookId) -> bool:
    return await tx.run("DELETE FROM platform.webhook WHERE id = %s", (id_,)) == 1


async def insert_deliveries(tx: Tx, events: Sequence[Event]) -> int:
    """Add a delivery for every pair of a webhook that wants an event and that event; return how many."""
    return await tx.run(
        """
        INSERT INTO platform.webhook_delivery (webhook_id, event_id, event_seq, event_type)
        SELECT webhook.id, given.id, given.seq, given.type
          FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::uuid[]) AS given (id, seq, type, brand_id)
          JOIN platform.webhook
            ON webhook.enabled
           AND (webhook.types @> ARRAY['*'] OR given.type = ANY (webhook.types))
           AND (webhook.brand_id IS NULL OR given.brand_id IS NULL OR webhook.brand_id = given.brand_id)
         ORDER BY given.seq
            ON CONFLICT (webhook_id, event_id) DO NOTHING
        """,
        (
            [event.id for event in events],
            [event.seq for event in events],
            [event.type for event in events],
            [event.brand_id for event in events],
        ),
    )


async def claim_due(
    tx: Tx, *, busy: Sequence[WebhookId], busy_counts: Sequence[int], most: int, lease_seconds: float
) -> list[Claimed]:
    """Claim due deliveries, at most `most` of one webhook less those it is `busy` with already.

    A claimed delivery comes due again after the lease, should we die with it.
    """
    return await tx.all(
        Claimed,
        """
        WITH due AS (
            SELECT delivery.id, webhook.url, webhook.secret,
                   CASE WHEN webhook.old_secret_ends > now() THEN webhook.old_secret END AS old_secret
              FROM platform.webhook
              LEFT JOIN unnest(%(busy)s::uuid[], %(counts)s::int[]) AS busy (webhook_id, count)
                ON busy.webhook_id = webhook.id
             CROSS JOIN LATERAL (SELECT id
                                   FROM platform.webhook_delivery
                                  WHERE webhook_id = webhook.id AND state = 'waiting' AND due_at <= now()
                                  ORDER BY due_at, event_seq
                                  LIMIT greatest(%(most)s - coalesce(busy.count, 0), 0)
                                    FOR UPDATE SKIP LOCKED) AS delivery
             WHERE webhook.enabled
        )
        UPDATE platform.webhook_delivery AS delivery
           SET attempts = delivery.attempts + 1,
               due_at   = now() + make_interval(secs => %(lease)s)
          FROM due
         WHERE delivery.id = due.id
        RETURNING delivery.id, delivery.webhook_id, delivery.event_id, delivery.attempts,
                  due.url, due.secret, due.old_secret
        """,
        {"busy": list(busy), "counts": list(busy_counts), "most": most, "lease": lease_seconds},
    )


async def end_attempts(tx: Tx, ended: Sequence[Ended]) -> None:
    """Write what became of attempts."""
    await tx.run(
        """
        UPDATE platform.webhook_delivery AS delivery
           SET state    = given.state,
               status   = given.status,
               error    = nullif(given.error, ''),
               due_at   = now() + make_interval(secs => given.retry),
               ended_at = CASE WHEN given.state <> 'waiting' THEN now() END
          FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::text[], %s::float8[])
               AS given (id, state, status, error, retry)
         WHERE delivery.id = given.id AND delivery.state = 'waiting'
        """,
        (
            [one.id for one in ended],
            [one.state for one in ended],
            [one.status for one in ended],
            [one.error for one in ended],
            [one.retry_seconds for one in ended],
        ),
    )


async def deliveries(
    tx: Tx, *, webhook_id: WebhookId | None, state: DeliveryState | None, before: int | None, limit: int
) -> list[Delivery]:
    """Return deliveries, newest first."""
    return await tx.all(
        Delivery,
        """
        SELECT id, webhook_id, event_id, event_seq, event_type, state, attempts, due_at, status, error, created_at,
               ended_at
          FROM platform.webhook_delivery
         WHERE (%(webhook)s::uuid IS NULL OR webhook_id = %(webhook)s)
           AND (%(state)s::text IS NULL OR state = %(state)s)
           AND (%(before)s::bigint IS NULL OR id < %(before)s)
         ORDER BY id DESC
         LIMIT %(limit)s
        """,
        {"webhook": webhook_id, "state": state, "before": before, "limit": limit},
    )


async def revive(tx: Tx, webhook_id: WebhookId, ids: Sequence[int] | None) -> list[int]:
    """Set ended deliveries (every dead one for None) waiting again from the start; return their ids."""
    return await tx.values(
        """
        UPDATE platform.webhook_delivery
           SET state = 'waiting', attempts = 0, due_at = now(), ended_at = NULL
         WHERE webhook_id = %(webhook)s
           AND CASE WHEN %(ids)s::bigint[] IS NULL THEN state = 'dead'
                    ELSE state <> 'waiting' AND id = ANY (%(ids)s::bigint[]) END
        RETURNING id
        """,
        {"webhook": webhook_id, "ids": None if ids is None else list(ids)},
    )


async def failing(tx: Tx) -> list[Failing]:
    """Return the webhooks that something could not be taken to, the worst first."""
    return await tx.all(
        Failing,
        """
        SELECT webhook.id, webhook.url, coalesce(webhook.disabled_reason, last.error, '') AS reason,
               coalesce(last.dead, 0) AS dead, coalesce(last.retrying, 0) AS retrying
          FROM platform.webhook
          LEFT JOIN LATERAL (
               SELECT count(*) FILTER (WHERE state = 'dead')    AS dead,
                      count(*) FILTER (WHERE state = 'waiting') AS retrying,
                      (array_agg(error ORDER BY id DESC))[1]    AS error
                 FROM platform.webhook_delivery
                WHERE webhook_id = webhook.id
                  AND (state = 'dead' OR state = 'waiting' AND attempts > 1)) AS last ON true
         WHERE webhook.disabled_reason IS NOT NULL OR last.dead + last.retrying > 0
         ORDER BY dead DESC, webhook.id
         LIMIT 100
        """,
    )


async def delete_ended(tx: Tx, *, before: datetime) -> int:
    """Forget deliveries that ended before a moment."""
    return await tx.run("DELETE FROM platform.webhook_delivery WHERE ended_at < %s", (before,))
