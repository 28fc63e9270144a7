"""SQL reads of the channels room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.channels.model import KeptReceipt, ReceiptLine, ReceiptState
from onethread.kernel.ids import AccountId, BrandId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is stored; `secrets` is still encrypted."""

    id: AccountId
    channel: str
    brand_id: BrandId
    name: str
    settings: Mapping[str, str]
    secrets: bytes | None
    enabled: bool
    well: bool | None
    health: str
    health_at: datetime | None
    created_at: datetime
    changed_at: datetime


async def accounts(tx: Tx) -> list[AccountRow]:
    """Return every account, oldest first."""
    return await tx.all(
        AccountRow,
        """
        SELECT id, channel, brand_id, name, settings, secrets, enabled, well, health, health_at,
               created_at, changed_at
          FROM channels.account
         ORDER BY created_at, id
        """,
    )


async def brands_of_accounts(tx: Tx, account_ids: Sequence[AccountId]) -> dict[AccountId, BrandId]:
    """Return whose accounts these are."""
    rows: list[tuple[AccountId, BrandId]] = await tx.tuples(
        "SELECT id, brand_id FROM channels.account WHERE id = ANY (%s::uuid[])", (list(account_ids),)
    )
    return dict(rows)


async def parked_count(tx: Tx) -> int:
    """Return how many receipts wait for a person, 1,000 at the most."""
    value = await tx.value(
        "SELECT count(*) FROM (SELECT 1 FROM channels.receipt WHERE state = 'parked' LIMIT 1000) AS capped"
    )
    return int(value)


async def oldest_waiting(tx: Tx) -> datetime | None:
    """Return when the oldest receipt that is not applied yet came in."""
    moment: datetime | None = await tx.value(
        "SELECT received_at FROM channels.receipt WHERE state = 'waiting' ORDER BY received_at LIMIT 1"
    )
    return moment


async def receipts(
    tx: Tx,
    *,
    state: ReceiptState | None,
    account_id: AccountId | None,
    before: int | None,
    limit: int,
    brands: Sequence[BrandId] | None = None,
) -> list[ReceiptLine]:
    """Return receipts, newest first; `before` is the seq where the last page ended, `brands` None every brand."""
    return await tx.all(
        ReceiptLine,
        """
        SELECT receipt.seq, receipt.account_id, account.channel, receipt.external_id, receipt.form,
               length(receipt.body) AS size, receipt.state, receipt.reason, receipt.attempts,
               receipt.received_at, receipt.settled_at
          FROM channels.receipt
          JOIN channels.account ON account.id = receipt.account_id
         WHERE (%(state)s::text IS NULL OR receipt.state = %(state)s)
           AND (%(account)s::uuid IS NULL OR receipt.account_id = %(account)s::uuid)
           AND (%(before)s::bigint IS NULL OR receipt.seq < %(before)s)
           AND (%(brands)s::uuid[] IS NULL OR account.brand_id = ANY (%(brands)s::uuid[]))
         ORDER BY receipt.seq DESC
         LIMIT %(limit)s
        """,
        {"state": state, "account": account_id, "before": before, "limit": limit, "brands": brands},
    )


async def receipt(tx: Tx, seq: int) -> KeptReceipt | None:
    return await tx.one(
        KeptReceipt,
        """
        SELECT seq, account_id, external_id, sender, form, body, received_at, attempts
          FROM channels.receipt
         WHERE seq = %s
        """,
        (seq,),
    )


async def receipt_line(tx: Tx, seq: int, *, brands: Sequence[BrandId] | None) -> ReceiptLine | None:
    return await tx.one(
        ReceiptLine,
        """
        SELECT receipt.seq, receipt.account_id, account.channel, receipt.external_id, receipt.form,
               length(receipt.body) AS size, receipt.state, receipt.reason, receipt.attempts,
               receipt.received_at, receipt.settled_at
          FROM channels.receipt
          JOIN channels.account ON account.id = receipt.account_id
         WHERE receipt.seq = %(seq)s
           AND (%(brands)s::uuid[] IS NULL OR account.brand_id = ANY (%(brands)s::uuid[]))
        """,
        {"seq": seq, "brands": brands},
    )


async def load_state(tx: Tx, account_id: AccountId, key: str) -> object | None:
    """Return what a door remembered, or None."""
    value: object | None = await tx.value(
        "SELECT value FROM channels.door_state WHERE account_id = %s AND key = %s", (account_id, key)
    )
    return value
