"""What can be done with identity: recognise, believe evidence, take it back, tell people apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from onethread.customers import events, store_evidence, store_identifier
from onethread.customers.epochs import in_their_epoch, open_epoch
from onethread.customers.model import (
    BROWSERS,
    SIGN_INS,
    Asserted,
    Cause,
    EvidenceDraft,
    Recognised,
    Sighting,
    in_words,
)
from onethread.customers.settling import settle
from onethread.customers.store_identifier import Row
from onethread.kernel.errors import Conflict, NotFound
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import CustomerId, EvidenceId, IdentifierId
from onethread.kernel.text import one_line
from onethread.platform.db import Tx
from onethread.platform.events.log import append
from onethread.platform.events.model import By, EventDraft

__all__ = [
    "assert_evidence",
    "block_value",
    "lock_customers",
    "mark_not_same",
    "open_epoch",
    "recognise",
    "revoke_evidence",
    "unblock_value",
    "unmark",
]

_MOST_NAME = 200
_MOST_LOCALE = 35  # characters, RFC 5646 4.4.1


async def recognise(tx: Tx, sightings: Sequence[Sighting]) -> dict[Identifier, Recognised]:
    """Return every identifier seen as we know it, keeping the new ones with a customer each.

    Takes a set with a fixed number of statements. Two transactions that see the same new identifier at
    once end with the same one: the second waits for the first.
    """
    seen = _newest_of_each(sightings)
    wanted = list(seen)
    kept = await store_identifier.find(tx, wanted)
    missing = [sighting for identifier, sighting in seen.items() if identifier not in kept]
    fresh = await store_identifier.insert(tx, missing) if missing else {}
    if len(fresh) < len(missing):
        lost = [sighting.identifier for sighting in missing if sighting.identifier not in fresh]
        kept |= await store_identifier.find(tx, lost)
    await _observe(tx, seen, kept)
    known = {identifier: _recognised(identifier, row, seen[identifier]) for identifier, row in kept.items()}
    return known | {i: _recognised(i, row, seen[i], fresh=True) for i, row in fresh.items()}


def _newest_of_each(sightings: Iterable[Sighting]) -> dict[Identifier, Sighting]:
    newest: dict[Identifier, Sighting] = {}
    for raw in sightings:
        name = one_line(raw.name, most=_MOST_NAME) or None if raw.name else None
        locale = one_line(raw.locale, most=_MOST_LOCALE) or None if raw.locale else None
        sighting = Sighting(raw.identifier, name, locale, raw.seen_at)
        before = newest.get(raw.identifier)
        newest[raw.identifier] = sighting if before is None else _folded(before, sighting)
    return newest


def _folded(one: Sighting, other: Sighting) -> Sighting:
    old, new = sorted((one, other), key=lambda sighting: sighting.seen_at)
    return replace(new, name=new.name or old.name, locale=new.locale or old.locale)


async def _observe(tx: Tx, seen: dict[Identifier, Sighting], kept: dict[Identifier, Row]) -> None:
    """Write down what differs from what we knew, and only that: most sightings tell nothing new."""
    news: list[tuple[IdentifierId, Sighting]] = []
    for identifier, row in kept.items():
        sighting = seen[identifier]
        name = sighting.name if sighting.name != row.name else None
        locale = sighting.locale if sighting.locale != row.locale else None
        if name or locale:
            news.append((row.id, Sighting(identifier, name, locale, sighting.seen_at)))
    if news:
        touched = await store_identifier.observe(tx, news)
        await store_identifier.fold_profiles(tx, touched)
        at = max(sighting.seen_at for _, sighting in news)
        await append(tx, [EventDraft(events.CustomerRenamed(customer_id), at) for customer_id in sorted(touched)])


def _recognised(identifier: Identifier, row: Row, sighting: Sighting, *, fresh: bool = False) -> Recognised:
    name_is_newer = sighting.name is not None and (row.name_at is None or sighting.seen_at >= row.name_at)
    locale_is_newer = sighting.locale is not None and (row.locale_at is None or sighting.seen_at >= row.locale_at)
    return Recognised(
        identifier=identifier,
        identifier_id=row.id,
        customer_id=row.customer_id,
        epoch=row.epoch,
        blocked=row.blocked,
        name=sighting.name if name_is_newer else row.name,
        locale=sighting.locale if locale_is_newer else row.locale,
        fresh=fresh,
    )


async def lock_customers(tx: Tx, customer_ids: Iterable[CustomerId]) -> dict[CustomerId, CustomerId]:
    """Hold customers until the end of the transaction; return what each of the ids stands for now.

    Rows are locked in the order of their ids, so that two transactions that hold several customers
    never wait for each other. Assert evidence before, not while, holding customers.
    Raises NotFound for an id that was never given.
    """
    current: dict[CustomerId, CustomerId] = {}
    asked = {id_: id_ for id_ in customer_ids}
    while asked:
        held = await store_identifier.lock_customers(tx, sorted(set(asked.values())))
        if missing := set(asked.values()) - held.keys():
            raise NotFound("There is no such customer.", customer_id=str(min(missing)))
        # Superseded between recognition and lock: hold the one it stands for instead.
        onward: dict[CustomerId, CustomerId] = {}
        for id_, now in asked.items():
            successor = held[now]
            if successor is None:
                current[id_] = now
            else:
                onward[id_] = successor
        asked = onward
    return current


async def assert_evidence(tx: Tx, drafts: Sequence[EvidenceDraft]) -> Asserted:
    """Believe a set of evidence: what is strong enough joins, the rest suggests.

    Telling the same again changes nothing, and neither does joining somebody with themselves. A sign-in
    on a browser on which somebody else had signed in goes to a new epoch of that browser.
    Raises NotFound for an identifier that is not kept.
    """
    meant = [draft for draft in drafts if draft.a != draft.b]
    named = sorted({end for draft in drafts for end in draft.ends})
    kinds = await store_identifier.kinds_of(tx, named)
    if missing := set(named) - kinds.keys():
        raise NotFound("There is no such identifier.", identifier_id=str(min(missing)))
    sign_ins = [draft for draft in meant if _is_sign_in(draft, kinds)]
    added = await _add(tx, [draft for draft in meant if not _is_sign_in(draft, kinds)])
    epoch_of: dict[IdentifierId, IdentifierId] = {}
    if sign_ins:
        settled, epoch_of = await in_their_epoch(tx, sign_ins, kinds)
        added |= await _add(tx, settled)
    customer_of = await store_identifier.customers_of(tx, [*named, *epoch_of.values()])
    return Asserted(frozenset(added), customer_of, epoch_of)


def _is_sign_in(draft: EvidenceDraft, kinds: Mapping[IdentifierId, IdentifierKind]) -> bool:
    """Tell whether somebody known by a lasting identifier signed in on a browser."""
    return draft.kind in SIGN_INS and (kinds[draft.a] in BROWSERS) != (kinds[draft.b] in BROWSERS)


async def _add(tx: Tx, drafts: Sequence[EvidenceDraft]) -> set[EvidenceId]:
    if not drafts:
        return set()
    fresh = set(await store_evidence.insert_evidence(tx, drafts))
    new = {draft.id: draft for draft in drafts if draft.id in fresh}
    if not new:
        return fresh
    causes = [Cause(id_, *draft.ends, draft.reason) for id_, draft in new.items()]
    last = max(new.values(), key=lambda draft: draft.asserted_at)
    told = [_evidence_added(draft) for draft in new.values()]
    told += await settle(tx, causes, at=last.asserted_at, by=last.by)
    for weak in await store_evidence.suggested_by(tx, list(new)):
        fact = events.SuggestionMade(weak.evidence_id, weak.customer_id, weak.other_customer_id, weak.reason)
        told.append(EventDraft(fact, last.asserted_at, by=last.by, identifier_id=weak.a))
    await append(tx, told)
    return fresh


def _evidence_added(draft: EvidenceDraft) -> EventDraft:
    low, high = draft.ends
    fact = events.EvidenceAdded(draft.id, low, high, draft.kind, draft.reason)
    return EventDraft(fact, draft.asserted_at, by=draft.by, identifier_id=draft.a)


async def revoke_evidence(tx: Tx, ids: Sequence[EvidenceId], *, reason: str, by: By, now: datetime) -> None:
    """Take evidence back: everybody is who they would be without it. What is revoked already stays so.

    Raises NotFound for evidence that never was.
    """
    revoked = await store_evidence.revoke_evidence(tx, ids, at=now, by=in_words(by), reason=reason)
    if missing := set(ids) - await store_evidence.known_evidence(tx, ids):
        raise NotFound("There is no such evidence.", evidence_id=str(min(missing)))
    if not revoked:
        return
    causes = [Cause(ends.id, ends.a, ends.b, reason) for ends in revoked]
    loosened = {end for ends in revoked for end in (ends.a, ends.b)}
    told = [
        EventDraft(events.EvidenceRevoked(EvidenceId(e.id), e.a, e.b, reason), now, by=by, identifier_id=e.a)
        for e in revoked
    ]
    told += await settle(tx, causes, at=now, by=by, loosened=loosened)
    await append(tx, told)


async def mark_not_same(tx: Tx, a: IdentifierId, b: IdentifierId, *, reason: str, by: By, now: datetime) -> UUID:
    """Remember that two identifiers are not one person, whatever any evidence says; return the mark.

    Raises NotFound for an identifier that is not kept, Conflict for one and the same.
    """
    if a == b:
        raise Conflict("An identifier cannot be told apart from itself.")
    if len(await store_identifier.kinds_of(tx, [a, b])) < len((a, b)):
        raise NotFound("There is no such identifier.")
    mark, fresh = await store_evidence.insert_mark(tx, a, b, reason=reason, by=in_words(by), at=now)
    if fresh:
        told = [EventDraft(events.NotSameMarked(a, b, reason), now, by=by, identifier_id=a)]
        told += await settle(tx, [Cause(mark, a, b, reason)], at=now, by=by)
        await append(tx, told)
    return mark


async def unmark(tx: Tx, marks: Sequence[UUID], *, by: By, now: datetime) -> None:
    """Take marks back: what they kept apart may join again. Raises NotFound for a mark that never was."""
    lifted = await store_evidence.revoke_marks(tx, marks, by=in_words(by), at=now)
    if missing := set(marks) - await store_evidence.known_marks(tx, marks):
        raise NotFound("There is no such mark.", mark_id=str(min(missing)))
    if not lifted:
        return
    told = [EventDraft(events.NotSameUnmarked(mark.a, mark.b), now, by=by, identifier_id=mark.a) for mark in lifted]
    reason = "They are no longer marked as different people."
    told += await settle(tx, [Cause(mark.id, mark.a, mark.b, reason) for mark in lifted], at=now, by=by)
    await append(tx, told)


async def block_value(tx: Tx, kind: IdentifierKind, value: str, *, reason: str, by: By, now: datetime) -> None:
    """Say that a normalised value stands for nobody: identifiers with it stand alone from now on."""
    await store_identifier.block_value(tx, kind, value.lower(), reason=reason, by=in_words(by), at=now)
    flagged = await store_identifier.flag_blocked(tx, kind, value.lower(), blocked=True)
    await _settle_alone(tx, flagged, reason, by=by, now=now)


async def unblock_value(tx: Tx, kind: IdentifierKind, value: str, *, by: By, now: datetime) -> None:
    """Take a value from that list again. Raises NotFound when it is not on it."""
    if not await store_identifier.unblock_value(tx, kind, value.lower()):
        raise NotFound("This value is not blocked.")
    flagged = await store_identifier.flag_blocked(tx, kind, value.lower(), blocked=False)
    await _settle_alone(tx, flagged, "This value is no longer blocked.", by=by, now=now)


async def _settle_alone(tx: Tx, identifier_ids: Sequence[IdentifierId], reason: str, *, by: By, now: datetime) -> None:
    if identifier_ids:
        causes = [Cause(id_, id_, id_, reason) for id_ in identifier_ids]
        await append(tx, await settle(tx, causes, at=now, by=by))
