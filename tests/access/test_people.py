"""Agents, teams, invitations, resets, brands, and the trace they leave."""

import asyncio
from datetime import timedelta

import pytest

from onethread.access import queries
from onethread.access.actions import agents, brands, invitations, keys, passwords, teams
from onethread.access.actions.agents import AgentChange, NewAgent
from onethread.access.actions.brands import BrandChange, Founded, NewBrand
from onethread.access.credentials import digest
from onethread.access.model import SYSTEM
from onethread.kernel.errors import Conflict, Gone, Invalid, NotAllowed, NotFound, NotSignedIn
from onethread.kernel.ids import AgentId, BrandId, KeyId, TeamId, new_id
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets
from tests.access.staff import (
    DEVICE,
    OWNER,
    PASSWORD,
    RULES,
    acting,
    acts,
    found_corner_shop,
    hired,
    letters_to,
    secret_in,
    signed_in,
)
from tests.cast import noon, somchai

NEW_PASSWORD = "nine blue teapots"


async def _invite(database: Database, secrets: Secrets, founded: Founded, **more: object) -> str:
    new = NewAgent(**({"email": somchai.email, "name": somchai.name, "role": "agent", "locale": "th"} | more))
    async with database.transaction() as tx:
        invited = await invitations.invite(tx, secrets, acting(founded.owner), new, rules=RULES, now=noon)
    return invited.link.partition("#")[2]


async def _accept(database: Database, secret: str, **more: object) -> invitations.SignedIn:
    fields = {"name": None, "password": NEW_PASSWORD, "locale": "th", "time_zone": "Asia/Bangkok", "now": noon} | more
    return await invitations.accept_invitation(database, secret=secret, device=DEVICE, rules=RULES, **fields)


async def test_somchai_is_invited_and_joins(database: Database, secrets: Secrets, founded: Founded) -> None:
    async with database.transaction() as tx:
        front = await teams.create_team(tx, SYSTEM, name="Front desk", members=[], now=noon)
    await _invite(
        database, secrets, founded, teams=[front.id], brands=[founded.brand.id], only_own_teams=True, role="agent"
    )
    async with database.transaction() as tx:
        letter = (await letters_to(tx, secrets, somchai.email))[0]
    assert letter.subject == "คำเชิญเข้าร่วม Corner Shop บน Onethread"
    joined = await _accept(database, secret_in(letter))
    assert (joined.actor.name, joined.actor.role) == (somchai.name, "agent")
    assert joined.actor.teams == {front.id}
    assert joined.actor.brands == {founded.brand.id}
    await signed_in(database, secrets, somchai.email, password=NEW_PASSWORD)


