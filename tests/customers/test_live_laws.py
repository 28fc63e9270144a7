"""The identity laws on the live tables: whatever is done in whatever order, they equal a rebuild."""

import random
from datetime import timedelta
from uuid import UUID

import pytest

from onethread.customers import actions
from onethread.customers.matching import customer_born_with
from onethread.customers.model import STRENGTH, EvidenceDraft
from onethread.customers.rebuild import differences, repair
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import EvidenceId, IdentifierId
from onethread.platform.db import Tx
from tests.cast import noon
from tests.conftest import CHAOS
from tests.customers.people import AGENT, come, customer_of, statement
from tests.customers.worlds import KINDS

WORLDS = range(400 if CHAOS else 12)


@pytest.mark.parametrize("seed", WORLDS)
async def test_the_tables_always_equal_a_rebuild_from_evidence(tx: Tx, seed: int) -> None:
    chance = random.Random(seed)
    await tx.run("UPDATE customers.rule SET shared_above = 2, most_in_group = 7")
    ids = await come(tx, *_identifiers(chance, 14))
    told: list[EvidenceId] = []
    marked: list[UUID] = []
    for step in range(25):
        now = noon + timedelta(minutes=step)
        act = chance.choices(["tell", "revoke", "mark", "unmark"], [6, 3, 1, 1])[0]
        if act == "tell":
            result = await actions.assert_evidence(tx, _statements(chance, ids, chance.randint(1, 4)))
            told += result.added
            ids += result.epoch_of.values()
        elif act == "revoke" and told:
            some = chance.sample(told, min(len(told), chance.randint(1, 3)))
            await actions.revoke_evidence(tx, some, reason="No.", by=AGENT, now=now)
        elif act == "mark":
            pair = tuple(chance.sample(ids, 2))
            marked.append(await actions.mark_not_same(tx, *pair, reason="No.", by=AGENT, now=now))
        elif act == "unmark" and marked:
            await actions.unmark(tx, chance.sample(marked, 1), by=AGENT, now=now)
        assert await differences(tx) == [], f"after {act}, step {step}"
    await _every_id_resolves(tx, ids)


@pytest.mark.parametrize("seed", WORLDS)
async def test_any_order_and_batching_ends_the_same(tx: Tx, seed: int) -> None:
    chance = random.Random(1000 + seed)
    ids = await come(tx, *(i for i in _identifiers(chance, 12) if i.kind != "visitor"))
    statements = _statements(chance, ids, 16)
    ends = []
    for order in range(3):
        pile = statements + chance.sample(statements, 4)
        if order:
            chance.shuffle(pile)
        ends.append(await _after(tx, pile, chance))
    assert ends[0] == ends[1] == ends[2]


class _Undo(Exception):
    pass


async def _after(tx: Tx, pile: list[EvidenceDraft], chance: random.Random) -> list[tuple]:
    """Return everything derived once the pile is told in some batches; nothing of it stays."""
    found: list[tuple] = []
    try:
        async with tx.savepoint():
            await tx.run("UPDATE customers.rule SET shared_above = 2, most_in_group = 6")
            while pile:
                size = chance.randint(1, 5)
                await actions.assert_evidence(tx, pile[:size])
                pile = pile[size:]
            found = await tx.tuples("SELECT id, customer_id, shared FROM customers.identifier ORDER BY id")
            found += await tx.tuples("SELECT id, suppressed FROM customers.evidence ORDER BY id")
            found += await tx.tuples("SELECT id, superseded_by, name FROM customers.customer ORDER BY id")
            raise _Undo
    except _Undo:
        return found


async def _every_id_resolves(tx: Tx, ids: list[IdentifierId]) -> None:
    now = await actions.lock_customers(tx, [customer_born_with(id_) for id_ in ids])
    for id_ in ids:
        assert now[customer_born_with(id_)] == await customer_of(tx, id_)


def _identifiers(chance: random.Random, most: int) -> list[Identifier]:
    return [Identifier(chance.choice(KINDS), f"value-{n}", chance.choice(["", "b"])) for n in range(most)]


def _statements(chance: random.Random, ids: list[IdentifierId], number: int) -> list[EvidenceDraft]:
    kinds = list(STRENGTH)
    pairs = [chance.sample(ids, 2) for _ in range(number)]
    return [statement(a, b, chance.choice(kinds), source=chance.choice(["web", "till"])) for a, b in pairs]


@pytest.mark.parametrize("seed", WORLDS)
async def test_after_a_change_of_rules_a_repair_brings_all_in_line(tx: Tx, seed: int) -> None:
    chance = random.Random(2000 + seed)
    await tx.run("UPDATE customers.rule SET shared_above = 2, most_in_group = 7")
    ids = await come(tx, *_identifiers(chance, 14))
    await actions.assert_evidence(tx, _statements(chance, ids, 24))
    await tx.run(
        "UPDATE customers.rule SET link_strength = %s, shared_above = %s",
        (chance.choice([10, 20, 50, 70]), chance.choice([1, 2, 4])),
    )
    await tx.run("INSERT INTO customers.source_rule (source, link_strength) VALUES ('till', 60)")
    await repair(tx, by=AGENT, now=noon)
    assert await differences(tx) == []
    assert await repair(tx, by=AGENT, now=noon) == 0


async def test_a_rebuild_finds_what_somebody_broke(tx: Tx) -> None:
    mail, other = await come(tx, Identifier("email", "a@example.com"), Identifier("email", "b@example.com"))
    await tx.run("UPDATE customers.identifier SET customer_id = %s WHERE id = %s", (customer_born_with(mail), other))
    assert [(found.what, found.id) for found in await differences(tx)] == [("customer of", other)]
    await repair(tx, by=AGENT, now=noon)
    assert await differences(tx) == []
