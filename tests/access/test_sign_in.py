"""Signing in and out, lock-out, the second factor."""

import asyncio
from datetime import timedelta

import pytest

from onethread.access.actions import agents, second_factor, sign_in
from onethread.access.actions.agents import AgentChange
from onethread.access.actions.brands import Founded
from onethread.access.credentials import SecondFactorNeeded, digest
from onethread.access.model import SYSTEM
from onethread.access.store import sessions
from onethread.kernel.errors import Conflict, Invalid, NotFound, NotSignedIn, TooMany
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets, new_key
from tests.access.staff import OWNER, PASSWORD, RULES, acts, code_at, hired, signed_in
from tests.cast import noon


async def test_the_owner_signs_in(database: Database, secrets: Secrets, founded: Founded) -> None:
    got = await signed_in(database, secrets, " Olga@CornerShop.example ")
    assert got.actor.id == founded.owner.id
    assert got.actor.session is not None
    assert got.expires_at == noon + RULES.session_absolute
    async with database.transaction() as tx:
        seen = await sessions.seen_session(tx, digest(got.secret), now=noon, idle_since=noon - RULES.session_idle)
        stored = await tx.value("SELECT secret_hash FROM access.session")
    assert seen is not None
    assert seen.agent_id == founded.owner.id
    assert got.secret.encode() not in stored


async def test_every_wrong_answer_sounds_alike(database: Database, secrets: Secrets, founded: Founded) -> None:
    for email, password in (
        (OWNER.email, "seven green kettlez"),
        ("nobody@cornershop.example", PASSWORD),
        ("not an address", PASSWORD),
        (OWNER.email, ""),
        (OWNER.email, "\x00" * 2000),
    ):
        with pytest.raises(NotSignedIn, match=r"^The address, the password or the code is wrong.$"):
            await signed_in(database, secrets, email, password=password)


