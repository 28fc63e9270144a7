"""Verbs of the channels room: set up accounts, keep their health, settle and replay receipts."""

from collections.abc import Mapping, Sequence

from onethread.access.actions.audit import record_audit
from onethread.access.model import Actor
from onethread.channels import queries, store
from onethread.channels.accounts import open_secrets, seal_secrets
from onethread.channels.contract import Declaration, Health
from onethread.channels.events import AccountChanged, AccountHealthChanged, ReceiptParked
from onethread.channels.model import (
    AccountLine,
    CheckedSettings,
    KeptReceipt,
    ReceiptLine,
    ReceiptState,
    Settled,
    check_settings,
)
from onethread.channels.queries import AccountRow, load_state
from onethread.channels.store import claim_lanes, lanes_with_work, save_state, settle
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Invalid, NotFound
from onethread.kernel.ids import AccountId, BrandId, new_id
from onethread.platform.db import Tx
from onethread.platform.events import log as events
from onethread.platform.events.model import BY_SYSTEM, EventDraft
from onethread.platform.secrets import Secrets

__all__ = [
    "add_account",
    "change_account",
    "claim_lanes",
    "dismiss_receipts",
    "get_account",
    "get_receipt",
    "lanes_with_work",
    "list_accounts",
    "list_receipts",
    "load_state",
    "replay_receipts",
    "report_health",
    "report_well",
    "save_state",
    "settle_receipts",
    "waiting_receipts",
]

_LANE_BATCH = 400  # receipts of some lanes applied in one transaction
_LANE_BYTES = 8 * 1024 * 1024


async def add_account(
    tx: Tx,
    actor: Actor,
    declaration: Declaration,
    *,
    brand_id: BrandId,
    name: str,
    settings: Mapping[str, str],
    secrets: Secrets,
) -> AccountLine:
    """Set up an account of a channel. Raises Invalid naming every setting that is not right."""
    actor.require("accounts.manage")
    actor.require_brand(brand_id)
    if not name.strip():
        raise Invalid("An account needs a name.", field="name")
    checked = check_settings(declaration, settings, CheckedSettings({}, {}))
    account_id = AccountId(new_id())
    await store.insert_account(
        tx,
        account_id,
        channel=declaration.name,
        brand_id=brand_id,
        name=name.strip(),
        settings=checked.open,
        secrets=seal_secrets(dict(checked.secret), secrets),
    )
    await _tell_changed(tx, actor, account_id, declaration.name, brand_id, enabled=True, verb="account.added")
    return await get_account(tx, actor, account_id, secrets=secrets)


async def change_account(
    tx: Tx,
    actor: Actor,
    declaration: Declaration,
    account_id: AccountId,
    *,
    name: str | None = None,
    enabled: bool | None = None,
    settings: Mapping[str, str] | None = None,
    secrets: Secrets,
) -> AccountLine:
    """Change what is given and keep the rest; a setting given as empty text is taken away."""
    actor.require("accounts.manage")
    await store.lock_account(tx, account_id)
    row = await _row(tx, actor, account_id)
    kept = CheckedSettings(row.settings, open_secrets(row.secrets, secrets))
    checked = check_settings(declaration, settings or {}, kept)
    await store.update_account(
        tx,
        account_id,
        name=(name or row.name).strip(),
        enabled=row.enabled if enabled is None else enabled,
        settings=checked.open,
        secrets=seal_secrets(dict(checked.secret), secrets),
    )
    now_enabled = row.enabled if enabled is None else enabled
    await _tell_changed(tx, actor, account_id, row.channel, row.brand_id, enabled=now_enabled, verb="account.changed")
    return await get_account(tx, actor, account_id, secrets=secrets)


async def list_accounts(tx: Tx, actor: Actor, *, secrets: Secrets) -> list[AccountLine]:
    actor.require("accounts.read")
    return [_line(row, secrets) for row in await queries.accounts(tx) if actor.sees_brand(row.brand_id)]


async def get_account(tx: Tx, actor: Actor, account_id: AccountId, *, secrets: Secrets) -> AccountLine:
    actor.require("accounts.read")
    return _line(await _row(tx, actor, account_id), secrets)


async def report_health(tx: Tx, account_id: AccountId, health: Health) -> None:
    """Note how an account is doing; announce it when it changed."""
    changed = await store.set_health(tx, account_id, well=health.well, what=health.what)
    await _tell_health(tx, account_id, health, changed)


async def report_well(tx: Tx, account_id: AccountId) -> None:
    """Note that an account just worked; announce it when it did not before."""
    await _tell_health(tx, account_id, Health(True), await store.set_well(tx, account_id))


