"""Signing in and out, and proving a password again."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from onethread.access import credentials, passwords, queries
from onethread.access.actions.audit import record_audit
from onethread.access.credentials import SecondFactorNeeded
from onethread.access.model import (
    PERMISSIONS_OF,
    AccessRules,
    Actor,
    Agent,
    SessionId,
    SignInWay,
)
from onethread.access.store import agents, sessions
from onethread.access.store.agents import Credentials
from onethread.kernel.errors import Invalid, NotFound, NotSignedIn, TooMany
from onethread.kernel.ids import AgentId, new_id
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets, Undecipherable

log = structlog.get_logger(__name__)

TOTP_PURPOSE = "access.totp"
_WRONG = "The address, the password or the code is wrong."


@dataclass(frozen=True, slots=True)
class Device:
    """The browser somebody signs in with."""

    user_agent: str = ""
    address: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session. `secret` goes into the cookie and is kept nowhere; `csrf` goes to the page."""

    secret: str
    csrf: str
    actor: Actor
    expires_at: datetime


async def sign_in(
    database: Database,
    secrets: Secrets,
    *,
    email: str,
    password: str,
    code: str | None,
    device: Device,
    rules: AccessRules,
    now: datetime,
) -> SignedIn:
    """Open a session for an address, a password and, where one is set up, a second factor.

    `code` is six digits of the authenticator or a recovery code. Raises NotSignedIn, SecondFactorNeeded
    once the password was right, TooMany while the address is locked; all of them alike for addresses
    nobody has.
    """
    known = await _judged(database, email, password, now=now)
    if known is None:
        raise NotSignedIn(_WRONG)
    async with database.transaction() as tx:
        if known.totp_confirmed:
            await _check_second_factor(tx, secrets, known, code, now=now)
        await forget(tx, known)
        await _renew_hash(tx, known, password)
        return await open_session(tx, known.agent_id, way="password", device=device, rules=rules, now=now)


async def open_session(
    tx: Tx, agent_id: AgentId, *, way: SignInWay, device: Device, rules: AccessRules, now: datetime
) -> SignedIn:
    """Open a session for an agent whose identity is proven; raises NotSignedIn for one who is disabled."""
    session_id, secret = SessionId(new_id()), credentials.new_secret()
    expires_at = now + rules.session_absolute
    opened = await sessions.insert_session(
        tx,
        session_id,
        credentials.digest(secret),
        agent_id=agent_id,
        way=way,
        now=now,
        expires_at=expires_at,
        user_agent=device.user_agent[:400],
        address=device.address,
    )
    agent = await queries.agent(tx, agent_id)
    if not opened or agent is None:
        raise NotSignedIn(_WRONG)
    actor = actor_of(agent, session_id=session_id, address=device.address)
    await record_audit(tx, actor, "session.opened", "session", session_id, now=now, after={"way": way})
    return SignedIn(secret, credentials.csrf_of(secret), actor, expires_at)


def actor_of(agent: Agent, *, session_id: SessionId | None = None, address: str | None = None) -> Actor:
    """Return the agent as somebody who acts."""
    return Actor(
        kind="agent",
        name=agent.name,
        role=agent.role,
        permissions=PERMISSIONS_OF[agent.role],
        id=agent.id,
        brands=frozenset(agent.brands) or None,
        teams=frozenset(agent.teams) if agent.only_own_teams else None,
        session=session_id,
        address=address,
    )


async def sign_out(tx: Tx, actor: Actor, *, now: datetime) -> None:
    """End the session the actor came with."""
    if actor.session is not None and actor.agent_id is not None:
        await sessions.revoke_session(tx, actor.session, agent_id=actor.agent_id, now=now)
        await record_audit(tx, actor, "session.closed", "session", actor.session, now=now)


async def sign_out_elsewhere(tx: Tx, actor: Actor, *, now: datetime) -> int:
    """End every session of the actor but the present one; return how many there were."""
    agent_id = the_agent(actor)
    ended = await sessions.revoke_sessions(tx, agent_id, now=now, keep=actor.session)
    await record_audit(tx, actor, "sessions.closed", "agent", agent_id, now=now, after={"sessions": ended})
    return ended


