"""Invitations: offered by mail, good once."""

from dataclasses import dataclass, replace
from datetime import datetime

from onethread.access import credentials, queries
from onethread.access.actions.agents import NewAgent, admit
from onethread.access.actions.audit import record_audit
from onethread.access.actions.letters import write_letter
from onethread.access.actions.sign_in import Device, SignedIn, actor_of, open_session
from onethread.access.model import SYSTEM, AccessRules, Actor, Invitation, InvitationId
from onethread.access.store import tokens
from onethread.kernel.errors import Conflict, Gone, Invalid, NotFound
from onethread.kernel.ids import new_id
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation and its link, shown once: for those whom no letter reaches."""

    invitation: Invitation
    link: str


async def invite(
    tx: Tx, secrets: Secrets, actor: Actor, new: NewAgent, *, rules: AccessRules, now: datetime
) -> Invited:
    """Invite somebody by letter; an earlier open invitation to the address is withdrawn.

    Raises Conflict when somebody with this address is here already.
    """
    actor.require("agents.manage")
    actor.require_power_over(new.role)
    actor.require_limits(brands=new.brands)
    new = replace(new, email=credentials.normalised_email(new.email))
    await _check_exist(tx, new)
    secret = credentials.new_secret()
    invitation = Invitation(
        id=InvitationId(new_id()),
        email=new.email,
        name=new.name,
        role=new.role,
        only_own_teams=new.only_own_teams,
        teams=list(new.teams),
        brands=list(new.brands),
        invited_by=actor.agent_id,
        created_at=now,
        expires_at=now + credentials.INVITATION_LIFE,
    )
    await tokens.revoke_open_invitations(tx, new.email, now=now)
    if not await tokens.insert_invitation(tx, invitation, credentials.digest(secret)):
        raise Conflict("Somebody else is inviting this address at this moment.")
    await record_audit(
        tx,
        actor,
        "agent.invited",
        "invitation",
        invitation.id,
        now=now,
        after={"email": new.email, "role": new.role},
    )
    # Behind the #: neither logs nor the Referer header of the page ever carry it.
    link = f"{rules.public_url}/join#{secret}"
    await write_letter(
        tx, secrets, "invitation", address=new.email, name=new.name, locale=new.locale, link=link, now=now
    )
    return Invited(invitation, link)


async def withdraw_invitation(tx: Tx, actor: Actor, invitation_id: InvitationId, *, now: datetime) -> None:
    """Withdraw an open invitation; raises NotFound."""
    actor.require("agents.manage")
    withdrawn = await tokens.revoke_invitation(tx, invitation_id, now=now)
    if withdrawn is None:
        raise NotFound("No open invitation has this id.")
    await record_audit(tx, actor, "invitation.withdrawn", "invitation", invitation_id, now=now)


async def accept_invitation(
    database: Database,
    *,
    secret: str,
    name: str | None,
    password: str,
    locale: str,
    time_zone: str,
    device: Device,
    rules: AccessRules,
    now: datetime,
) -> SignedIn:
    """Join by the link of a letter and be signed in. Raises Gone for a link used, withdrawn or too old."""
    async with database.transaction() as tx:
        invitation = await tokens.use_invitation(tx, credentials.digest(secret), now=now)
        if invitation is None:
            raise Gone("This invitation was used, withdrawn or is too old; ask for a new one.")
        new = NewAgent(
            email=invitation.email,
            name=name or invitation.name,
            role=invitation.role,
            locale=locale,
            time_zone=time_zone,
            only_own_teams=invitation.only_own_teams,
            teams=invitation.teams,
            brands=invitation.brands,
        )
        inviter = await queries.agent(tx, invitation.invited_by) if invitation.invited_by else None
        agent = await admit(tx, actor_of(inviter) if inviter else SYSTEM, new, password=password, now=now)
        return await open_session(tx, agent.id, way="password", device=device, rules=rules, now=now)


async def _check_exist(tx: Tx, new: NewAgent) -> None:
    if await queries.agent_by_email(tx, new.email):
        raise Conflict("Somebody with this e-mail address is here already.", field="email")
    if await queries.known_teams(tx, new.teams) != set(new.teams):
        raise Invalid("One of these teams does not exist.", field="teams")
    if await queries.known_brands(tx, new.brands) != set(new.brands):
        raise Invalid("One of these brands does not exist.", field="brands")
