"""A browser used by several people: each sign-in by somebody else begins a new epoch of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from onethread.customers import store_evidence, store_identifier
from onethread.customers.model import (
    BROWSERS,
    EarlierSignIn,
    EvidenceDraft,
    Sighting,
    SignIn,
    needs_new_epoch,
    was_told,
)
from onethread.customers.store_identifier import Epoch
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import IdentifierId
from onethread.platform.db import Tx


async def in_their_epoch(
    tx: Tx, drafts: Sequence[EvidenceDraft], kinds: Mapping[IdentifierId, IdentifierKind]
) -> tuple[list[EvidenceDraft], dict[IdentifierId, IdentifierId]]:
    """Move sign-ins to the epoch of the browser they belong to, opening new ones where needed.

    Returns the drafts without those told before, and the newest epoch of each browser named that is
    another one than was named.
    """
    sides = [(draft.a, draft.b) if kinds[draft.a] in BROWSERS else (draft.b, draft.a) for draft in drafts]
    epochs = await store_identifier.lock_epochs(tx, sorted({browser for browser, _ in sides}))
    whose = await store_identifier.customers_of(tx, sorted({person for _, person in sides}))
    newest = _newest(epochs)
    earlier = await _earlier(tx, epochs)
    settled: list[EvidenceDraft] = []
    for draft, (browser, person) in sorted(zip(drafts, sides, strict=True), key=_in_time):
        sign_in = SignIn(draft, browser, person, whose[person])
        identifier = _identifier(newest[browser])
        if was_told(sign_in, earlier[identifier]):
            continue
        if needs_new_epoch(sign_in, earlier[identifier], epoch=newest[browser].epoch):
            opened = await _open(tx, newest[browser], draft.asserted_at)
            newest |= {given: opened for given in newest if _identifier(newest[given]) == identifier}
        current = newest[browser]
        earlier[identifier].append(
            EarlierSignIn(current.epoch, person, whose[person], draft.kind, draft.source, draft.source_ref)
        )
        settled.append(replace(draft, a=current.id, b=person))
    return settled, {given: epoch.id for given, epoch in newest.items() if epoch.id != given}


async def open_epoch(tx: Tx, identifier_id: IdentifierId, *, at: datetime) -> IdentifierId:
    """Begin a new epoch of a browser, for instance when somebody signs out; return its identifier."""
    epochs = await store_identifier.lock_epochs(tx, [identifier_id])
    return (await _open(tx, _newest(epochs)[identifier_id], at)).id


def _in_time(told: tuple[EvidenceDraft, object]) -> tuple[datetime, str]:
    return told[0].asserted_at, told[0].source_ref


def _newest(epochs: Sequence[Epoch]) -> dict[IdentifierId, Epoch]:
    newest: dict[IdentifierId, Epoch] = {}
    for epoch in epochs:
        if epoch.given not in newest or epoch.epoch > newest[epoch.given].epoch:
            newest[epoch.given] = epoch
    return newest


async def _earlier(tx: Tx, epochs: Sequence[Epoch]) -> dict[Identifier, list[EarlierSignIn]]:
    by_id = {epoch.id: epoch for epoch in epochs}
    found = await store_evidence.sign_ins_on(tx, {id_: epoch.epoch for id_, epoch in by_id.items()})
    earlier: dict[Identifier, list[EarlierSignIn]] = {_identifier(epoch): [] for epoch in epochs}
    for id_, sign_ins in found.items():
        earlier[_identifier(by_id[id_])] += sign_ins
    return earlier


async def _open(tx: Tx, current: Epoch, at: datetime) -> Epoch:
    identifier, number = _identifier(current), current.epoch + 1
    # The lock on the epochs before makes us the only one to count on.
    rows = await store_identifier.insert(tx, [Sighting(identifier, None, None, at)], epoch=number)
    return replace(current, id=rows[identifier].id, epoch=number)


def _identifier(epoch: Epoch) -> Identifier:
    return Identifier(epoch.kind, epoch.value, epoch.scope)