async def test_an_invitation_is_good_once_even_at_one_instant(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    secret = await _invite(database, secrets, founded)
    got = await asyncio.gather(*(_accept(database, secret) for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in got) == 1
    assert all(isinstance(one, Gone) for one in got if isinstance(one, BaseException))


async def test_a_weak_password_does_not_use_the_invitation_up(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    secret = await _invite(database, secrets, founded)
    with pytest.raises(Invalid):
        await _accept(database, secret, password="short")
    await _accept(database, secret)


async def test_old_withdrawn_and_replaced_invitations_are_gone(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    first = await _invite(database, secrets, founded)
    second = await _invite(database, secrets, founded)
    with pytest.raises(Gone):
        await _accept(database, first)
    with pytest.raises(Gone):
        await _accept(database, second, now=noon + timedelta(days=7))
    async with database.transaction() as tx:
        waiting = await queries.open_invitations(tx)
        await invitations.withdraw_invitation(tx, acting(founded.owner), waiting[0].id, now=noon)
    assert len(waiting) == 1
    with pytest.raises(Gone):
        await _accept(database, second)


async def test_what_a_disabled_administrator_offered_is_withdrawn(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    async with database.transaction() as tx:
        petra = await hired(tx, "admin")
        new = NewAgent(email=somchai.email, name=somchai.name, role="agent")
        invited = await invitations.invite(tx, secrets, acting(petra), new, rules=RULES, now=noon)
        await agents.change_agent(tx, SYSTEM, petra.id, AgentChange(state="disabled"), now=noon)
    with pytest.raises(Gone):
        await _accept(database, invited.link.partition("#")[2])


async def test_what_does_not_exist_is_not_given(database: Database, secrets: Secrets, founded: Founded) -> None:
    for wrong in ({"teams": [TeamId(new_id())]}, {"brands": [BrandId(new_id())]}, {"email": "nowhere"}):
        with pytest.raises(Invalid):
            await _invite(database, secrets, founded, **wrong)


async def test_nobody_is_invited_twice(database: Database, secrets: Secrets, founded: Founded) -> None:
    with pytest.raises(Conflict):
        await _invite(database, secrets, founded, email=OWNER.email.upper())


async def test_the_secret_of_a_link_is_kept_nowhere(database: Database, secrets: Secrets, founded: Founded) -> None:
    secret = await _invite(database, secrets, founded)
    async with database.transaction() as tx:
        stored = await tx.value("SELECT secret_hash FROM access.invitation")
        sealed = await tx.value("SELECT sealed FROM access.letter")
    assert stored == digest(secret)
    assert secret.encode() not in sealed


async def _ask(database: Database, secrets: Secrets, email: str = OWNER.email) -> None:
    await passwords.request_password_reset(database, secrets, email=email, rules=RULES, now=noon)


async def _reset(database: Database, secrets: Secrets, secret: str, **more: object) -> None:
    fields = {"password": NEW_PASSWORD, "address": None, "now": noon} | more
    await passwords.reset_password(database, secrets, secret=secret, **fields)


async def test_a_reset_opens_the_account_once_and_ends_every_session(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    before = await signed_in(database, secrets)
    await _ask(database, secrets, OWNER.email.upper())
    async with database.transaction() as tx:
        secret = secret_in((await letters_to(tx, secrets, OWNER.email))[0])
    with pytest.raises(Invalid):
        await _reset(database, secrets, secret, password="weak")
    await _reset(database, secrets, secret)
    with pytest.raises(Gone):
        await _reset(database, secrets, secret)
    with pytest.raises(NotSignedIn):
        await signed_in(database, secrets)
    await signed_in(database, secrets, password=NEW_PASSWORD)
    async with database.transaction() as tx:
        revoked = await tx.value("SELECT revoked_at FROM access.session WHERE id = %s", (before.actor.session,))
        told = [letter.subject for letter in await letters_to(tx, secrets, OWNER.email)]
    assert revoked == noon
    assert told[-1] == "Your password was changed"


async def test_a_reset_opens_the_lock(database: Database, secrets: Secrets, founded: Founded) -> None:
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            await signed_in(database, secrets, password="wrong")
    await _ask(database, secrets)
    async with database.transaction() as tx:
        secret = secret_in((await letters_to(tx, secrets, OWNER.email))[0])
    await _reset(database, secrets, secret)
    await signed_in(database, secrets, password=NEW_PASSWORD)


async def test_using_one_reset_uses_the_others_up(database: Database, secrets: Secrets, founded: Founded) -> None:
    await _ask(database, secrets)
    await _ask(database, secrets)
    async with database.transaction() as tx:
        first, second = [secret_in(letter) for letter in await letters_to(tx, secrets, OWNER.email)]
    await _reset(database, secrets, second)
    with pytest.raises(Gone):
        await _reset(database, secrets, first)


async def test_an_hour_later_the_link_is_cold(database: Database, secrets: Secrets, founded: Founded) -> None:
    await _ask(database, secrets)
    async with database.transaction() as tx:
        secret = secret_in((await letters_to(tx, secrets, OWNER.email))[0])
    with pytest.raises(Gone):
        await _reset(database, secrets, secret, now=noon + timedelta(hours=1))


async def test_asking_for_somebody_unknown_sounds_the_same_and_sends_nothing(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    for email in ("nobody@cornershop.example", "not an address", "\x00"):
        await _ask(database, secrets, email)
    async with database.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM access.letter") == 0


async def test_a_stranger_cannot_flood_a_mailbox(database: Database, secrets: Secrets, founded: Founded) -> None:
    for _ in range(10):
        await _ask(database, secrets)
    async with database.transaction() as tx:
        assert len(await letters_to(tx, secrets, OWNER.email)) == 3


async def test_changing_the_password_ends_the_other_sessions(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    here = await signed_in(database, secrets)
    there = await signed_in(database, secrets)
    with pytest.raises(Invalid):
        await passwords.change_password(
            database, secrets, here.actor, current_password="wrong", password=NEW_PASSWORD, now=noon
        )
    await passwords.change_password(
        database, secrets, here.actor, current_password=PASSWORD, password=NEW_PASSWORD, now=noon
    )
    async with database.transaction() as tx:
        open_ids = await tx.values("SELECT id FROM access.session WHERE revoked_at IS NULL")
    assert open_ids == [here.actor.session]
    assert there.actor.session not in open_ids


async def test_the_last_owner_stays(tx: Tx) -> None:
    founded = await found_corner_shop(tx)
    for change in (AgentChange(role="admin"), AgentChange(state="disabled")):
        with pytest.raises(Conflict):
            await agents.change_agent(tx, SYSTEM, founded.owner.id, change, now=noon)
    second = await hired(tx, "owner")
    await agents.change_agent(tx, acting(second), founded.owner.id, AgentChange(role="admin"), now=noon)


async def test_two_owners_cannot_depose_each_other_at_one_instant(database: Database, founded: Founded) -> None:
    async with database.transaction() as tx:
        second = await hired(tx, "owner")

    async def depose(leaving: AgentId) -> None:
        async with database.transaction() as tx:
            await agents.change_agent(tx, SYSTEM, leaving, AgentChange(role="admin"), now=noon)

    got = await asyncio.gather(depose(founded.owner.id), depose(second.id), return_exceptions=True)
    assert [type(one) for one in got if one is not None] == [Conflict]


async def test_an_administrator_has_no_power_over_owners(tx: Tx) -> None:
    founded = await found_corner_shop(tx)
    petra = acting(await hired(tx, "admin"))
    for change in (AgentChange(name="Gone"), AgentChange(state="disabled")):
        with pytest.raises((NotAllowed, Conflict)):
            await agents.change_agent(tx, petra, founded.owner.id, change, now=noon)
    with pytest.raises(NotAllowed):
        await agents.change_agent(tx, petra, AgentId(petra.id), AgentChange(role="owner"), now=noon)
    with pytest.raises(NotAllowed):
        await agents.create_agent(tx, petra, NewAgent("x@example.com", "X", "owner"), password=None, now=noon)
    with pytest.raises(NotAllowed):
        await keys.create_key(tx, petra, name="K", role="owner", now=noon)


async def test_whoever_works_for_one_brand_reaches_no_further(tx: Tx) -> None:
    founded = await found_corner_shop(tx)
    other = await brands.create_brand(tx, SYSTEM, NewBrand("Other", "TH"), now=noon)
    petra = acting(await hired(tx, "admin", brands=[founded.brand.id]))
    inside = await hired(tx, "agent", "Ines", brands=[founded.brand.id])
    outside = await hired(tx, "agent", "Otto", brands=[other.id])
    everywhere = await hired(tx, "admin", "Eva")
    await agents.change_agent(tx, petra, inside.id, AgentChange(name="Ines B"), now=noon)
    for target in (outside, everywhere):
        for change in (AgentChange(name="X"), AgentChange(state="disabled"), AgentChange(brands=[founded.brand.id])):
            with pytest.raises(NotAllowed):
                await agents.change_agent(tx, petra, target.id, change, now=noon)
        with pytest.raises(NotAllowed):
            await agents.end_sessions_of(tx, petra, target.id, now=noon)
        with pytest.raises(NotAllowed):
            await passwords.password_reset_link(tx, petra, target.id, rules=RULES, now=noon)
    with pytest.raises(NotAllowed):
        await agents.change_agent(tx, petra, inside.id, AgentChange(brands=[]), now=noon)
    with pytest.raises(NotAllowed):
        await brands.change_brand(tx, petra, other.id, BrandChange(name="Mine"), now=noon)
    with pytest.raises(NotAllowed):
        await keys.create_key(tx, petra, name="K", role="agent", now=noon)
    await keys.create_key(tx, petra, name="K", role="agent", brands=[founded.brand.id], now=noon)


async def test_a_link_for_somebody_no_letter_reaches(database: Database, secrets: Secrets, founded: Founded) -> None:
    async with database.transaction() as tx:
        link = await passwords.password_reset_link(tx, SYSTEM, founded.owner.id, rules=RULES, now=noon)
    assert link.startswith("http://127.0.0.1:8000/reset#")
    await _reset(database, secrets, link.partition("#")[2])
    await signed_in(database, secrets, password=NEW_PASSWORD)


async def test_who_has_no_password_gets_one_by_letter_only(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    async with database.transaction() as tx:
        new = NewAgent(email=somchai.email, name=somchai.name, role="agent")
        agent = await agents.create_agent(tx, SYSTEM, new, password=None, now=noon)
    with pytest.raises(NotSignedIn):
        await signed_in(database, secrets, somchai.email, password="")
    with pytest.raises(Conflict):
        await passwords.change_password(
            database, secrets, acting(agent), current_password=None, password=NEW_PASSWORD, now=noon
        )
    await _ask(database, secrets, somchai.email)
    async with database.transaction() as tx:
        secret = secret_in((await letters_to(tx, secrets, somchai.email))[0])
    await _reset(database, secrets, secret)
    await signed_in(database, secrets, somchai.email, password=NEW_PASSWORD)


async def test_nobody_disables_themselves(tx: Tx) -> None:
    await found_corner_shop(tx)
    petra = await hired(tx, "admin")
    with pytest.raises(Invalid):
        await agents.change_agent(tx, acting(petra), petra.id, AgentChange(state="disabled"), now=noon)


async def test_a_change_leaves_before_and_after(tx: Tx) -> None:
    founded = await found_corner_shop(tx)
    petra = await hired(tx, "agent")
    await agents.change_agent(tx, acting(founded.owner), petra.id, AgentChange(role="supervisor"), now=noon)
    await agents.change_agent(tx, acting(founded.owner), petra.id, AgentChange(role="supervisor"), now=noon)
    entries = await queries.audit(tx, before=None, limit=10, subject_kind="agent", subject_id=petra.id)
    assert [entry.act for entry in entries] == ["agent.changed", "agent.joined"]
    assert (entries[0].before, entries[0].after) == ({"role": "agent"}, {"role": "supervisor"})
    assert (entries[0].actor_id, entries[0].actor_name) == (founded.owner.id, "Olga")


async def test_a_change_is_announced(tx: Tx) -> None:
    await found_corner_shop(tx)
    petra = await hired(tx, "agent")
    await agents.change_agent(tx, SYSTEM, petra.id, AgentChange(state="disabled"), now=noon)
    told = await tx.tuples("SELECT type, payload->>'state' FROM platform.event ORDER BY seq")
    assert told == [("BrandChanged", None), ("AgentJoined", None), ("AgentJoined", None), ("AgentChanged", "disabled")]


async def test_teams_have_different_names_until_they_retire(tx: Tx) -> None:
    founded = await found_corner_shop(tx)
    olga = acting(founded.owner)
    petra = await hired(tx, "agent")
    front = await teams.create_team(tx, olga, name="Front desk", members=[petra.id], now=noon)
    assert list(front.members) == [petra.id]
    with pytest.raises(Conflict):
        await teams.create_team(tx, olga, name="front DESK", members=[], now=noon)
    back = await teams.create_team(tx, olga, name="Back", members=[], now=noon)
    change = {"name": None, "active": None, "members": None, "now": noon}
    with pytest.raises(Conflict):
        await teams.change_team(tx, olga, back.id, **(change | {"name": "Front Desk"}))
    await teams.change_team(tx, olga, front.id, **(change | {"active": False}))
    await teams.change_team(tx, olga, back.id, **(change | {"name": "Front Desk"}))
    with pytest.raises(Conflict):
        await teams.change_team(tx, olga, front.id, **(change | {"active": True}))
    with pytest.raises(Invalid):
        await teams.change_team(tx, olga, back.id, **(change | {"members": [AgentId(new_id())]}))
    with pytest.raises(NotFound):
        await teams.change_team(tx, olga, TeamId(new_id()), **change)


@pytest.mark.parametrize(
    "wrong",
    [
        {"default_country": "XX"},
        {"default_country": "thailand"},
        {"locale": "Thai"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"colours": {"accent": "red;background:url(//x)"}},
        {"slug": "Corner Shop"},
        {"reopen_days": 400},
        {"undo_seconds": -1},
    ],
)
async def test_a_brand_makes_sense(tx: Tx, wrong: dict[str, object]) -> None:
    fields = {"name": "Corner Shop", "default_country": "PT"} | wrong
    with pytest.raises(Invalid):
        await brands.create_brand(tx, SYSTEM, NewBrand(**fields), now=noon)


@pytest.mark.parametrize(("name", "slug"), [("Café São João!", "cafe-sao-joao"), ("ร้านหัวมุม", ""), ("7-Up", "7-up")])
def test_a_name_makes_a_slug(name: str, slug: str) -> None:
    assert brands.slug_of(name) == slug


async def test_a_thai_brand_has_an_address_too(tx: Tx) -> None:
    brand = await brands.create_brand(tx, SYSTEM, NewBrand("ร้านหัวมุม", "TH", "th", "Asia/Bangkok"), now=noon)
    assert brand.slug.startswith("brand-")
    with pytest.raises(Conflict):
        await brands.create_brand(tx, SYSTEM, NewBrand("Other", "TH", slug=brand.slug), now=noon)
    changed = await brands.change_brand(tx, SYSTEM, brand.id, BrandChange(undo_seconds=0), now=noon)
    assert (changed.undo_seconds, changed.name) == (0, "ร้านหัวมุม")


async def test_there_is_one_organisation_however_many_hands_found_it(database: Database) -> None:
    async def found() -> None:
        async with database.transaction() as tx:
            await found_corner_shop(tx)

    got = await asyncio.gather(*(found() for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in got) == ["Conflict", "Conflict", "Conflict", "NoneType"]


async def test_a_key_is_within_its_role_and_its_maker(tx: Tx) -> None:
    founded = await found_corner_shop(tx)
    olga = acting(founded.owner)
    with pytest.raises(Invalid, match=r"keys\.manage"):
        await keys.create_key(tx, olga, name="K", role="agent", scopes=["keys.manage"], now=noon)
    with pytest.raises(Invalid):
        await keys.create_key(tx, olga, name="K", role="agent", brands=[BrandId(new_id())], now=noon)
    with pytest.raises(Invalid):
        await keys.create_key(tx, olga, name="K", role="agent", expires_at=noon, now=noon)
    with pytest.raises(NotFound):
        await keys.revoke_key(tx, olga, KeyId(new_id()), now=noon)
    issued = await keys.create_key(tx, olga, name="K", role="agent", scopes=["customers.read"], now=noon)
    await keys.revoke_key(tx, olga, issued.key.id, now=noon)
    assert (await acts(tx))[-2:] == ["key.issued", "key.revoked"]
    stored = await tx.value("SELECT row_to_json(api_key)::text FROM access.api_key")
    assert issued.secret not in stored
