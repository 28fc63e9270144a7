"""Roles, limits and what an actor may do."""

from dataclasses import replace

import pytest

from onethread.access.model import PERMISSIONS, PERMISSIONS_OF, SYSTEM, Actor, Role
from onethread.kernel.errors import NotAllowed
from onethread.kernel.ids import AgentId, BrandId, TeamId, new_id

CORNER_SHOP = BrandId(new_id())
OTHER_BRAND = BrandId(new_id())
FRONT_DESK = TeamId(new_id())
BACK_OFFICE = TeamId(new_id())


def agent(role: Role = Role.AGENT, **limits: object) -> Actor:
    return replace(Actor("agent", "Somchai", role, PERMISSIONS_OF[role], id=new_id()), **limits)


def test_every_role_has_its_row() -> None:
    assert set(PERMISSIONS_OF) == set(Role)
    assert all(PERMISSIONS_OF[role] <= PERMISSIONS for role in Role)


def test_owner_and_system_may_do_everything() -> None:
    assert PERMISSIONS_OF[Role.OWNER] == PERMISSIONS == SYSTEM.permissions


def test_every_permission_is_what_dot_verb() -> None:
    verbs = {name.split(".")[1] for name in PERMISSIONS}
    assert all(name.count(".") == 1 and name == name.lower() for name in PERMISSIONS)
    assert verbs >= {"read", "manage"}


@pytest.mark.parametrize("verb", ["manage", "reply", "write", "link", "assign", "start", "note", "handle", "replay"])
def test_read_only_changes_nothing(verb: str) -> None:
    assert not [name for name in PERMISSIONS_OF[Role.READ_ONLY] if name.endswith(f".{verb}")]


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.AGENT, Role.MARKETER, Role.SHOP, Role.READ_ONLY])
def test_administration_is_for_administrators(role: Role) -> None:
    reserved = {"organisation.manage", "brands.manage", "agents.manage", "keys.manage", "audit.read", "accounts.manage"}
    assert not reserved & PERMISSIONS_OF[role]


def test_a_refusal_says_who_could_help() -> None:
    with pytest.raises(NotAllowed, match=r"keys.manage.*role agent.*owner, admin"):
        agent().require("keys.manage")


def test_scopes_only_ever_narrow() -> None:
    key = agent(Role.READ_ONLY).narrowed(frozenset({"customers.read", "keys.manage"}))
    assert key.permissions == {"customers.read"}
    assert agent(Role.ADMIN).narrowed(None).permissions == PERMISSIONS


@pytest.mark.parametrize("who", Role)
@pytest.mark.parametrize("to", Role)
def test_nobody_has_power_over_a_higher_role(who: Role, to: Role) -> None:
    order = list(Role)
    actor = agent(who)
    if order.index(who) <= order.index(to):
        actor.require_power_over(to)
    else:
        with pytest.raises(NotAllowed, match="Only"):
            actor.require_power_over(to)


def test_a_customer_has_power_over_nobody() -> None:
    visitor = Actor("customer", "Ana", None, frozenset())
    with pytest.raises(NotAllowed):
        visitor.require_power_over(Role.READ_ONLY)


def test_no_limit_sees_everything() -> None:
    assert agent().sees(OTHER_BRAND, None, None)


def test_a_brand_limit_hides_other_brands_even_from_the_assignee() -> None:
    somchai = agent(brands=frozenset({CORNER_SHOP}))
    assert somchai.sees(CORNER_SHOP, None, None)
    assert not somchai.sees(OTHER_BRAND, None, somchai.agent_id)
    with pytest.raises(NotAllowed):
        somchai.require_brand(OTHER_BRAND)


def test_a_team_limit_leaves_the_team_and_ones_own_work() -> None:
    somchai = agent(teams=frozenset({FRONT_DESK}))
    assert somchai.sees(CORNER_SHOP, FRONT_DESK, None)
    assert somchai.sees(CORNER_SHOP, BACK_OFFICE, somchai.agent_id)
    assert not somchai.sees(CORNER_SHOP, BACK_OFFICE, AgentId(new_id()))
    assert not somchai.sees(CORNER_SHOP, None, None)
