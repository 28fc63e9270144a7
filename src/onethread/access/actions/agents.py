"""Agents: made, changed, disabled; never deleted, for their work remains theirs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from onethread.access import credentials, passwords, queries
from onethread.access.actions.audit import changes, record_audit
from onethread.access.actions.places import check_locale, check_time_zone
from onethread.access.events import AgentChanged, AgentJoined
from onethread.access.model import Actor, Agent, AgentState, Role
from onethread.access.store import agents, sessions, tokens
from onethread.access.store.agents import AgentRow
from onethread.kernel.errors import Conflict, Invalid, NotFound
from onethread.kernel.ids import AgentId, BrandId, TeamId, new_id
from onethread.platform.db import Tx
from onethread.platform.events.log import append
from onethread.platform.events.model import EventDraft


@dataclass(frozen=True, slots=True)
class NewAgent:
    """Somebody about to join. `brands` empty means every brand."""

    email: str
    name: str
    role: Role
    locale: str = "en"
    time_zone: str = "UTC"
    only_own_teams: bool = False
    teams: Sequence[TeamId] = ()
    brands: Sequence[BrandId] = ()


@dataclass(frozen=True, slots=True)
class AgentChange:
    """What shall become different; None leaves a field as it is."""

    name: str | None = None
    role: Role | None = None
    state: AgentState | None = None
    locale: str | None = None
    time_zone: str | None = None
    only_own_teams: bool | None = None
    teams: Sequence[TeamId] | None = None
    brands: Sequence[BrandId] | None = None


async def create_agent(tx: Tx, actor: Actor, new: NewAgent, *, password: str | None, now: datetime) -> Agent:
    """Make an agent at once; without a password they sign in through the organisation or by a reset.

    Raises Conflict when somebody has the address.
    """
    actor.require("agents.manage")
    actor.require_power_over(new.role)
    actor.require_limits(brands=new.brands)
    return await admit(tx, actor, new, password=password, now=now)


async def admit(tx: Tx, actor: Actor, new: NewAgent, *, password: str | None, now: datetime) -> Agent:
    """Write down somebody whose joining was decided: created, invited or founding."""
    check_locale(new.locale)
    check_time_zone(new.time_zone)
    email = credentials.normalised_email(new.email)
    password_hash = None
    if password is not None:
        credentials.check_password(password, email=email, name=new.name)
        password_hash = await passwords.hashed(password)
    row = AgentRow(
        id=AgentId(new_id()),
        email=email,
        name=new.name,
        role=new.role,
        locale=new.locale,
        time_zone=new.time_zone,
        state="active",
        only_own_teams=new.only_own_teams,
    )
    if not await agents.insert_agent(tx, row, password_hash=password_hash, now=now):
        raise Conflict("Somebody with this e-mail address is here already.", field="email")
    await _limit(tx, row.id, teams=new.teams, brands=new.brands)
    await record_audit(tx, actor, "agent.joined", "agent", row.id, now=now, after={"email": email, "role": new.role})
    await append(tx, [EventDraft(AgentJoined(row.id, row.role), occurred_at=now, by=actor.by)])
    return await _agent(tx, row.id)


async def change_agent(tx: Tx, actor: Actor, agent_id: AgentId, change: AgentChange, *, now: datetime) -> Agent:
    """Change an agent; disabling ends every session.

    Invitations they sent are withdrawn with the role they were sent in. Raises NotAllowed for somebody
    the actor has no power over, Conflict when the last owner would go.
    """
    actor.require("agents.manage")
    if change.role not in (None, "owner") or change.state == "disabled":
        await _keep_an_owner(tx, agent_id)
    row = await agents.locked_agent(tx, agent_id)
    if row is None:
        raise NotFound("No agent has this id.")
    before = await _agent(tx, agent_id)
    actor.require_power_over_agent(before)
    if change.role is not None:
        actor.require_power_over(change.role)
    if change.brands is not None:
        actor.require_limits(brands=change.brands)
    if change.state == "disabled" and agent_id == actor.agent_id:
        raise Invalid("You cannot disable yourself; ask somebody else to.", field="state")
    return await _apply(tx, actor, row, before, change, now=now)


async def change_oneself(
    tx: Tx, actor: Actor, *, name: str | None, locale: str | None, time_zone: str | None, now: datetime
) -> Agent:
    """Change what everybody may change of their own account."""
    row = await agents.locked_agent(tx, actor.agent_id) if actor.agent_id else None
    if row is None:
        raise Invalid("This is for people who signed in; a key has no account of its own.")
    before = await _agent(tx, row.id)
    return await _apply(tx, actor, row, before, AgentChange(name=name, locale=locale, time_zone=time_zone), now=now)


async def end_sessions_of(tx: Tx, actor: Actor, agent_id: AgentId, *, now: datetime) -> int:
    """Sign an agent out everywhere; return how many sessions ended."""
    actor.require("agents.manage")
    agent = await _agent(tx, agent_id)
    actor.require_power_over_agent(agent)
    ended = await sessions.revoke_sessions(tx, agent_id, now=now)
    await record_audit(tx, actor, "sessions.closed", "agent", agent_id, now=now, after={"sessions": ended})
    await append(tx, [EventDraft(AgentChanged(agent_id, agent.role, agent.state), occurred_at=now, by=actor.by)])
    return ended


async def _apply(tx: Tx, actor: Actor, row: AgentRow, before: Agent, change: AgentChange, *, now: datetime) -> Agent:
    """Write a change that was allowed; the row is locked."""
    wanted = {field: value for field, value in asdict(change).items() if value is not None}
    limits = {field: wanted.pop(field) for field in ("teams", "brands") if field in wanted}
    after_row = replace(row, **wanted)
    check_locale(after_row.locale)
    check_time_zone(after_row.time_zone)
    await agents.update_agent(tx, after_row)
    await _limit(tx, row.id, **limits)
    if after_row.state == "disabled":
        await sessions.revoke_sessions(tx, row.id, now=now)
    if after_row.state == "disabled" or after_row.role != row.role:
        await tokens.revoke_invitations_of(tx, row.id, now=now)
    after = await _agent(tx, row.id)
    if after != before:
        old, new = changes(_summary(before), _summary(after))
        await record_audit(tx, actor, "agent.changed", "agent", row.id, now=now, before=old, after=new)
        await append(tx, [EventDraft(AgentChanged(row.id, after.role, after.state), occurred_at=now, by=actor.by)])
    return after


async def _limit(
    tx: Tx, agent_id: AgentId, *, teams: Sequence[TeamId] | None = None, brands: Sequence[BrandId] | None = None
) -> None:
    if teams is not None and await agents.replace_teams(tx, agent_id, teams) != len(set(teams)):
        raise Invalid("One of these teams does not exist.", field="teams")
    if brands is not None and await agents.replace_brands(tx, agent_id, brands) != len(set(brands)):
        raise Invalid("One of these brands does not exist.", field="brands")


async def _keep_an_owner(tx: Tx, leaving: AgentId) -> None:
    # The owners are locked together, so that two of them cannot take each other's role at one instant.
    if await agents.locked_owners(tx) == [leaving]:
        raise Conflict("This is the last owner; give somebody else that role first.")


async def _agent(tx: Tx, agent_id: AgentId) -> Agent:
    agent = await queries.agent(tx, agent_id)
    if agent is None:
        raise NotFound("No agent has this id.")
    return agent


def _summary(agent: Agent) -> dict[str, object]:
    return {
        "name": agent.name,
        "role": agent.role,
        "state": agent.state,
        "locale": agent.locale,
        "time_zone": agent.time_zone,
        "only_own_teams": agent.only_own_teams,
        "teams": list(agent.teams),
        "brands": list(agent.brands),
    }
