"""An identifier seen for the first time begins a customer; after that it is recognised."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from onethread.customers import actions
from onethread.customers.matching import customer_born_with
from onethread.customers.model import Sighting
from onethread.kernel.errors import NotFound
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import CustomerId, new_id
from onethread.kernel.normal import normalise
from onethread.platform.db import Database, Tx
from tests.cast import ana, bruno, noon, somchai

ANA = normalise("email", ana.email)
BRUNO = normalise("email", bruno.email)
SOMCHAI = normalise("phone", somchai.phone)


def seen(identifier: Identifier, name: str | None = None, *, minutes: int = 0, locale: str | None = None) -> Sighting:
    return Sighting(identifier, name, locale, noon + timedelta(minutes=minutes))


async def test_a_stranger_becomes_a_customer_of_their_own(tx: Tx) -> None:
    known = await actions.recognise(tx, [seen(ANA, "Ana"), seen(SOMCHAI)])
    assert known[ANA].fresh and known[ANA].name == "Ana" and known[ANA].epoch == 0
    assert known[ANA].customer_id == customer_born_with(known[ANA].identifier_id)
    assert known[ANA].customer_id != known[SOMCHAI].customer_id


async def test_the_same_writing_is_recognised_again(tx: Tx) -> None:
    first = await actions.recognise(tx, [seen(ANA, "Ana")])
    again = await actions.recognise(tx, [seen(ANA), seen(BRUNO)])
    assert again[ANA] == replace(first[ANA], fresh=False)
    assert again[BRUNO].fresh


async def test_many_sightings_of_one_identifier_in_a_set_are_one(tx: Tx) -> None:
    known = await actions.recognise(tx, [seen(ANA, "Old", minutes=1), seen(ANA, "New", minutes=2), seen(ANA)])
    assert list(known) == [ANA]
    assert known[ANA].name == "New"


async def test_ids_are_scoped_by_who_gave_them(tx: Tx) -> None:
    one, other = Identifier("messenger", "77", "page-1"), Identifier("messenger", "77", "page-2")
    known = await actions.recognise(tx, [seen(one), seen(other)])
    assert known[one].customer_id != known[other].customer_id


async def test_the_newest_name_and_language_are_kept(tx: Tx) -> None:
    await actions.recognise(tx, [seen(ANA, "Ana", minutes=5, locale="pt")])
    await actions.recognise(tx, [seen(ANA, "Ana Lima", minutes=6)])
    late = await actions.recognise(tx, [seen(ANA, "A.", minutes=1, locale="en")])
    assert (late[ANA].name, late[ANA].locale) == ("Ana Lima", "pt")
    row = await tx.tuples("SELECT name, locale FROM customers.customer WHERE id = %s", (late[ANA].customer_id,))
    assert row == [("Ana Lima", "pt")]


async def test_names_are_made_safe_to_keep(tx: Tx) -> None:
    known = await actions.recognise(tx, [seen(ANA, "\u202eA\x00na\n\ud800" + "x" * 500), seen(BRUNO, "\x00")])
    assert known[ANA].name == "Ana " + "x" * 196
    assert known[BRUNO].name is None


async def test_an_empty_set_asks_nothing(tx: Tx) -> None:
    assert await actions.recognise(tx, []) == {}


async def test_two_at_once_make_one_customer(database: Database) -> None:
    async def come(order: list[Identifier]) -> dict[Identifier, CustomerId]:
        async with database.transaction() as tx:
            known = await actions.recognise(tx, [seen(one, "Hi") for one in order])
            return {identifier: recognised.customer_id for identifier, recognised in known.items()}

    for round_ in range(5):
        people = [Identifier("line", f"U{n}", f"provider-{round_}") for n in range(40)]
        orders = (people, people[::-1], people[10:] + people[:10], people[20:])
        first, *others = await asyncio.gather(*(come(order) for order in orders))
        assert all(customers.items() <= first.items() for customers in others)
    async with database.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM customers.customer") == 5 * 40


async def test_who_comes_second_waits_and_gets_the_first_ones_customer(database: Database) -> None:
    first_done = asyncio.Event()

    async def second() -> CustomerId:
        async with database.transaction() as tx:
            known = await actions.recognise(tx, [seen(ANA)])
            assert first_done.is_set()
            return known[ANA].customer_id

    async with database.transaction() as tx:
        mine = (await actions.recognise(tx, [seen(ANA)]))[ANA].customer_id
        other = asyncio.create_task(second())
        await _until_somebody_waits(database)
        first_done.set()
    assert await other == mine


async def test_if_the_first_gives_up_the_second_is_first(database: Database) -> None:
    class GaveUp(Exception):
        pass

    async def second() -> bool:
        async with database.transaction() as tx:
            return (await actions.recognise(tx, [seen(ANA)]))[ANA].fresh

    with pytest.raises(GaveUp):
        async with database.transaction() as tx:
            await actions.recognise(tx, [seen(ANA)])
            other = asyncio.create_task(second())
            await _until_somebody_waits(database)
            raise GaveUp
    assert await other


async def test_customers_are_held_until_the_end(database: Database) -> None:
    order: list[str] = []
    async with database.transaction() as tx:
        customer = (await actions.recognise(tx, [seen(ANA)]))[ANA].customer_id

    async def second() -> None:
        async with database.transaction() as tx:
            await actions.lock_customers(tx, [customer])
            order.append("second")

    async with database.transaction() as tx:
        assert await actions.lock_customers(tx, [customer, customer]) == {customer: customer}
        other = asyncio.create_task(second())
        await _until_somebody_waits(database)
        order.append("first")
    await other
    assert order == ["first", "second"]


async def test_a_customer_who_never_was_cannot_be_held(tx: Tx) -> None:
    with pytest.raises(NotFound):
        await actions.lock_customers(tx, [CustomerId(new_id())])


async def _until_somebody_waits(database: Database) -> None:
    async with asyncio.timeout(10):
        while not await _waiting(database):  # noqa: ASYNC110  it waits inside PostgreSQL and cannot tell us
            await asyncio.sleep(0.005)


async def _waiting(database: Database) -> bool:
    async with database.transaction() as tx:
        return bool(
            await tx.value(
                """
                SELECT count(*)
                  FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'
                """
            )
        )
