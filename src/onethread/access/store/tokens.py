"""Things good once: invitations and password resets; and API keys, good until revoked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.access.model import ApiKey, Invitation, InvitationId, Permission, Role
from onethread.kernel.ids import AgentId, BrandId, KeyId
from onethread.platform.db import Tx


async def insert_invitation(tx: Tx, invitation: Invitation, secret_hash: bytes) -> bool:
    """Insert the invitation in place of an open one to the same address; tell whether it was inserted."""
    inserted = await tx.run(
        """
        INSERT INTO access.invitation
               (id, secret_hash, email, name, role, only_own_teams, teams, brands, invited_by, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s::uuid[], %s::uuid[], %s, %s, %s)
            ON CONFLICT (email) WHERE used_at IS NULL AND revoked_at IS NULL DO NOTHING
        """,
        (
            invitation.id,
            secret_hash,
            invitation.email,
            invitation.name,
            invitation.role,
            invitation.only_own_teams,
            list(invitation.teams),
            list(invitation.brands),
            invitation.invited_by,
            invitation.created_at,
            invitation.expires_at,
        ),
    )
    return inserted == 1


async def revoke_open_invitations(tx: Tx, email: str, *, now: datetime) -> None:
    await tx.run(
        "UPDATE access.invitation SET revoked_at = %s WHERE email = %s AND used_at IS NULL AND revoked_at IS NULL",
        (now, email),
    )


async def revoke_invitation(tx: Tx, invitation_id: InvitationId, *, now: datetime) -> Invitation | None:
    """Withdraw an open invitation and return it."""
    return await tx.one(
        Invitation,
        """
        UPDATE access.invitation SET revoked_at = %s
         WHERE id = %s AND used_at IS NULL AND revoked_at IS NULL
        RETURNING id, email, name, role, only_own_teams, teams, brands, invited_by, created_at, expires_at
        """,
        (now, invitation_id),
    )


async def revoke_invitations_of(tx: Tx, agent_id: AgentId, *, now: datetime) -> None:
    """Withdraw what somebody offered who may offer nothing any more."""
    await tx.run(
        "UPDATE access.invitation SET revoked_at = %s WHERE invited_by = %s AND used_at IS NULL AND revoked_at IS NULL",
        (now, agent_id),
    )


async def use_invitation(tx: Tx, secret_hash: bytes, *, now: datetime) -> Invitation | None:
    """Use an invitation up and return it; None when it is unknown, used, revoked or too old."""
    return await tx.one(
        Invitation,
        """
        UPDATE access.invitation SET used_at = %(now)s
         WHERE secret_hash = %(hash)s AND used_at IS NULL AND revoked_at IS NULL AND expires_at > %(now)s
        RETURNING id, email, name, role, only_own_teams, teams, brands, invited_by, created_at, expires_at
        """,
        {"hash": secret_hash, "now": now},
    )


async def insert_password_reset(
    tx: Tx, email: str, secret_hash: bytes, *, now: datetime, expires_at: datetime, an_hour: int
) -> bool:
    """Insert a reset for the active agent of an address, at most so many an hour; tell whether it was."""
    inserted = await tx.run(
        """
        INSERT INTO access.password_reset (secret_hash, agent_id, created_at, expires_at)
        SELECT %(hash)s, id, %(now)s, %(expires)s
          FROM access.agent
         WHERE email = %(email)s AND state = 'active'
           AND (SELECT count(*) FROM access.password_reset
                 WHERE agent_id = agent.id AND created_at > %(now)s - interval '1 hour') < %(an_hour)s
        """,
        {"email": email, "hash": secret_hash, "now": now, "expires": expires_at, "an_hour": an_hour},
    )
    return inserted == 1


async def use_password_reset(tx: Tx, secret_hash: bytes, *, now: datetime) -> AgentId | None:
    """Use a reset up, and every other open one of the same agent; return whose it was."""
    agent_id: AgentId | None = await tx.value(
        """
        WITH used AS (
            UPDATE access.password_reset SET used_at = %(now)s
             WHERE secret_hash = %(hash)s AND used_at IS NULL AND expires_at > %(now)s
            RETURNING agent_id
        ), others AS (
            UPDATE access.password_reset SET used_at = %(now)s
             WHERE agent_id IN (SELECT agent_id FROM used) AND secret_hash <> %(hash)s AND used_at IS NULL
        )
        SELECT used.agent_id FROM used JOIN access.agent ON agent.id = used.agent_id AND agent.state = 'active'
        """,
        {"hash": secret_hash, "now": now},
    )
    return agent_id


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key in force, as one lookup finds it."""

    id: KeyId
    name: str
    role: Role
    scopes: Sequence[Permission] | None
    brands: Sequence[BrandId]


async def insert_key(tx: Tx, key: ApiKey, secret_hash: bytes) -> None:
    await tx.run(
        """
        INSERT INTO access.api_key
               (id, name, prefix, secret_hash, role, scopes, brands, created_by, created_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s::text[], %s::uuid[], %s, %s, %s)
        """,
        (
            key.id,
            key.name,
            key.prefix,
            secret_hash,
            key.role,
            None if key.scopes is None else list(key.scopes),
            list(key.brands),
            key.created_by,
            key.created_at,
            key.expires_at,
        ),
    )


async def used_key(tx: Tx, secret_hash: bytes, *, now: datetime) -> KnownKey | None:
    """Return the key of a secret if it is in force, noting at most once a minute that it was used."""
    return await tx.one(
        KnownKey,
        """
        WITH used AS (
            UPDATE access.api_key SET last_used_at = %(now)s
             WHERE secret_hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
               AND (last_used_at IS NULL OR last_used_at < %(now)s - interval '1 minute')
        )
        SELECT id, name, role, scopes, brands
          FROM access.api_key
         WHERE secret_hash = %(hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
        """,
        {"hash": secret_hash, "now": now},
    )


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """What a key was."""

    name: str
    role: Role
    brands: Sequence[BrandId]


async def revoke_key(tx: Tx, key_id: KeyId, *, now: datetime) -> RevokedKey | None:
    """Revoke a key in force and return what it was; None when there is none."""
    return await tx.one(
        RevokedKey,
        "UPDATE access.api_key SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL RETURNING name, role, brands",
        (now, key_id),
    )
