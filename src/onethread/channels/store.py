"""SQL writes of the channels room."""

from collections.abc import Mapping, Sequence

from psycopg.types.json import Jsonb

from onethread.channels.contract import ReceiptDraft
from onethread.channels.model import KeptReceipt, Settled, lane_of
from onethread.kernel.ids import AccountId, BrandId
from onethread.platform.db import Tx


async def insert_account(
    tx: Tx,
    id_: AccountId,
    *,
    channel: str,
    brand_id: BrandId,
    name: str,
    settings: Mapping[str, str],
    secrets: bytes | None,
) -> None:
    await tx.run(
        """
        INSERT INTO channels.account (id, channel, brand_id, name, settings, secrets)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (id_, channel, brand_id, name, Jsonb(dict(settings)), secrets),
    )


async def update_account(
    tx: Tx,
    id_: AccountId,
    *,
    name: str,
    enabled: bool,
    settings: Mapping[str, str],
    secrets: bytes | None,
) -> None:
    await tx.run(
        """
        UPDATE channels.account
           SET name = %s, enabled = %s, settings = %s, secrets = %s, changed_at = now()
         WHERE id = %s
        """,
        (name, enabled, Jsonb(dict(settings)), secrets, id_),
    )


async def lock_account(tx: Tx, id_: AccountId) -> bool:
    return await tx.value("SELECT true FROM channels.account WHERE id = %s FOR UPDATE", (id_,)) is True


async def set_health(tx: Tx, id_: AccountId, *, well: bool, what: str) -> tuple[str, BrandId] | None:
    """Note how an account is; return its channel and brand when that is news, else None."""
    rows: list[tuple[str, BrandId]] = await tx.tuples(
        """
        UPDATE channels.account
           SET well = %(well)s, health = %(what)s, health_at = now()
         WHERE id = %(id)s AND (well IS DISTINCT FROM %(well)s OR health IS DISTINCT FROM %(what)s)
        RETURNING channel, brand_id
        """,
        {"id": id_, "well": well, "what": what},
    )
    return rows[0] if rows else None


async def set_well(tx: Tx, id_: AccountId) -> tuple[str, BrandId] | None:
    """Note that an account works; return its channel and brand if that is news. A hint it carries stays."""
    rows: list[tuple[str, BrandId]] = await tx.tuples(
        """
        UPDATE channels.account
           SET well = true, health = '', health_at = now()
         WHERE id = %s AND well IS DISTINCT FROM true
        RETURNING channel, brand_id
        """,
        (id_,),
    )
    return rows[0] if rows else None


async def insert_receipts(tx: Tx, receipts: Sequence[tuple[AccountId, ReceiptDraft]]) -> set[tuple[AccountId, str]]:
    """Keep receipts in the given order; return the (account, external id) of those that were new."""
    rows = await tx.tuples(
        """
        INSERT INTO channels.receipt (account_id, external_id, sender, lane, form, body)
        SELECT account_id, external_id, sender, lane, form, body
          FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::smallint[], %b::text[], %b::bytea[])
               AS given (account_id, external_id, sender, lane, form, body)
            ON CONFLICT (account_id, external_id) DO NOTHING
        RETURNING account_id, external_id
        """,
        (
            [account_id for account_id, _ in receipts],
            [draft.external_id for _, draft in receipts],
            [draft.sender for _, draft in receipts],
            [lane_of(draft.sender) for _, draft in receipts],
            [draft.form for _, draft in receipts],
            [draft.body for _, draft in receipts],
        ),
    )
    return {(account_id, external_id) for account_id, external_id in rows}


async def park_request(tx: Tx, account_id: AccountId, external_id: str, body: bytes, reason: str) -> None:
    """Keep a whole request that could not even be cut into receipts."""
    await tx.run(
        """
        INSERT INTO channels.receipt (account_id, external_id, sender, lane, form, body, state, reason, settled_at)
        VALUES (%s, %s, '', 0, 'request', %s, 'parked', %s, now())
            ON CONFLICT (account_id, external_id) DO NOTHING
        """,
        (account_id, external_id, body, reason),
    )


async def claim_lanes(tx: Tx, lanes: Sequence[int]) -> list[int]:
    """Have lanes for the rest of the transaction; return those that nobody else has."""
    # 1869505140 is "onth": our own half of the space of advisory locks.
    return await tx.values(
        "SELECT lane FROM unnest(%b::int[]) AS lane WHERE pg_try_advisory_xact_lock(1869505140, lane)", (list(lanes),)
    )


async def waiting_receipts(tx: Tx, lanes: Sequence[int], *, limit: int, max_bytes: int) -> list[KeptReceipt]:
    """Return the lanes' next due receipts in the order they came, at least one, up to `max_bytes`."""
    # Each lane's own first ones, along the index: however long the queue is, no more than these are read.
    return await tx.all(
        KeptReceipt,
        """
        SELECT seq, account_id, external_id, sender, form, body, received_at, attempts
          FROM (SELECT *, sum(length(body)) OVER (ORDER BY seq) - length(body) AS before
                  FROM (SELECT next.*
                          FROM unnest(%(lanes)b::smallint[]) AS given (lane)
                         CROSS JOIN LATERAL (
                               SELECT seq, account_id, external_id, sender, form, body, received_at, attempts
                                 FROM channels.receipt
                                WHERE state = 'waiting' AND lane = given.lane AND due_at <= now()
                                ORDER BY seq
                                LIMIT %(limit)s) AS next
                         ORDER BY seq
                         LIMIT %(limit)s) AS first) AS measured
         WHERE before <= %(max_bytes)s
         ORDER BY seq
        """,
        {"lanes": list(lanes), "limit": limit, "max_bytes": max_bytes},
    )


