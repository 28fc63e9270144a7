"""What can be done with identity: recognise, believe evidence, take it back, tell people apart."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from onethread.customers import store_identifier
from onethread.customers.model import Recognised, Sighting
from onethread.customers.store_identifier import Row
from onethread.kernel.errors import NotFound
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import CustomerId, IdentifierId
from onethread.kernel.text import one_line
from onethread.platform.db import Tx

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
