"""The second factor: an authenticator's codes, and recovery codes for the day it is lost."""

from dataclasses import dataclass
from datetime import datetime

from onethread.access import credentials, queries
from onethread.access.actions.audit import record_audit
from onethread.access.actions.sign_in import TOTP_PURPOSE, forget, proven, second_factor_holds, the_agent, totp_secret
from onethread.access.model import Actor
from onethread.access.store import agents
from onethread.kernel.errors import Conflict, Invalid, NotFound
from onethread.kernel.ids import AgentId
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets

_WRONG = "This code is wrong or was used already; wait for the next one."


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator needs: the secret in base32, and the same as an address for a QR code."""

    secret: str
    uri: str


async def enrol_second_factor(
    database: Database, secrets: Secrets, actor: Actor, *, current_password: str | None, now: datetime
) -> Enrolment:
    """Give the actor a fresh secret, in force once a code confirms it; raises Conflict when one is in force."""
    known = await proven(database, actor, current_password, now=now)
    secret = credentials.new_totp_secret()
    async with database.transaction() as tx:
        await forget(tx, known)
        sealed = secrets.encrypt(secret.encode(), purpose=TOTP_PURPOSE)
        if not await agents.set_totp(tx, known.agent_id, sealed):
            raise Conflict("A second factor is set up already; remove it first.")
        organisation = await queries.organisation(tx)
    issuer = organisation.name if organisation else "Onethread"
    return Enrolment(secret, credentials.totp_uri(secret, email=known.email, organisation=issuer))


async def confirm_second_factor(tx: Tx, secrets: Secrets, actor: Actor, *, code: str, now: datetime) -> list[str]:
    """Put the waiting secret into force and return fresh recovery codes, shown this once."""
    agent_id = the_agent(actor)
    known = await queries.credentials(tx, agent_id)
    secret = known and totp_secret(secrets, known)
    if known is None or known.totp_secret is None or known.totp_confirmed or not secret:
        raise Conflict("There is no second factor waiting to be confirmed; start again.")
    step = credentials.totp_step(secret, code, now, after=None)
    if step is None:
        raise Invalid(_WRONG, field="code")
    if not await agents.confirm_totp(tx, agent_id, known.totp_secret, step=step, now=now):
        raise Conflict("There is no second factor waiting to be confirmed; start again.")
    await record_audit(tx, actor, "second_factor.set_up", "agent", agent_id, now=now)
    return await _fresh_codes(tx, agent_id)


async def renew_recovery_codes(
    database: Database, secrets: Secrets, actor: Actor, *, current_password: str | None, code: str, now: datetime
) -> list[str]:
    """Replace the recovery codes by fresh ones, shown this once."""
    known = await proven(database, actor, current_password, now=now)
    async with database.transaction() as tx:
        if not known.totp_confirmed or not await second_factor_holds(tx, secrets, known, code, now=now):
            raise Invalid(_WRONG, field="code")
        await forget(tx, known)
        await record_audit(tx, actor, "recovery_codes.renewed", "agent", known.agent_id, now=now)
        return await _fresh_codes(tx, known.agent_id)


async def disable_second_factor(
    database: Database, secrets: Secrets, actor: Actor, *, current_password: str | None, code: str, now: datetime
) -> None:
    """Take the actor's own second factor away, against the password and a last code."""
    known = await proven(database, actor, current_password, now=now)
    async with database.transaction() as tx:
        if not known.totp_confirmed or not await second_factor_holds(tx, secrets, known, code, now=now):
            raise Invalid(_WRONG, field="code")
        await forget(tx, known)
        await agents.remove_totp(tx, known.agent_id)
        await record_audit(tx, actor, "second_factor.removed", "agent", known.agent_id, now=now)


async def remove_second_factor_of(tx: Tx, actor: Actor, agent_id: AgentId, *, now: datetime) -> None:
    """Take away the second factor of somebody who lost both telephone and recovery codes."""
    actor.require("agents.manage")
    agent = await queries.agent(tx, agent_id)
    if agent is None:
        raise NotFound("No agent has this id.")
    actor.require_power_over_agent(agent)
    if not await agents.remove_totp(tx, agent_id):
        raise Conflict("This agent has no second factor.")
    await record_audit(tx, actor, "second_factor.removed", "agent", agent_id, now=now)


async def _fresh_codes(tx: Tx, agent_id: AgentId) -> list[str]:
    codes = credentials.new_recovery_codes()
    await agents.replace_recovery_codes(tx, agent_id, [credentials.recovery_digest(code) for code in codes])
    return codes
