"""Teams: agents who share work."""

from collections.abc import Sequence
from datetime import datetime

from onethread.access import queries
from onethread.access.actions.audit import changes, record_audit
from onethread.access.events import TeamChanged
from onethread.access.model import Actor, Team
from onethread.access.store import organisation
from onethread.kernel.errors import Conflict, Invalid, NotFound
from onethread.kernel.ids import AgentId, TeamId, new_id
from onethread.platform.db import Tx
from onethread.platform.events.log import append
from onethread.platform.events.model import EventDraft


async def create_team(tx: Tx, actor: Actor, *, name: str, members: Sequence[AgentId], now: datetime) -> Team:
    """Make a team; raises Conflict when an active one has the name."""
    actor.require("teams.manage")
    team_id = TeamId(new_id())
    if not await organisation.insert_team(tx, team_id, name, now=now):
        raise _taken()
    await _seat(tx, team_id, members)
    await record_audit(
        tx,
        actor,
        "team.made",
        "team",
        team_id,
        now=now,
        after={"name": name, "members": list(members)},
    )
    await append(tx, [EventDraft(TeamChanged(team_id), occurred_at=now, by=actor.by)])
    return await _team(tx, team_id)


async def change_team(
    tx: Tx,
    actor: Actor,
    team_id: TeamId,
    *,
    name: str | None,
    active: bool | None,
    members: Sequence[AgentId] | None,
    now: datetime,
) -> Team:
    """Rename, retire or revive a team, or give it other members; None leaves as it is."""
    actor.require("teams.manage")
    row = await organisation.locked_team(tx, team_id)
    if row is None:
        raise NotFound("No team has this id.")
    before = await _team(tx, team_id)
    renamed = row.name if name is None else name
    if not await organisation.update_team(tx, team_id, name=renamed, active=row.active if active is None else active):
        raise _taken()
    if members is not None:
        await _seat(tx, team_id, members)
    after = await _team(tx, team_id)
    if after != before:
        old, new = changes(_summary(before), _summary(after))
        await record_audit(tx, actor, "team.changed", "team", team_id, now=now, before=old, after=new)
        await append(tx, [EventDraft(TeamChanged(team_id), occurred_at=now, by=actor.by)])
    return after


async def _seat(tx: Tx, team_id: TeamId, members: Sequence[AgentId]) -> None:
    if await organisation.replace_members(tx, team_id, members) != len(set(members)):
        raise Invalid("One of these agents does not exist.", field="members")


async def _team(tx: Tx, team_id: TeamId) -> Team:
    team = await queries.team(tx, team_id)
    if team is None:
        raise NotFound("No team has this id.")
    return team


def _taken() -> Conflict:
    return Conflict("Another team has this name.", field="name")


def _summary(team: Team) -> dict[str, object]:
    return {"name": team.name, "active": team.active, "members": list(team.members)}
