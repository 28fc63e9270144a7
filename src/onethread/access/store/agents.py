"""Agents, their limits, passwords and second factors."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from onethread.access.model import AgentState, Role
from onethread.kernel.ids import AgentId, BrandId, TeamId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class AgentRow:
    """What is written of an agent, limits aside."""

    id: AgentId
    email: str
    name: str
    role: Role
    locale: str
    time_zone: str
    state: AgentState
    only_own_teams: bool


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an agent is checked against. `totp_secret` is sealed; unconfirmed ones check nothing."""

    agent_id: AgentId
    email: str
    name: str
    locale: str
    password_hash: str | None
    totp_secret: bytes | None
    totp_confirmed: bool
    totp_step: int | None


async def insert_agent(tx: Tx, agent: AgentRow, *, password_hash: str | None, now: datetime) -> bool:
    """Insert the agent; tell whether the address was free."""
    inserted = await tx.run(
        """
        INSERT INTO access.agent
               (id, email, name, role, locale, time_zone, state, only_own_teams, password_hash, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (email) DO NOTHING
        """,
        (
            agent.id,
            agent.email,
            agent.name,
            agent.role,
            agent.locale,
            agent.time_zone,
            agent.state,
            agent.only_own_teams,
            password_hash,
            now,
        ),
    )
    return inserted == 1


async def locked_agent(tx: Tx, agent_id: AgentId) -> AgentRow | None:
    """Return the agent and keep others from changing it until the transaction ends."""
    return await tx.one(
        AgentRow,
        """
        SELECT id, email, name, role, locale, time_zone, state, only_own_teams
          FROM access.agent WHERE id = %s FOR UPDATE
        """,
        (agent_id,),
    )


async def locked_owners(tx: Tx) -> list[AgentId]:
    """Return the active owners and keep others from changing them until the transaction ends."""
    return await tx.values(
        "SELECT id FROM access.agent WHERE role = 'owner' AND state = 'active' ORDER BY id FOR UPDATE"
    )


async def update_agent(tx: Tx, agent: AgentRow) -> None:
    await tx.run(
        """
        UPDATE access.agent
           SET name = %s, role = %s, locale = %s, time_zone = %s, state = %s, only_own_teams = %s
         WHERE id = %s
        """,
        (agent.name, agent.role, agent.locale, agent.time_zone, agent.state, agent.only_own_teams, agent.id),
    )


async def replace_teams(tx: Tx, agent_id: AgentId, teams: Collection[TeamId]) -> int:
    """Make these the agent's teams; return how many of them exist."""
    await tx.run(
        "DELETE FROM access.membership WHERE agent_id = %s AND team_id <> ALL (%s::uuid[])", (agent_id, list(teams))
    )
    await tx.run(
        """
        INSERT INTO access.membership (agent_id, team_id)
        SELECT %s, id FROM access.team WHERE id = ANY (%s::uuid[])
            ON CONFLICT DO NOTHING
        """,
        (agent_id, list(teams)),
    )
    held: int = await tx.value("SELECT count(*) FROM access.membership WHERE agent_id = %s", (agent_id,))
    return held


async def replace_brands(tx: Tx, agent_id: AgentId, brands: Collection[BrandId]) -> int:
    """Limit the agent to these brands (none: every brand); return how many of them exist."""
    await tx.run(
        "DELETE FROM access.agent_brand WHERE agent_id = %s AND brand_id <> ALL (%s::uuid[])", (agent_id, list(brands))
    )
    await tx.run(
        """
        INSERT INTO access.agent_brand (agent_id, brand_id)
        SELECT %s, id FROM access.brand WHERE id = ANY (%s::uuid[])
            ON CONFLICT DO NOTHING
        """,
        (agent_id, list(brands)),
    )
    held: int = await tx.value("SELECT count(*) FROM access.agent_brand WHERE agent_id = %s", (agent_id,))
    return held


async def set_password(tx: Tx, agent_id: AgentId, password_hash: str, *, instead_of: str | None = None) -> bool:
    """Write a password; with `instead_of` only while that is still the one."""
    written = await tx.run(
        """
        UPDATE access.agent SET password_hash = %(new)s
         WHERE id = %(id)s AND (%(old)s::text IS NULL OR password_hash = %(old)s)
        """,
        {"id": agent_id, "new": password_hash, "old": instead_of},
    )
    return written == 1


async def set_totp(tx: Tx, agent_id: AgentId, sealed: bytes) -> bool:
    """Keep a secret to be confirmed; tell whether none was in force."""
    written = await tx.run(
        """
        UPDATE access.agent SET totp_secret = %s, totp_step = NULL
         WHERE id = %s AND totp_confirmed_at IS NULL
        """,
        (sealed, agent_id),
    )
    return written == 1


async def confirm_totp(tx: Tx, agent_id: AgentId, sealed: bytes, *, step: int, now: datetime) -> bool:
    """Put the secret into force; tell whether it still was the one waiting."""
    written = await tx.run(
        """
        UPDATE access.agent SET totp_confirmed_at = %s, totp_step = %s
         WHERE id = %s AND totp_secret = %s AND totp_confirmed_at IS NULL
        """,
        (now, step, agent_id, sealed),
    )
    return written == 1


async def use_totp_step(tx: Tx, agent_id: AgentId, step: int) -> bool:
    """Use up a step; tell whether no later one had been used: two at once cannot both win."""
    used = await tx.run(
        """
        UPDATE access.agent SET totp_step = %(step)s
         WHERE id = %(id)s AND totp_confirmed_at IS NOT NULL AND (totp_step IS NULL OR totp_step < %(step)s)
        """,
        {"id": agent_id, "step": step},
    )
    return used == 1


async def remove_totp(tx: Tx, agent_id: AgentId) -> bool:
    """Take the second factor and its recovery codes away; tell whether there was one."""
    await tx.run("DELETE FROM access.recovery_code WHERE agent_id = %s", (agent_id,))
    removed = await tx.run(
        """
        UPDATE access.agent SET totp_secret = NULL, totp_confirmed_at = NULL, totp_step = NULL
         WHERE id = %s AND totp_secret IS NOT NULL
        """,
        (agent_id,),
    )
    return removed == 1


async def replace_recovery_codes(tx: Tx, agent_id: AgentId, code_hashes: list[bytes]) -> None:
    await tx.run("DELETE FROM access.recovery_code WHERE agent_id = %s", (agent_id,))
    await tx.run(
        "INSERT INTO access.recovery_code (agent_id, code_hash) SELECT %s, unnest(%s::bytea[])",
        (agent_id, code_hashes),
    )


async def use_recovery_code(tx: Tx, agent_id: AgentId, code_hash: bytes, *, now: datetime) -> bool:
    """Use a recovery code up; tell whether it was a good one."""
    used = await tx.run(
        """
        UPDATE access.recovery_code SET used_at = %s
         WHERE agent_id = %s AND code_hash = %s AND used_at IS NULL
        """,
        (now, agent_id, code_hash),
    )
    return used == 1


async def link_oidc(tx: Tx, email: str, *, issuer: str, subject: str) -> AgentId | None:
    """Tie a provider's person to the active agent of that address, unless this provider has another there."""
    agent_id: AgentId | None = await tx.value(
        """
        UPDATE access.agent SET oidc_issuer = %(issuer)s, oidc_subject = %(subject)s
         WHERE email = %(email)s AND state = 'active' AND oidc_issuer IS DISTINCT FROM %(issuer)s
        RETURNING id
        """,
        {"email": email, "issuer": issuer, "subject": subject},
    )
    return agent_id