async def settle(tx: Tx, settled: Sequence[Settled]) -> None:
    """Write what became of receipts."""
    await tx.run(
        """
        UPDATE channels.receipt
           SET state      = given.state,
               reason     = given.reason,
               attempts   = receipt.attempts + 1,
               due_at     = CASE WHEN given.state = 'waiting'
                                 THEN now() + make_interval(secs => given.retry) ELSE receipt.due_at END,
               settled_at = CASE WHEN given.state = 'waiting' THEN NULL ELSE clock_timestamp() END
          FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::float8[])
               AS given (seq, state, reason, retry)
         WHERE receipt.seq = given.seq
        """,
        (
            [one.seq for one in settled],
            [one.state for one in settled],
            [one.reason for one in settled],
            [one.retry_seconds for one in settled],
        ),
    )


async def revive_receipts(
    tx: Tx, seqs: Sequence[int] | None, *, account_id: AccountId | None, brands: Sequence[BrandId] | None
) -> list[int]:
    """Set parked receipts (all of them for None) of the brands waiting again; return their lanes."""
    return await tx.values(
        """
        WITH revived AS (
            UPDATE channels.receipt
               SET state = 'waiting', reason = NULL, settled_at = NULL, attempts = 0, due_at = '-infinity'
             WHERE state = 'parked' AND form <> 'request'
               AND (%(seqs)s::bigint[] IS NULL OR seq = ANY (%(seqs)s::bigint[]))
               AND (%(account)s::uuid IS NULL OR account_id = %(account)s::uuid)
               AND (%(brands)s::uuid[] IS NULL
                    OR account_id IN (SELECT id FROM channels.account WHERE brand_id = ANY (%(brands)s::uuid[])))
            RETURNING lane
        )
        SELECT lane FROM revived
        """,
        {"seqs": None if seqs is None else list(seqs), "account": account_id, "brands": brands},
    )


async def dismiss_receipts(tx: Tx, seqs: Sequence[int], *, brands: Sequence[BrandId] | None) -> int:
    return await tx.run(
        """
        UPDATE channels.receipt SET state = 'dismissed', settled_at = now()
         WHERE state = 'parked' AND seq = ANY (%(seqs)s::bigint[])
           AND (%(brands)s::uuid[] IS NULL
                OR account_id IN (SELECT id FROM channels.account WHERE brand_id = ANY (%(brands)s::uuid[])))
        """,
        {"seqs": list(seqs), "brands": brands},
    )


async def save_state(tx: Tx, account_id: AccountId, key: str, value: object) -> None:
    await tx.run(
        """
        INSERT INTO channels.door_state (account_id, key, value) VALUES (%s, %s, %s)
            ON CONFLICT (account_id, key) DO UPDATE SET value = excluded.value, saved_at = now()
        """,
        (account_id, key, Jsonb(value)),
    )


async def lanes_with_work(tx: Tx) -> list[int]:
    return await tx.values("SELECT DISTINCT lane FROM channels.receipt WHERE state = 'waiting' AND due_at <= now()")
