"""The inbox: views cut by limits, pages that follow each other, a search by words and by any writing."""

from collections.abc import Sequence

import pytest

from onethread.conversations.queries import inbox
from onethread.conversations.queries.inbox import InboxRow, Place, Sought, View
from onethread.conversations.store import messages
from onethread.customers.queries import parse_identifier
from onethread.kernel.ids import AgentId, BrandId, TeamId, new_id
from onethread.platform.db import Database
from tests.cast import somchai
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World

SALES, MINE = TeamId(new_id()), AgentId(new_id())


@pytest.fixture
async def world(database: Database) -> World:
    """A shop that twelve people wrote to about shoes; every third conversation is the sales team's."""
    world = await World.open(database, TinCan(), TinCan("phones", kind="phone"))
    await world.hear(*(Call(f"m{n}", f"customer {n}", text=f"Blue shoes, {n}", name=f"No {n}") for n in range(12)))
    async with database.transaction() as tx:
        await messages.write_found(tx, await tx.values("SELECT id FROM conversations.message"))
        await tx.run(
            "UPDATE conversations.inbox_row SET team_id = %s WHERE conversation_id IN"
            " (SELECT id FROM conversations.conversation WHERE number %% 3 = 0)",
            (SALES,),
        )
    return world


async def walked(world: World, view: View, words: str | None = None) -> list[InboxRow]:
    """Return every row of a view, asked for five at a time."""
    rows: list[InboxRow] = []
    before: Place | None = None
    async with world.database.transaction() as tx:
        while True:
            if words is None:
                page = await inbox.page(tx, view, before=before, limit=5)
            else:
                page = await inbox.matching(tx, view, Sought(words), before=before, limit=5)
            rows += page
            if len(page) < 5:
                return rows
            before = (page[-1].last_message_at, page[-1].id)


def numbers(rows: Sequence[InboxRow]) -> list[int]:
    return [row.number for row in rows]


@pytest.mark.parametrize("words", [None, "blue shoes"])
async def test_pages_follow_each_other_without_a_gap_or_a_repetition(world: World, words: str | None) -> None:
    rows = await walked(world, View(), words)
    assert sorted(numbers(rows)) == list(range(1, 13))
    assert [(row.last_message_at, row.id) for row in rows] == sorted(
        ((row.last_message_at, row.id) for row in rows), reverse=True
    )


@pytest.mark.parametrize("words", [None, "blue shoes"])
async def test_a_view_and_its_lookers_limits_cut_the_list_and_the_search_alike(world: World, words: str | None) -> None:
    of_sales = [3, 6, 9, 12]
    assert sorted(numbers(await walked(world, View(team_id=SALES), words))) == of_sales
    assert sorted(numbers(await walked(world, View(teams=[SALES], own=MINE), words))) == of_sales
    assert len(await walked(world, View(no_team=True), words)) == 8
    assert len(await walked(world, View(status="open", unassigned=True), words)) == 12
    assert await walked(world, View(status="closed"), words) == []
    assert await walked(world, View(assignee_id=MINE), words) == []
    assert await walked(world, View(brands=[BrandId(new_id())]), words) == []
    assert len(await walked(world, View(brands=[world.brand_id], brand_id=world.brand_id), words)) == 12


async def test_a_customers_conversations_are_found_by_the_customer(world: World) -> None:
    one = (await world.inbox())[0]
    assert numbers(await world.inbox(customer_id=one.customer_id)) == [one.number]
    assert numbers(await world.inbox(customer_id=one.customer_id, team_id=TeamId(new_id()))) == []


@pytest.mark.parametrize("written", ["081 234 5678", "+66 81 234 5678", "phone:081-234-5678", "+66812345678"])
async def test_a_phone_number_is_found_in_any_writing(world: World, written: str) -> None:
    await world.hear(Call("p1", somchai.phone, text=somchai.hello), over="phones")
    sought = Sought(written, identifiers=[parse_identifier(written, somchai.country)])
    async with world.database.transaction() as tx:
        (row,) = await inbox.matching(tx, View(), sought, before=None, limit=5)
    assert row.identifier == f"phone:{somchai.phone}"


async def test_a_name_and_a_number_are_found(world: World) -> None:
    async with world.database.transaction() as tx:
        (named,) = await inbox.matching(tx, View(), Sought("no 7"), before=None, limit=5)
        assert named.customer_name == "No 7"
        assert numbers(await inbox.matching(tx, View(), Sought("#9", number=9), before=None, limit=5)) == [9]
