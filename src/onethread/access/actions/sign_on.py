"""Signing in through the organisation's own server (OpenID Connect)."""

import re
from dataclasses import dataclass
from datetime import datetime

from onethread.access import queries
from onethread.access.actions.audit import record_audit
from onethread.access.actions.sign_in import Device, SignedIn, actor_of, open_session
from onethread.access.credentials import OIDC_ATTEMPT_LIFE, digest, normalised_email
from onethread.access.model import AccessRules, Agent
from onethread.access.oidc import Person, SignOn, SignOnFailed
from onethread.access.store import agents, sessions
from onethread.access.store.sessions import OidcAttempt
from onethread.kernel.errors import Invalid
from onethread.platform.db import Database, Tx

# A path of ours: neither `//elsewhere.example` nor `/\elsewhere.example`, which browsers read alike.
_OWN_PATH = re.compile(r"/(?![/\\])[!-~]*")


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the browser goes, and the state that must come back in its cookie and in the answer."""

    address: str
    state: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A session opened by the provider's word, and the page the browser wanted."""

    signed_in: SignedIn
    return_to: str


async def begin_sign_on(database: Database, sign_on: SignOn, *, return_to: str, now: datetime) -> Sent:
    """Prepare a sign-in at the provider; it must come back within ten minutes."""
    departure = await sign_on.departure(now=now)
    wanted = return_to if _OWN_PATH.fullmatch(return_to) else "/"
    attempt = OidcAttempt(departure.nonce, departure.verifier, wanted)
    async with database.transaction() as tx:
        await sessions.insert_oidc_attempt(
            tx, digest(departure.state), attempt, now=now, expires_at=now + OIDC_ATTEMPT_LIFE
        )
    return Sent(departure.address, departure.state)


async def finish_sign_on(
    database: Database,
    sign_on: SignOn,
    *,
    state: str,
    code: str,
    device: Device,
    rules: AccessRules,
    now: datetime,
) -> Returned:
    """Open a session for whom the provider vouches. Raises SignOnFailed, also for a state used before.

    The first time, the provider's verified e-mail address finds the agent; from then on its subject does.
    """
    async with database.transaction() as tx:
        attempt = await sessions.take_oidc_attempt(tx, digest(state), now=now)
    if attempt is None:
        raise SignOnFailed("This sign-in is too old or was used already. Start again from the sign-in page.")
    person = await sign_on.arrival(code=code, verifier=attempt.verifier, nonce=attempt.nonce, now=now)
    async with database.transaction() as tx:
        agent = await _agent_of(tx, person, device, now=now)
        opened = await open_session(tx, agent.id, way="oidc", device=device, rules=rules, now=now)
    return Returned(opened, attempt.return_to)


async def _agent_of(tx: Tx, person: Person, device: Device, *, now: datetime) -> Agent:
    known = await queries.agent_by_oidc(tx, person.issuer, person.subject)
    if known is not None:
        return known
    linked = await _linked(tx, person)
    if linked is None:
        raise SignOnFailed("Nobody here has your address. Ask an administrator for an invitation.")
    actor = actor_of(linked, address=device.address)
    after = {"issuer": person.issuer}
    await record_audit(tx, actor, "agent.sign_on_linked", "agent", linked.id, after=after, now=now)
    return linked


async def _linked(tx: Tx, person: Person) -> Agent | None:
    if person.email is None:
        return None
    try:
        email = normalised_email(person.email)
    except Invalid:
        return None
    agent_id = await agents.link_oidc(tx, email, issuer=person.issuer, subject=person.subject)
    return await queries.agent(tx, agent_id) if agent_id else None
