"""What colleagues share: the draft, what has been read, and who wrote what."""

from dataclasses import replace

import pytest

from onethread.access.model import PERMISSIONS_OF, SYSTEM, Actor
from onethread.channels.contract import Choice, Content, Location
from onethread.conversations import actions
from onethread.conversations.actions import Say
from onethread.conversations.queries import messages
from onethread.conversations.queries.messages import SharedDraft
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Conflict, NotAllowed
from onethread.platform.db import Database
from tests.kits.world import Call, World

NOTHING = Content()


@pytest.fixture
async def world(database: Database) -> World:
    world = await World.open(database)
    await world.hear(Call("m1", "ana", text="Hello"))
    return world


async def agent(world: World) -> Actor:
    return replace(SYSTEM, kind="agent", id=await world.value("SELECT id FROM access.agent"), name="Olga")


def key(world: World) -> Actor:
    return replace(SYSTEM, kind="key", id=world.brand_id, name="Robot")


async def save(world: World, content: Content, *, seen: int, by: Actor = SYSTEM) -> int:
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        return await actions.save_draft(tx, by, row.id, content, seen=seen, now=utc_now())


async def draft(world: World) -> SharedDraft:
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        return await messages.draft(tx, row.id)


async def test_an_empty_draft_respects_what_was_seen(world: World) -> None:
    assert (await draft(world)).version == 0
    assert await save(world, Content(text="Dear Ana"), seen=0) == 1
    with pytest.raises(Conflict):
        await save(world, NOTHING, seen=0)
    assert (await draft(world)).content == {"text": "Dear Ana"}
    assert await save(world, NOTHING, seen=1) == 2
    assert (await draft(world)).content == {}


async def test_versions_grow_on_after_the_draft_was_sent(world: World) -> None:
    await save(world, Content(text="Dear"), seen=0)
    await save(world, Content(text="Dear Ana"), seen=1)
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        await actions.send(tx, SYSTEM, await world.desks(), row.id, Say(Content(text="Dear Ana")), utc_now())
    now = await draft(world)
    assert (now.version, now.content) == (3, {})
    for stale in (0, 1, 2):
        with pytest.raises(Conflict):
            await save(world, Content(text="Dear An"), seen=stale)
    assert await save(world, Content(text="P.S."), seen=3) == 4


@pytest.mark.parametrize(
    "content",
    [Content(location=Location(13.7, 100.5)), Content(choices=(Choice("Yes", "y"),)), Content(subject="Hats")],
)
async def test_every_shape_of_content_is_a_draft(world: World, content: Content) -> None:
    await save(world, content, seen=0)
    assert (await draft(world)).content


async def test_a_draft_says_who_wrote_it(world: World) -> None:
    await save(world, Content(text="Dear Ana"), seen=0, by=key(world))
    now = await draft(world)
    assert (now.author_kind, now.author_id) == ("key", world.brand_id)


async def test_a_key_reads_for_nobody(world: World) -> None:
    (row,) = await world.inbox()
    with pytest.raises(NotAllowed, match="reads for nobody"):
        async with world.database.transaction() as tx:
            await actions.mark_read(tx, key(world), row.id, upto=1, now=utc_now())
    assert (await world.inbox())[0].unread == 1


async def test_who_may_only_look_clears_nothing_for_others(world: World) -> None:
    (row,) = await world.inbox()
    olga = await agent(world)
    for reader, unread in ((replace(olga, permissions=PERMISSIONS_OF["read_only"]), 1), (olga, 0)):
        async with world.database.transaction() as tx:
            await actions.mark_read(tx, reader, row.id, upto=1, now=utc_now())
        assert (await world.inbox())[0].unread == unread
        assert await world.value("SELECT upto FROM conversations.reading WHERE agent_id = %s", olga.id) == 1


async def test_messages_and_reactions_say_whose_hand_it_was(world: World) -> None:
    (row,) = await world.inbox()
    olga, robot = await agent(world), key(world)
    desk = await world.desks()
    async with world.database.transaction() as tx:
        await actions.send(tx, robot, desk, row.id, Say(Content(text="From a machine")), utc_now())
        await actions.add_note(tx, olga, row.id, "She is right.", utc_now())
    first = (await world.messages(row.id))[0]
    async with world.database.transaction() as tx:
        await actions.react(tx, robot, desk, first.id, "👍", utc_now())
    lines = await world.messages(row.id)
    assert [(line.author_kind, line.author_id) for line in lines] == [
        ("customer", None),
        ("key", robot.id),
        ("agent", olga.id),
    ]
    (reaction,) = lines[0].reactions
    (sent,) = (each for each in lines[1].deliveries)
    assert reaction["by_kind"] == "key"
    for moment in (reaction["at"], sent["due_at"], sent["changed_at"]):
        assert moment.endswith("Z")
