"""Sessions, sign-in attempts and single-sign-on attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.access.credentials import FAILURES_FORGOTTEN_AFTER, LOCKS
from onethread.access.model import Role, SessionId, SignInWay
from onethread.kernel.ids import AgentId, BrandId, TeamId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class SignedInAgent:
    """A live session and the agent behind it, as one lookup finds them."""

    session_id: SessionId
    seen_at: datetime
    expires_at: datetime
    agent_id: AgentId
    name: str
    role: Role
    only_own_teams: bool
    teams: Sequence[TeamId]
    brands: Sequence[BrandId]


async def take_attempt(tx: Tx, address_hash: bytes, *, now: datetime) -> datetime | None:
    """Count one attempt before it is judged; return None, or until when nothing is tried.

    Counting first is what holds against many guesses at the same instant.
    """
    counted = await tx.value(
        """
        INSERT INTO access.sign_in_attempt AS attempt (address_hash, failures, failed_at, locked_until)
        VALUES (%(hash)s, 1, %(now)s, %(now)s + (%(locks)s::interval[])[1])
            ON CONFLICT (address_hash) DO UPDATE
           SET (failures, failed_at, locked_until) = (
                   SELECT after.failures, %(now)s,
                          %(now)s + (%(locks)s::interval[])[least(after.failures, cardinality(%(locks)s::interval[]))]
                     FROM (SELECT CASE WHEN attempt.failed_at < %(forgotten)s THEN 1
                                       ELSE attempt.failures + 1 END) AS after (failures))
         WHERE attempt.locked_until <= %(now)s
        RETURNING failures
        """,
        {"hash": address_hash, "now": now, "locks": list(LOCKS), "forgotten": now - FAILURES_FORGOTTEN_AFTER},
    )
    if counted is not None:
        return None
    locked_until: datetime = await tx.value(
        "SELECT locked_until FROM access.sign_in_attempt WHERE address_hash = %s", (address_hash,)
    )
    return locked_until


async def forget_attempts(tx: Tx, address_hash: bytes) -> None:
    await tx.run("DELETE FROM access.sign_in_attempt WHERE address_hash = %s", (address_hash,))


async def insert_session(
    tx: Tx,
    session_id: SessionId,
    secret_hash: bytes,
    *,
    agent_id: AgentId,
    way: SignInWay,
    now: datetime,
    expires_at: datetime,
    user_agent: str,
    address: str | None,
) -> bool:
    """Open a session of an agent who is still active; tell whether it was opened."""
    opened = await tx.run(
        """
        WITH agent AS (
            UPDATE access.agent SET signed_in_at = %(now)s
             WHERE id = %(agent)s AND state = 'active'
            RETURNING id
        )
        INSERT INTO access.session
               (id, secret_hash, agent_id, way, created_at, seen_at, expires_at, user_agent, address)
        SELECT %(id)s, %(hash)s, id, %(way)s, %(now)s, %(now)s, %(expires)s, %(user_agent)s, %(address)s
          FROM agent
        """,
        {
            "id": session_id,
            "hash": secret_hash,
            "agent": agent_id,
            "way": way,
            "now": now,
            "expires": expires_at,
            "user_agent": user_agent,
            "address": address,
        },
    )
    return opened == 1


async def seen_session(tx: Tx, secret_hash: bytes, *, now: datetime, idle_since: datetime) -> SignedInAgent | None:
    """Return the session of a secret with its agent, noting at most once a minute that it was seen.

    A session that has been idle since `idle_since` or is over is returned as it was, never revived.
    """
    return await tx.one(
        SignedInAgent,
        """
        WITH seen AS (
            UPDATE access.session SET seen_at = %(now)s
             WHERE secret_hash = %(hash)s AND revoked_at IS NULL
               AND seen_at < %(now)s - interval '1 minute' AND seen_at > %(idle_since)s AND expires_at > %(now)s
        )
        SELECT session.id AS session_id, session.seen_at, session.expires_at,
               agent.id AS agent_id, agent.name, agent.role, agent.only_own_teams,
               ARRAY(SELECT team_id FROM access.membership WHERE agent_id = agent.id) AS teams,
               ARRAY(SELECT brand_id FROM access.agent_brand WHERE agent_id = agent.id) AS brands
          FROM access.session
          JOIN access.agent ON agent.id = session.agent_id
         WHERE session.secret_hash = %(hash)s AND session.revoked_at IS NULL AND agent.state = 'active'
        """,
        {"hash": secret_hash, "now": now, "idle_since": idle_since},
    )


async def revoke_session(tx: Tx, session_id: SessionId, *, agent_id: AgentId, now: datetime) -> bool:
    """End one session of the agent; tell whether it was open."""
    ended = await tx.run(
        "UPDATE access.session SET revoked_at = %s WHERE id = %s AND agent_id = %s AND revoked_at IS NULL",
        (now, session_id, agent_id),
    )
    return ended == 1


async def revoke_sessions(tx: Tx, agent_id: AgentId, *, now: datetime, keep: SessionId | None = None) -> int:
    """End every session of the agent but `keep`; return how many were open."""
    return await tx.run(
        """
        UPDATE access.session SET revoked_at = %s
         WHERE agent_id = %s AND revoked_at IS NULL AND id IS DISTINCT FROM %s::uuid
        """,
        (now, agent_id, keep),
    )


@dataclass(frozen=True, slots=True)
class OidcAttempt:
    """What we must remember between sending a browser to the provider and its return."""

    nonce: str
    verifier: str
    return_to: str


async def insert_oidc_attempt(
    tx: Tx, state_hash: bytes, attempt: OidcAttempt, *, now: datetime, expires_at: datetime
) -> None:
    """Remember an attempt, and forget those nobody came back from: anybody may begin one."""
    await tx.run("DELETE FROM access.oidc_attempt WHERE expires_at <= %s", (now,))
    await tx.run(
        """
        INSERT INTO access.oidc_attempt (state_hash, nonce, verifier, return_to, expires_at)
        VALUES (%s, %s, %s, %s, %s)
        """,
        (state_hash, attempt.nonce, attempt.verifier, attempt.return_to, expires_at),
    )


async def take_oidc_attempt(tx: Tx, state_hash: bytes, *, now: datetime) -> OidcAttempt | None:
    """Take the attempt away, so that no answer of the provider is good twice."""
    return await tx.one(
        OidcAttempt,
        """
        DELETE FROM access.oidc_attempt WHERE state_hash = %s AND expires_at > %s
        RETURNING nonce, verifier, return_to
        """,
        (state_hash, now),
    )


async def delete_ended(tx: Tx, *, now: datetime, before: datetime) -> None:
    """Forget sessions and letters that ended before the moment, attempts and resets as soon as they count no more."""
    await tx.run("DELETE FROM access.session WHERE least(expires_at, revoked_at) < %s", (before,))
    await tx.run("DELETE FROM access.letter WHERE coalesce(posted_at, failed_at) < %s", (before,))
    await tx.run("DELETE FROM access.password_reset WHERE expires_at < %s", (now - FAILURES_FORGOTTEN_AFTER,))
    await tx.run(
        "DELETE FROM access.sign_in_attempt WHERE failed_at < %s AND locked_until <= %s",
        (now - FAILURES_FORGOTTEN_AFTER, now),
    )
