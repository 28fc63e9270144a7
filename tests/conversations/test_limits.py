"""What happens in a conversation names its brand, so that nobody limited to another one hears of it."""

from uuid import UUID, uuid4

import pytest

from onethread.access import events as access_events
from onethread.access.model import SYSTEM
from onethread.channels import actions as channels
from onethread.channels.contract import Content, Health, Outcome, Outgoing, Unreachable, reference_of
from onethread.conversations import actions
from onethread.conversations.actions import Change, Say
from onethread.conversations.queries import telling
from onethread.customers import events as customer_events
from onethread.customers import queries as customers
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import AgentId, BrandId, TeamId
from onethread.platform.db import Database
from onethread.platform.events import store as log
from onethread.platform.events.model import Event
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World

# Agents, teams and customers are the same people for every brand.
OF_THE_ORGANISATION = {name for room in (access_events, customer_events) for name in vars(room)}


def nobody_is_there(_: Outgoing) -> Outcome:
    return Unreachable("There is no such address.", permanent=True)


@pytest.fixture
async def world(database: Database) -> World:
    """A story in which everything happens that the receiver, the sender and the doors announce."""
    can = TinCan()
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"))
    await world.hear(Call("m2", "ana", text="Look", media=["parcel.png"]), Call("x1", "ana", "nonsense"))
    await answer(world)
    await world.send_all()
    await world.hear(
        Call("s1", "ana", "status", target=reference_of(can.sent[0].delivery_id), status="read"),
        Call("r1", "ana", "reaction", target="m1", text="+1"),
        Call("e1", "ana", "edit", target="m1", text="Hello there"),
        Call("o1", "bruno", "stop"),
    )
    can.answer = nobody_is_there
    await answer(world)
    await world.send_all()
    async with database.transaction() as tx:
        await channels.report_health(tx, world.account_ids["tincan"], Health(False, "The password was revoked."))
    return world


async def answer(world: World) -> None:
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        await actions.send(tx, SYSTEM, await world.desks(), row.id, Say(Content(text="Yes")), utc_now())


async def told(world: World, brands: list[BrandId] | None) -> list[Event]:
    async with world.database.transaction() as tx:
        return await log.events_between(tx, 0, 1 << 62, limit=1000, brands=brands)


async def test_every_event_of_a_conversation_an_account_or_a_receipt_names_its_brand(world: World) -> None:
    events = await told(world, None)
    types = {event.type for event in events}
    assert types >= {"DeliveryChanged", "AddressSuppressed", "AccountHealthChanged", "ReceiptParked", "MessageReceived"}
    nameless = {event.type for event in events if event.brand_id is None}
    assert nameless <= OF_THE_ORGANISATION
    assert not [event.type for event in events if event.conversation_id is not None and event.brand_id is None]


async def test_a_stranger_to_the_brand_hears_nothing_of_it(world: World) -> None:
    of_all = {event.type for event in await told(world, [BrandId(uuid4())])}
    mine = {event.type for event in await told(world, [world.brand_id])}
    assert "DeliveryChanged" in mine
    assert of_all <= OF_THE_ORGANISATION


async def test_the_thread_of_a_customer_is_cut_by_the_same_rule(world: World) -> None:
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        insider = await customers.thread(tx, row.customer_id, before=None, limit=100, brands=[world.brand_id])
        outsider = await customers.thread(tx, row.customer_id, before=None, limit=100, brands=[BrandId(uuid4())])
    assert {"MessageReceived", "DeliveryChanged", "AddressSuppressed"} <= {event.type for event in insider}
    assert [event for event in outsider if event.brand_id is not None or event.conversation_id is not None] == []


async def test_frames_go_to_the_brand_and_never_to_the_whole_organisation(world: World) -> None:
    events = [event for event in await told(world, None) if event.brand_id is not None]
    async with world.database.transaction() as tx:
        frames = await telling.frames(tx, events)
    for_agents = [frame for frame in frames if not frame.topics[0].startswith("visitor:")]
    assert len(for_agents) == len(events)
    assert all(f"brand:{world.brand_id}" in frame.topics for frame in for_agents)
    assert not any("organisation" in frame.topics for frame in frames)


async def test_who_had_the_work_hears_that_it_left(world: World) -> None:
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        agent = AgentId(await tx.value("SELECT id FROM access.agent"))
        team = TeamId(uuid4())
        await tx.run("INSERT INTO access.team (id, name, created_at) VALUES (%s, 'Returns', now())", (team,))
        await actions.change(tx, SYSTEM, row.id, Change(assignee_id=agent, team_id=team), utc_now())
        await actions.change(tx, SYSTEM, row.id, Change(assignee_id=None, team_id=None), utc_now())
    events = [event for event in await told(world, None) if event.type == "ConversationAssigned"]
    assert events[-1].payload["before_team_id"] == str(team)
    assert UUID(str(events[-1].payload["before_assignee_id"])) == agent
    async with world.database.transaction() as tx:
        (frame,) = await telling.frames(tx, events[-1:])
    assert {f"team:{team}", f"agent:{agent}"} <= set(frame.topics)
