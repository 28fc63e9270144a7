"""What screens and decisions read of this room."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from onethread.access.model import Agent, ApiKey, AuditEntry, Brand, Invitation, Organisation, Session, Team
from onethread.access.store.agents import Credentials
from onethread.kernel.ids import AgentId, BrandId, TeamId
from onethread.platform.db import Tx

_BRAND: Final[LiteralString] = """
    SELECT id, name, slug, default_country, locale, time_zone, reopen_days, undo_seconds, colours, created_at
      FROM access.brand
"""
_AGENT: Final[LiteralString] = """
    SELECT id, email, name, role, locale, time_zone, state, only_own_teams,
           ARRAY(SELECT team_id FROM access.membership WHERE agent_id = agent.id ORDER BY team_id) AS teams,
           ARRAY(SELECT brand_id FROM access.agent_brand WHERE agent_id = agent.id ORDER BY brand_id) AS brands,
           totp_confirmed_at IS NOT NULL AS second_factor, password_hash IS NOT NULL AS has_password,
           created_at, signed_in_at
      FROM access.agent
"""
_TEAM: Final[LiteralString] = """
    SELECT id, name, active,
           ARRAY(SELECT agent_id FROM access.membership WHERE team_id = team.id ORDER BY agent_id) AS members,
           created_at
      FROM access.team
"""
_CREDENTIALS: Final[LiteralString] = """
    SELECT id AS agent_id, email, name, locale, password_hash, totp_secret,
           totp_confirmed_at IS NOT NULL AS totp_confirmed, totp_step
      FROM access.agent
"""


async def organisation(tx: Tx) -> Organisation | None:
    """Return the organisation, None before it was founded."""
    return await tx.one(Organisation, "SELECT id, name, created_at FROM access.organisation")


async def is_founded(tx: Tx) -> bool:
    """Tell whether somebody may sign in at all."""
    founded: bool = await tx.value("SELECT EXISTS (SELECT FROM access.agent)")
    return founded


async def brands(tx: Tx) -> list[Brand]:
    """Return every brand, the oldest first."""
    return await tx.all(Brand, _BRAND + " ORDER BY id")


async def brand(tx: Tx, brand_id: BrandId) -> Brand | None:
    return await tx.one(Brand, _BRAND + " WHERE id = %s", (brand_id,))


async def brand_by_slug(tx: Tx, slug: str) -> Brand | None:
    return await tx.one(Brand, _BRAND + " WHERE slug = %s", (slug,))


async def known_brands(tx: Tx, ids: Collection[BrandId]) -> set[BrandId]:
    """Return those of the ids that are brands."""
    return set(await tx.values("SELECT id FROM access.brand WHERE id = ANY (%s::uuid[])", (list(ids),)))


async def agents(tx: Tx) -> list[Agent]:
    """Return every agent by name, disabled ones included."""
    return await tx.all(Agent, _AGENT + " ORDER BY lower(name), id")


async def agent(tx: Tx, agent_id: AgentId) -> Agent | None:
    return await tx.one(Agent, _AGENT + " WHERE id = %s", (agent_id,))


async def agent_by_email(tx: Tx, email: str) -> Agent | None:
    """Return the agent of a normalised address."""
    return await tx.one(Agent, _AGENT + " WHERE email = %s", (email,))


async def agent_by_oidc(tx: Tx, issuer: str, subject: str) -> Agent | None:
    return await tx.one(Agent, _AGENT + " WHERE oidc_issuer = %s AND oidc_subject = %s", (issuer, subject))


async def credentials_by_email(tx: Tx, email: str) -> Credentials | None:
    """Return what the active agent of a normalised address is checked against."""
    return await tx.one(Credentials, _CREDENTIALS + " WHERE email = %s AND state = 'active'", (email,))


async def credentials(tx: Tx, agent_id: AgentId) -> Credentials | None:
    """Return what an active agent is checked against."""
    return await tx.one(Credentials, _CREDENTIALS + " WHERE id = %s AND state = 'active'", (agent_id,))


async def teams(tx: Tx) -> list[Team]:
    """Return every team by name, retired ones included."""
    return await tx.all(Team, _TEAM + " ORDER BY lower(name), id")


async def team(tx: Tx, team_id: TeamId) -> Team | None:
    return await tx.one(Team, _TEAM + " WHERE id = %s", (team_id,))


async def known_teams(tx: Tx, ids: Collection[TeamId]) -> set[TeamId]:
    """Return those of the ids that are teams."""
    return set(await tx.values("SELECT id FROM access.team WHERE id = ANY (%s::uuid[])", (list(ids),)))


async def sessions(tx: Tx, agent_id: AgentId, *, now: datetime, idle_since: datetime) -> list[Session]:
    """Return the agent's live sessions, the one seen last first."""
    return await tx.all(
        Session,
        """
        SELECT id, way, created_at, seen_at, expires_at, user_agent, address
          FROM access.session
         WHERE agent_id = %s AND revoked_at IS NULL AND expires_at > %s AND seen_at > %s
         ORDER BY seen_at DESC, id
        """,
        (agent_id, now, idle_since),
    )


async def open_invitations(tx: Tx) -> list[Invitation]:
    """Return invitations neither used nor revoked, the newest first; those too old say so by `expires_at`."""
    return await tx.all(
        Invitation,
        """
        SELECT id, email, name, role, only_own_teams, teams, brands, invited_by, created_at, expires_at
          FROM access.invitation
         WHERE used_at IS NULL AND revoked_at IS NULL
         ORDER BY id DESC
        """,
    )


async def keys(tx: Tx) -> list[ApiKey]:
    """Return every API key, the newest first, revoked ones included."""
    return await tx.all(
        ApiKey,
        """
        SELECT id, name, prefix, role, scopes, brands, created_by, created_at, last_used_at, expires_at, revoked_at
          FROM access.api_key
         ORDER BY id DESC
        """,
    )


async def audit(
    tx: Tx, *, before: UUID | None, limit: int, subject_kind: str | None = None, subject_id: UUID | None = None
) -> list[AuditEntry]:
    """Return acts older than the entry `before`, the newest first; a subject narrows them."""
    return await tx.all(
        AuditEntry,
        """
        SELECT id, at, actor_kind, actor_id, actor_name, act, subject_kind, subject_id, before, after, address
          FROM access.audit
         WHERE (%(before)s::uuid IS NULL OR id < %(before)s)
           AND (%(kind)s::text IS NULL OR subject_kind = %(kind)s)
           AND (%(subject)s::uuid IS NULL OR subject_id = %(subject)s)
         ORDER BY id DESC
         LIMIT %(limit)s
        """,
        {"before": before, "kind": subject_kind, "subject": subject_id, "limit": limit},
    )
