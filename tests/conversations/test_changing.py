"""Changing a conversation: parts at the same moment, permissions of each part, and what does not go together."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from onethread.access.actions.teams import create_team
from onethread.access.model import SYSTEM
from onethread.conversations import actions
from onethread.conversations.actions import Change
from onethread.conversations.api_conversations import ChangeBody
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Invalid, NotAllowed
from onethread.platform.db import Database
from tests.kits.world import Call, World


@pytest.fixture
async def world(database: Database) -> World:
    world = await World.open(database)
    await world.hear(Call("m1", "ana", text="Hello"))
    return world


async def change(world: World, **parts: Any) -> None:
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        await actions.change(tx, SYSTEM, row.id, Change(**parts), utc_now())


async def test_an_agent_and_a_team_given_at_the_same_moment_both_last(world: World) -> None:
    agent_id = await world.value("SELECT id FROM access.agent")
    async with world.database.transaction() as tx:
        team = await create_team(tx, SYSTEM, name="Orders", members=[], now=utc_now())
    for _ in range(5):
        await asyncio.gather(change(world, assignee_id=agent_id), change(world, team_id=team.id))
        (row,) = await world.inbox()
        assert (row.assignee_id, row.team_id) == (agent_id, team.id)
        await change(world, assignee_id=None, team_id=None)


async def test_each_part_needs_its_own_permission_and_nothing_is_written_by_halves(world: World) -> None:
    (row,) = await world.inbox()
    handler = replace(SYSTEM, permissions=frozenset({"conversations.read", "conversations.handle"}))
    with pytest.raises(NotAllowed, match=r"conversations\.assign"):
        async with world.database.transaction() as tx:
            await actions.change(tx, handler, row.id, Change(assignee_id=None, status="closed"), utc_now())
    assert (await world.inbox())[0].status == "open"
    giver = replace(SYSTEM, permissions=frozenset({"conversations.read", "conversations.assign"}))
    with pytest.raises(NotAllowed, match=r"conversations\.handle"):
        async with world.database.transaction() as tx:
            await actions.change(tx, giver, row.id, Change(subject="Hats"), utc_now())


async def test_every_part_that_changed_is_announced_once(world: World) -> None:
    agent_id = await world.value("SELECT id FROM access.agent")
    known = len(await world.events())
    await change(world, assignee_id=agent_id, subject="Hats", priority=1, status="closed")
    await change(world, assignee_id=agent_id, subject="Hats", priority=1, status="closed")
    assert sorted((await world.events())[known:]) == [
        "ConversationAssigned",
        "ConversationChanged",
        "ConversationClosed",
    ]
    (row,) = await world.inbox()
    assert (row.status, row.unread, row.subject, row.priority) == ("closed", 0, "Hats", 1)
    await change(world, status="open")
    assert (await world.events())[-1] == "ConversationReopened"


async def test_a_moment_and_the_status_snoozed_go_together(world: World) -> None:
    until = utc_now() + timedelta(hours=1)
    for parts in ({"status": "snoozed"}, {"snoozed_until": until}, {"status": "open", "snoozed_until": until}):
        with pytest.raises(Invalid):
            await change(world, **parts)
    with pytest.raises(Invalid, match="still to come"):
        await change(world, status="snoozed", snoozed_until=utc_now() - timedelta(seconds=1))
    await change(world, status="snoozed", snoozed_until=until)
    assert (await world.inbox())[0].status == "snoozed"


@pytest.mark.parametrize("part", ["subject", "priority", "status", "snoozed_until"])
def test_null_is_not_a_value_of_what_cannot_be_empty(part: str) -> None:
    with pytest.raises(ValidationError):
        ChangeBody.model_validate({part: None})
    assert ChangeBody.model_validate({"team_id": None}).change() == Change(team_id=None)