async def _tell_health(tx: Tx, account_id: AccountId, health: Health, changed: tuple[str, BrandId] | None) -> None:
    if changed is not None:
        channel, brand_id = changed
        fact = AccountHealthChanged(account_id, channel, health.well, health.what)
        await events.append(tx, [EventDraft(fact, utc_now(), BY_SYSTEM, brand_id=brand_id)])


async def waiting_receipts(tx: Tx, lanes: Sequence[int]) -> tuple[list[KeptReceipt], bool]:
    """Return the lanes' next receipts in order, and whether there may be more; the caller must have the lanes."""
    receipts = await store.waiting_receipts(tx, lanes, limit=_LANE_BATCH, max_bytes=_LANE_BYTES)
    size = sum(len(receipt.body) for receipt in receipts)
    return receipts, len(receipts) == _LANE_BATCH or size > _LANE_BYTES


async def settle_receipts(tx: Tx, settled: Sequence[Settled], receipts: Mapping[int, KeptReceipt]) -> None:
    """Write what became of receipts and announce those that were parked."""
    await settle(tx, settled)
    parked = [(receipts[one.seq].account_id, one) for one in settled if one.state == "parked"]
    if not parked:
        return
    now = utc_now()
    brand_of = await queries.brands_of_accounts(tx, [account_id for account_id, _ in parked])
    await events.append(
        tx,
        [
            EventDraft(
                ReceiptParked(account_id, one.seq, one.reason or ""), now, BY_SYSTEM, brand_id=brand_of[account_id]
            )
            for account_id, one in parked
        ],
    )


async def list_receipts(
    tx: Tx,
    actor: Actor,
    *,
    state: ReceiptState | None,
    account_id: AccountId | None,
    before: int | None,
    limit: int,
) -> list[ReceiptLine]:
    actor.require("receipts.read")
    return await queries.receipts(
        tx, state=state, account_id=account_id, before=before, limit=limit, brands=_brands(actor)
    )


async def get_receipt(tx: Tx, actor: Actor, seq: int) -> tuple[ReceiptLine, KeptReceipt]:
    """Return a receipt with what came. Raises NotFound."""
    actor.require("receipts.replay")
    line = await queries.receipt_line(tx, seq, brands=_brands(actor))
    kept = await queries.receipt(tx, seq) if line is not None else None
    if line is None or kept is None:
        raise NotFound("There is no such receipt.")
    return line, kept


async def replay_receipts(
    tx: Tx, actor: Actor, seqs: Sequence[int] | None, *, account_id: AccountId | None = None
) -> list[int]:
    """Let parked receipts (every one for None) be applied again; return the lanes that have work now.

    A request that could not even be cut into receipts cannot be replayed: it stays parked to be read.
    """
    actor.require("receipts.replay")
    lanes = await store.revive_receipts(tx, seqs, account_id=account_id, brands=_brands(actor))
    await record_audit(tx, actor, "receipts.replayed", "receipt", None, after={"count": len(lanes)})
    return lanes


async def dismiss_receipts(tx: Tx, actor: Actor, seqs: Sequence[int]) -> int:
    """Say of parked receipts that nothing is to be done with them; return how many."""
    actor.require("receipts.replay")
    count = await store.dismiss_receipts(tx, seqs, brands=_brands(actor))
    await record_audit(tx, actor, "receipts.dismissed", "receipt", None, after={"count": count})
    return count


def _brands(actor: Actor) -> list[BrandId] | None:
    return None if actor.brands is None else sorted(actor.brands)


async def _row(tx: Tx, actor: Actor, account_id: AccountId) -> AccountRow:
    for row in await queries.accounts(tx):
        if row.id == account_id and actor.sees_brand(row.brand_id):
            return row
    raise NotFound("There is no such account.")


async def _tell_changed(
    tx: Tx,
    actor: Actor,
    account_id: AccountId,
    channel: str,
    brand_id: BrandId,
    *,
    enabled: bool,
    verb: str,
) -> None:
    fact = AccountChanged(account_id, channel, enabled)
    await events.append(tx, [EventDraft(fact, utc_now(), actor.by, brand_id=brand_id)])
    await record_audit(tx, actor, verb, "account", account_id, after={"channel": channel, "enabled": enabled})


def _line(row: AccountRow, secrets: Secrets) -> AccountLine:
    return AccountLine(
        id=row.id,
        channel=row.channel,
        brand_id=row.brand_id,
        name=row.name,
        settings=row.settings,
        secrets_set=tuple(sorted(open_secrets(row.secrets, secrets))),
        enabled=row.enabled,
        well=row.well,
        health=row.health,
        health_at=row.health_at,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