async def close_session(tx: Tx, actor: Actor, session_id: SessionId, *, now: datetime) -> None:
    """End one of the actor's own sessions; raises NotFound."""
    if not await sessions.revoke_session(tx, session_id, agent_id=the_agent(actor), now=now):
        raise NotFound("None of your open sessions has this id.")
    await record_audit(tx, actor, "session.closed", "session", session_id, now=now)


def the_agent(actor: Actor) -> AgentId:
    """Return the agent who acts; a key has neither password nor sessions and is refused."""
    if actor.agent_id is None:
        raise Invalid("This is for people who signed in; a key has no account of its own.")
    return actor.agent_id


async def proven(database: Database, actor: Actor, password: str | None, *, now: datetime) -> Credentials:
    """Return the actor's credentials once the password was given again; raises Invalid and TooMany.

    Counted like an attempt at the door, and by the caller forgotten (`forget`) once all of it succeeded.
    Whoever has no password (single sign-on) gives none.
    """
    agent_id = the_agent(actor)
    async with database.transaction() as tx:
        known = await queries.credentials(tx, agent_id)
    if known is None:
        raise NotSignedIn("Sign in again.")
    await _count(database, known.email, now=now)
    if known.password_hash is not None and not await passwords.matches(password or "", known.password_hash):
        raise Invalid("This is not your present password.", field="current_password")
    return known


async def forget(tx: Tx, known: Credentials) -> None:
    """Forget the attempts counted against an agent who has proven who they are."""
    await sessions.forget_attempts(tx, credentials.digest(known.email))


async def _judged(database: Database, email: str, password: str, *, now: datetime) -> Credentials | None:
    """Count an attempt, then judge it outside the transaction: hashing holds no connection."""
    try:
        email = credentials.normalised_email(email)
    except Invalid:
        await passwords.matches(password, None)
        return None
    known = await _count(database, email, now=now)
    if await passwords.matches(password, known.password_hash if known else None):
        return known
    log.info("access.sign_in_refused", agent=known and str(known.agent_id))
    return None


async def _count(database: Database, email: str, *, now: datetime) -> Credentials | None:
    """Count an attempt for an address and return who has it; raises TooMany while it is locked."""
    async with database.transaction() as tx:
        locked_until = await sessions.take_attempt(tx, credentials.digest(email), now=now)
        known = await queries.credentials_by_email(tx, email)
    if locked_until is None:
        return known
    log.warning("access.locked_out", agent=known and str(known.agent_id))
    raise TooMany(
        "Too many wrong attempts for this address; wait a little before the next.",
        retry_after=max(1, round((locked_until - now).total_seconds())),
    )


async def _check_second_factor(
    tx: Tx, secrets: Secrets, known: Credentials, code: str | None, *, now: datetime
) -> None:
    if not code:
        raise SecondFactorNeeded("Enter the code your authenticator shows, or one of your recovery codes.")
    if not await second_factor_holds(tx, secrets, known, code, now=now):
        raise NotSignedIn(_WRONG)


async def second_factor_holds(tx: Tx, secrets: Secrets, known: Credentials, code: str, *, now: datetime) -> bool:
    """Tell whether a code of the authenticator or a recovery code is right, and use it up."""
    secret = totp_secret(secrets, known)
    step = credentials.totp_step(secret, code, now, after=known.totp_step) if secret else None
    if step is not None:
        return await agents.use_totp_step(tx, known.agent_id, step)
    return await agents.use_recovery_code(tx, known.agent_id, credentials.recovery_digest(code), now=now)


def totp_secret(secrets: Secrets, known: Credentials) -> str | None:
    """Return the authenticator's secret in plain, None when there is none or our key for it was lost."""
    if known.totp_secret is None:
        return None
    try:
        return secrets.decrypt(known.totp_secret, purpose=TOTP_PURPOSE).decode()
    except Undecipherable:
        log.error("access.totp_undecipherable", agent=str(known.agent_id))
        return None


async def _renew_hash(tx: Tx, known: Credentials, password: str) -> None:
    if known.password_hash and passwords.is_outdated(known.password_hash):
        renewed = await passwords.hashed(password)
        await agents.set_password(tx, known.agent_id, renewed, instead_of=known.password_hash)