async def test_guessing_closes_the_door_whether_somebody_lives_there_or_not(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    for email in (OWNER.email, "nobody@cornershop.example"):
        for _ in range(5):
            with pytest.raises(NotSignedIn):
                await signed_in(database, secrets, email, password="wrong")
        with pytest.raises(TooMany) as locked:
            await signed_in(database, secrets, email)
        assert locked.value.fields["retry_after"] == 15


async def test_the_door_opens_again_and_success_forgets(database: Database, secrets: Secrets, founded: Founded) -> None:
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            await signed_in(database, secrets, password="wrong")
    later = noon + timedelta(seconds=16)
    await signed_in(database, secrets, now=later)
    for _ in range(4):
        with pytest.raises(NotSignedIn):
            await signed_in(database, secrets, password="wrong", now=later)
    await signed_in(database, secrets, now=later)


async def test_the_lock_grows_with_every_guess_after_it(database: Database) -> None:
    waits = []
    now = noon
    for _ in range(12):
        async with database.transaction() as tx:
            await sessions.take_attempt(tx, b"olga", now=now)
            until = await tx.value("SELECT locked_until FROM access.sign_in_attempt")
        waits.append((until - now).total_seconds())
        now = until
    assert waits == [0, 0, 0, 0, 15, 30, 60, 120, 300, 900, 900, 900]


async def test_many_guesses_at_one_instant_are_all_counted(database: Database) -> None:
    async def guess() -> bool:
        async with database.transaction() as tx:
            return await sessions.take_attempt(tx, b"olga", now=noon) is None

    tried = await asyncio.gather(*(guess() for _ in range(20)))
    assert sum(tried) == 5


async def test_a_disabled_agent_is_nobody(database: Database, secrets: Secrets, founded: Founded) -> None:
    async with database.transaction() as tx:
        petra = await hired(tx, "agent")
    before = await signed_in(database, secrets, petra.email)
    async with database.transaction() as tx:
        await agents.change_agent(tx, SYSTEM, petra.id, AgentChange(state="disabled"), now=noon)
    with pytest.raises(NotSignedIn):
        await signed_in(database, secrets, petra.email)
    async with database.transaction() as tx:
        assert await sessions.seen_session(tx, digest(before.secret), now=noon, idle_since=noon) is None


async def test_signing_out_ends_the_session_for_good(database: Database, secrets: Secrets, founded: Founded) -> None:
    got = await signed_in(database, secrets)
    async with database.transaction() as tx:
        await sign_in.sign_out(tx, got.actor, now=noon)
        assert await sessions.seen_session(tx, digest(got.secret), now=noon, idle_since=noon) is None
        assert await acts(tx) == [
            "organisation.founded",
            "brand.made",
            "agent.joined",
            "session.opened",
            "session.closed",
        ]


async def test_signing_out_elsewhere_keeps_this_browser(database: Database, secrets: Secrets, founded: Founded) -> None:
    here = await signed_in(database, secrets)
    there = await signed_in(database, secrets)
    async with database.transaction() as tx:
        assert await sign_in.sign_out_elsewhere(tx, here.actor, now=noon) == 1
        open_ids = await tx.values("SELECT id FROM access.session WHERE revoked_at IS NULL")
    assert open_ids == [here.actor.session]
    assert there.actor.session not in open_ids


async def test_nobody_closes_the_session_of_another(database: Database, secrets: Secrets, founded: Founded) -> None:
    olga = await signed_in(database, secrets)
    async with database.transaction() as tx:
        petra = await hired(tx, "admin")
    other = await signed_in(database, secrets, petra.email)
    assert olga.actor.session is not None
    with pytest.raises(NotFound):
        async with database.transaction() as tx:
            await sign_in.close_session(tx, other.actor, olga.actor.session, now=noon)


async def test_an_idle_session_is_not_revived_by_looking(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    got = await signed_in(database, secrets)
    next_week = noon + timedelta(days=7)
    for _ in range(2):
        async with database.transaction() as tx:
            seen = await sessions.seen_session(
                tx, digest(got.secret), now=next_week, idle_since=next_week - RULES.session_idle
            )
        assert seen is not None
        assert seen.seen_at == noon


async def _with_second_factor(database: Database, secrets: Secrets) -> tuple[str, list[str]]:
    """Give Olga an authenticator at noon; return its secret and the recovery codes."""
    olga = await signed_in(database, secrets)
    enrolled = await second_factor.enrol_second_factor(
        database, secrets, olga.actor, current_password=PASSWORD, now=noon
    )
    async with database.transaction() as tx:
        codes = await second_factor.confirm_second_factor(
            tx, secrets, olga.actor, code=code_at(enrolled.secret, noon), now=noon
        )
    return enrolled.secret, codes


async def test_with_a_second_factor_the_password_is_not_enough(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    secret, _ = await _with_second_factor(database, secrets)
    later = noon + timedelta(minutes=5)
    with pytest.raises(SecondFactorNeeded):
        await signed_in(database, secrets, now=later)
    with pytest.raises(NotSignedIn) as wrong:
        await signed_in(database, secrets, code="000000", now=later)
    assert wrong.value.code == "not_signed_in"
    await signed_in(database, secrets, code=code_at(secret, later), now=later)


async def test_a_code_seen_over_the_shoulder_is_worthless(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    secret, _ = await _with_second_factor(database, secrets)
    later = noon + timedelta(minutes=5)
    code = code_at(secret, later)
    both = await asyncio.gather(
        *(signed_in(database, secrets, code=code, now=later) for _ in range(3)), return_exceptions=True
    )
    assert sum(not isinstance(one, BaseException) for one in both) == 1
    assert all(isinstance(one, NotSignedIn) for one in both if isinstance(one, BaseException))


async def test_the_code_that_confirmed_signs_nobody_in(database: Database, secrets: Secrets, founded: Founded) -> None:
    secret, _ = await _with_second_factor(database, secrets)
    with pytest.raises(NotSignedIn):
        await signed_in(database, secrets, code=code_at(secret, noon))


async def test_guessing_codes_closes_the_door_even_between_right_passwords(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    await _with_second_factor(database, secrets)
    later = noon + timedelta(minutes=5)
    for number in range(5):
        with pytest.raises(NotSignedIn):
            await signed_in(database, secrets, code="123456" if number % 2 else None, now=later)
    with pytest.raises(TooMany):
        await signed_in(database, secrets, code="123456", now=later)


async def test_a_recovery_code_opens_once(database: Database, secrets: Secrets, founded: Founded) -> None:
    _, codes = await _with_second_factor(database, secrets)
    await signed_in(database, secrets, code=codes[3].upper())
    with pytest.raises(NotSignedIn):
        await signed_in(database, secrets, code=codes[3])
    await signed_in(database, secrets, code=codes[4])


async def test_a_lost_key_leaves_the_recovery_codes(database: Database, secrets: Secrets, founded: Founded) -> None:
    secret, codes = await _with_second_factor(database, secrets)
    other = Secrets.from_text(new_key())
    later = noon + timedelta(minutes=5)
    with pytest.raises(NotSignedIn):
        await signed_in(database, other, code=code_at(secret, later), now=later)
    await signed_in(database, other, code=codes[0], now=later)


async def test_the_second_factor_goes_with_password_and_code_only(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    _, codes = await _with_second_factor(database, secrets)
    olga = await signed_in(database, secrets, code=codes[0])
    remove = second_factor.disable_second_factor
    with pytest.raises(Invalid):
        await remove(database, secrets, olga.actor, current_password="wrong", code=codes[1], now=noon)
    with pytest.raises(Invalid):
        await remove(database, secrets, olga.actor, current_password=PASSWORD, code="000000", now=noon)
    await remove(database, secrets, olga.actor, current_password=PASSWORD, code=codes[1], now=noon)
    await signed_in(database, secrets)


async def test_codes_are_not_guessed_with_password_and_session_either(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    _, codes = await _with_second_factor(database, secrets)
    olga = await signed_in(database, secrets, code=codes[0])
    remove = second_factor.disable_second_factor
    for _ in range(5):
        with pytest.raises(Invalid):
            await remove(database, secrets, olga.actor, current_password=PASSWORD, code="000000", now=noon)
    with pytest.raises(TooMany):
        await remove(database, secrets, olga.actor, current_password=PASSWORD, code=codes[1], now=noon)


async def test_a_factor_in_force_is_not_replaced_by_a_stolen_session(
    database: Database, secrets: Secrets, founded: Founded
) -> None:
    _, codes = await _with_second_factor(database, secrets)
    olga = await signed_in(database, secrets, code=codes[0])
    with pytest.raises(Conflict):
        await second_factor.enrol_second_factor(database, secrets, olga.actor, current_password=PASSWORD, now=noon)


async def test_the_secret_is_not_in_the_database(database: Database, secrets: Secrets, founded: Founded) -> None:
    secret, codes = await _with_second_factor(database, secrets)
    async with database.transaction() as tx:
        kept = await tx.value("SELECT totp_secret FROM access.agent")
        hashes = await tx.values("SELECT code_hash FROM access.recovery_code")
    assert secret.encode() not in kept
    assert not {code.encode() for code in codes} & set(hashes)


async def test_ended_things_are_forgotten(tx: Tx) -> None:
    await sessions.take_attempt(tx, b"olga", now=noon)
    for hours, left in ((23, 1), (25, 0)):
        now = noon + timedelta(hours=hours)
        await sessions.delete_ended(tx, now=now, before=now - timedelta(days=30))
        assert await tx.value("SELECT count(*) FROM access.sign_in_attempt") == left
