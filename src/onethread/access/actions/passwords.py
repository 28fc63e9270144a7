"""Changing a password, and getting back in without one."""

from datetime import datetime

import structlog

from onethread.access import credentials, passwords, queries
from onethread.access.actions.audit import record_audit
from onethread.access.actions.letters import write_letter
from onethread.access.actions.sign_in import actor_of, forget, proven
from onethread.access.model import AccessRules, Actor
from onethread.access.store import agents, sessions, tokens
from onethread.access.store.agents import Credentials
from onethread.kernel.errors import Conflict, Gone, Invalid
from onethread.kernel.ids import AgentId
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets

log = structlog.get_logger(__name__)


async def change_password(
    database: Database, secrets: Secrets, actor: Actor, *, current_password: str | None, password: str, now: datetime
) -> None:
    """Give the actor a new password against the present one; every other session ends.

    Raises Conflict for somebody who has none yet: theirs comes by a letter.
    """
    known = await proven(database, actor, current_password, now=now)
    if known.password_hash is None:
        # A session alone must not make itself a second way in.
        raise Conflict("You sign in through your organisation. For a password of your own, have a link sent.")
    credentials.check_password(password, email=known.email, name=known.name)
    password_hash = await passwords.hashed(password)
    async with database.transaction() as tx:
        if not await agents.set_password(tx, known.agent_id, password_hash, instead_of=known.password_hash):
            raise Conflict("The password was changed elsewhere at the same moment.")
        await forget(tx, known)
        await sessions.revoke_sessions(tx, known.agent_id, now=now, keep=actor.session)
        await _tell(tx, secrets, actor, known, now=now)


async def request_password_reset(
    database: Database, secrets: Secrets, *, email: str, rules: AccessRules, now: datetime
) -> None:
    """Send a link to the agent of the address. Says and takes the same when nobody has it."""
    try:
        email = credentials.normalised_email(email)
    except Invalid:
        return
    async with database.transaction() as tx:
        known = await queries.credentials_by_email(tx, email)
        secret = credentials.new_secret()
        inserted = await _insert_reset(tx, email, secret, now=now)
        await write_letter(
            tx,
            secrets,
            "password_reset",
            address=email,
            name=known.name if known else "",
            locale=known.locale if known else "en",
            link=_link(rules, secret),
            now=now,
            wanted=inserted,
        )
    log.info("access.password_reset_requested", agent=known and str(known.agent_id), kept=inserted)


async def password_reset_link(tx: Tx, actor: Actor, agent_id: AgentId, *, rules: AccessRules, now: datetime) -> str:
    """Return a link for somebody no letter reaches; for the command line of the operator."""
    actor.require("agents.manage")
    agent = await queries.agent(tx, agent_id)
    if agent is None or agent.state != "active":
        raise Gone("This agent does not exist or is disabled.")
    actor.require_power_over_agent(agent)
    secret = credentials.new_secret()
    if not await _insert_reset(tx, agent.email, secret, now=now):
        raise Conflict("Too many links were made for this agent within the hour.")
    await record_audit(tx, actor, "password.reset_link_made", "agent", agent_id, now=now)
    return _link(rules, secret)


async def reset_password(
    database: Database, secrets: Secrets, *, secret: str, password: str, address: str | None, now: datetime
) -> None:
    """Set a password by a link from a letter. The link is good once; every session ends, every lock opens."""
    async with database.transaction() as tx:
        agent_id = await tokens.use_password_reset(tx, credentials.digest(secret), now=now)
        agent = await queries.agent(tx, agent_id) if agent_id else None
        known = await queries.credentials(tx, agent_id) if agent_id else None
        if agent is None or known is None:
            raise Gone("This link was used already or is too old; ask for a new one.")
        credentials.check_password(password, email=known.email, name=known.name)
        await agents.set_password(tx, agent.id, await passwords.hashed(password))
        await sessions.revoke_sessions(tx, agent.id, now=now)
        await forget(tx, known)
        await _tell(tx, secrets, actor_of(agent, address=address), known, now=now)


async def _insert_reset(tx: Tx, email: str, secret: str, *, now: datetime) -> bool:
    return await tokens.insert_password_reset(
        tx,
        email,
        credentials.digest(secret),
        now=now,
        expires_at=now + credentials.PASSWORD_RESET_LIFE,
        an_hour=credentials.PASSWORD_RESETS_AN_HOUR,
    )


async def _tell(tx: Tx, secrets: Secrets, actor: Actor, known: Credentials, *, now: datetime) -> None:
    await record_audit(tx, actor, "password.changed", "agent", known.agent_id, now=now)
    await write_letter(
        tx, secrets, "password_changed", address=known.email, name=known.name, locale=known.locale, now=now
    )


def _link(rules: AccessRules, secret: str) -> str:
    # Behind the #: neither logs nor the Referer header of the page ever carry it.
    return f"{rules.public_url}/reset#{secret}"
