"""Routes for those who look after people: agents, teams, invitations."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from onethread.access import queries
from onethread.access.acting import Acting, needs
from onethread.access.actions import agents, invitations, second_factor, teams
from onethread.access.actions.agents import AgentChange, NewAgent
from onethread.access.api_account import Ended
from onethread.access.api_shapes import Email, Locale, Name, TimeZone, house_of
from onethread.access.model import PERMISSIONS_OF, Agent, AgentState, Invitation, InvitationId, Permission, Role, Team
from onethread.kernel.errors import NotFound
from onethread.kernel.ids import AgentId, BrandId, TeamId
from onethread.platform.wire import Body, Page

routes = APIRouter(tags=["access"])

Teams = Annotated[tuple[TeamId, ...], Field(max_length=500)]
Brands = Annotated[tuple[BrandId, ...], Field(max_length=500)]
Members = Annotated[tuple[AgentId, ...], Field(max_length=5000)]


class NewAgentBody(Body):
    email: Email
    name: Name
    role: Role
    locale: Locale = "en"
    time_zone: TimeZone = "UTC"
    only_own_teams: bool = False
    teams: Teams = ()
    brands: Brands = ()  # none: every brand

    def value(self) -> NewAgent:
        return NewAgent(**dict(self))


class AgentBody(Body):
    name: Name | None = None
    role: Role | None = None
    state: AgentState | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    only_own_teams: bool | None = None
    teams: Teams | None = None
    brands: Brands | None = None


class NewTeamBody(Body):
    name: Name
    members: Members = ()


class TeamBody(Body):
    name: Name | None = None
    active: bool | None = None
    members: Members | None = None


class Invited(BaseModel):
    """An invitation and its link, shown this once: for those whom no letter reaches."""

    invitation: Invitation
    link: str


class RoleRow(BaseModel):
    """What a role may do."""

    role: Role
    permissions: Sequence[Permission]


@routes.get("/roles", operation_id="list_roles", openapi_extra=needs("agents.read"))
async def list_roles(actor: Acting) -> Page[RoleRow]:
    """List every role with what it may do."""
    actor.require("agents.read")
    return Page(items=[RoleRow(role=role, permissions=sorted(held)) for role, held in PERMISSIONS_OF.items()])


@routes.get("/agents", operation_id="list_agents", openapi_extra=needs("agents.read"))
async def list_agents(request: Request, actor: Acting) -> Page[Agent]:
    """List every agent by name, disabled ones included."""
    actor.require("agents.read")
    async with house_of(request).database.transaction() as tx:
        return Page(items=await queries.agents(tx))


@routes.get("/agents/{agent_id}", operation_id="get_agent", openapi_extra=needs("agents.read"))
async def get_agent(request: Request, actor: Acting, agent_id: AgentId) -> Agent:
    """Show one agent."""
    actor.require("agents.read")
    async with house_of(request).database.transaction() as tx:
        agent = await queries.agent(tx, agent_id)
    if agent is None:
        raise NotFound("No agent has this id.")
    return agent


@routes.post("/agents", operation_id="create_agent", status_code=201, openapi_extra=needs("agents.manage"))
async def create_agent(request: Request, actor: Acting, body: NewAgentBody) -> Agent:
    """Make an agent at once, without a password: they sign in through the organisation or ask for a reset."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await agents.create_agent(tx, actor, body.value(), password=None, now=house.clock())


@routes.patch("/agents/{agent_id}", operation_id="change_agent", openapi_extra=needs("agents.manage"))
async def change_agent(request: Request, actor: Acting, agent_id: AgentId, body: AgentBody) -> Agent:
    """Change an agent's name, role, limits or state; fields left out stay."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await agents.change_agent(tx, actor, agent_id, AgentChange(**dict(body)), now=house.clock())


@routes.delete(
    "/agents/{agent_id}/sessions", operation_id="end_sessions_of_agent", openapi_extra=needs("agents.manage")
)
async def end_sessions(request: Request, actor: Acting, agent_id: AgentId) -> Ended:
    """Sign an agent out everywhere."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return Ended(sessions=await agents.end_sessions_of(tx, actor, agent_id, now=house.clock()))


@routes.delete(
    "/agents/{agent_id}/second-factor",
    operation_id="remove_second_factor_of_agent",
    status_code=204,
    openapi_extra=needs("agents.manage"),
)
async def remove_second_factor(request: Request, actor: Acting, agent_id: AgentId) -> None:
    """Take away the second factor of somebody who lost it."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await second_factor.remove_second_factor_of(tx, actor, agent_id, now=house.clock())


@routes.get("/invitations", operation_id="list_invitations", openapi_extra=needs("agents.manage"))
async def list_invitations(request: Request, actor: Acting) -> Page[Invitation]:
    """List invitations nobody has accepted yet."""
    actor.require("agents.manage")
    async with house_of(request).database.transaction() as tx:
        return Page(items=await queries.open_invitations(tx))


@routes.post("/invitations", operation_id="invite", status_code=201, openapi_extra=needs("agents.manage"))
async def invite(request: Request, actor: Acting, body: NewAgentBody) -> Invited:
    """Invite somebody by letter."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        invited = await invitations.invite(
            tx, house.secrets, actor, body.value(), rules=house.access, now=house.clock()
        )
    return Invited(invitation=invited.invitation, link=invited.link)


@routes.delete(
    "/invitations/{invitation_id}",
    operation_id="withdraw_invitation",
    status_code=204,
    openapi_extra=needs("agents.manage"),
)
async def withdraw(request: Request, actor: Acting, invitation_id: InvitationId) -> None:
    """Withdraw an invitation."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await invitations.withdraw_invitation(tx, actor, invitation_id, now=house.clock())


@routes.get("/teams", operation_id="list_teams", openapi_extra=needs("agents.read"))
async def list_teams(request: Request, actor: Acting) -> Page[Team]:
    """List every team by name, retired ones included."""
    actor.require("agents.read")
    async with house_of(request).database.transaction() as tx:
        return Page(items=await queries.teams(tx))


@routes.get("/teams/{team_id}", operation_id="get_team", openapi_extra=needs("agents.read"))
async def get_team(request: Request, actor: Acting, team_id: TeamId) -> Team:
    """Show one team."""
    actor.require("agents.read")
    async with house_of(request).database.transaction() as tx:
        team = await queries.team(tx, team_id)
    if team is None:
        raise NotFound("No team has this id.")
    return team


@routes.post("/teams", operation_id="create_team", status_code=201, openapi_extra=needs("teams.manage"))
async def create_team(request: Request, actor: Acting, body: NewTeamBody) -> Team:
    """Make a team."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await teams.create_team(tx, actor, name=body.name, members=body.members, now=house.clock())


@routes.patch("/teams/{team_id}", operation_id="change_team", openapi_extra=needs("teams.manage"))
async def change_team(request: Request, actor: Acting, team_id: TeamId, body: TeamBody) -> Team:
    """Rename, retire or revive a team, or give it other members; fields left out stay."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await teams.change_team(
            tx, actor, team_id, name=body.name, active=body.active, members=body.members, now=house.clock()
        )
