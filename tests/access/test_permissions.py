"""Roles, limits and what an actor may do."""

from dataclasses import replace

import pytest

from onethread.access.model import PERMISSIONS, PERMISSIONS_OF, ROLES, SYSTEM, Actor, Role
from onethread.kernel.errors import NotAllowed
from onethread.kernel.ids import AgentId, BrandId, TeamId, new_id

CORNER_SHOP = BrandId(new_id())
OTHER_BRAND = BrandId(new_id())
FRONT_DESK = TeamId(new_id())
BACK_OFFICE = TeamId(new_id())


def agent(role: Role = "agent", **limits: object) -> Actor:
    return replace(Actor("agent", "Somchai", role, PERMISSIONS_OF[role], id=new_id()), **limits)


def test_every_role_has_its_row() -> None:
    assert set(PERMISSIONS_OF) == set(ROLES)
    assert all(PERMISSIONS_OF[role] <= PERMISSIONS for role in ROLES)


def test_owner_and_system_may_do_everything() -> None:
    assert PERMISSIONS_OF["owner"] == PERMISSIONS == SYSTEM.permissions


def test_every_permission_is_what_dot_verb() -> None:
    verbs = {name.split(".")[1] for name in PERMISSIONS}
    assert all(name.count(".") == 1 and name == name.lower() for name in PERMISSIONS)
    assert verbs >= {"read", "manage"}


@pytest.mark.parametrize("verb", ["manage", "reply", "write", "link", "assign", "start", "note", "handle", "replay"])
def test_read_only_changes_nothing(verb: str) -> None:
    assert not [name for name in PERMISSIONS_OF["read_only"] if name.endswith(f".{verb}")]


@pytest.mark.parametrize("role", ["supervisor", "agent", "marketer", "shop", "read_only"])
def test_administration_is_for_administrators(role: Role) -> None:
    reserved = {"organisation.manage", "brands.manage", "agents.manage", "keys.manage", "audit.read", "accounts.manage"}
    assert not reserved & PERMISSIONS_OF[role]


def test_a_refusal_says_who_could_help() -> None:
    with pytest.raises(NotAllowed, match=r"keys.manage.*role agent.*owner, admin"):
        agent().require("keys.manage")


def test_scopes_only_ever_narrow() -> None:
    key = agent("read_only").narrowed(frozenset({"customers.read", "keys.manage"}))
    assert key.permissions == {"customers.read"}
    assert agent("admin").narrowed(None).permissions == PERMISSIONS


@pytest.mark.parametrize("to", ROLES)
def test_only_owners_make_owners_and_administrators_all_others(to: Role) -> None:
    agent("owner").require_power_over(to)
    if to == "owner":
        with pytest.raises(NotAllowed, match=r"^Only owner may"):
            agent("admin").require_power_over(to)
    else:
        agent("admin").require_power_over(to)


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("to", ROLES)
def test_nobody_gives_what_they_may_not_do(who: Role, to: Role) -> None:
    if PERMISSIONS_OF[to] - PERMISSIONS_OF[who]:
        with pytest.raises(NotAllowed):
            agent(who).require_power_over(to)


def test_a_key_of_few_scopes_makes_no_administrator() -> None:
    key = agent("admin").narrowed(frozenset({"agents.manage", "keys.manage"}))
    with pytest.raises(NotAllowed):
        key.require_power_over("agent")


def test_a_limit_to_brands_is_passed_on() -> None:
    somchai = agent("admin", brands=frozenset({CORNER_SHOP}))
    somchai.require_limits(brands=[CORNER_SHOP])
    for beyond in ([], [OTHER_BRAND], [CORNER_SHOP, OTHER_BRAND]):
        with pytest.raises(NotAllowed):
            somchai.require_limits(brands=beyond)


def test_a_customer_has_power_over_nobody() -> None:
    visitor = Actor("customer", "Ana", None, frozenset())
    with pytest.raises(NotAllowed):
        visitor.require_power_over("read_only")


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
