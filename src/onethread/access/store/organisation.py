"""The organisation, its brands and its teams."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from onethread.access.model import Brand, Organisation
from onethread.kernel.ids import AgentId, BrandId, TeamId
from onethread.platform.db import Tx

_ONE_FOUNDING = 0x666F_756E  # "foun", an advisory lock


async def only_one_founds(tx: Tx) -> None:
    """Let one founding at a time proceed; the lock ends with the transaction."""
    await tx.value("SELECT pg_advisory_xact_lock(%s)", (_ONE_FOUNDING,))


async def insert_organisation(tx: Tx, organisation: Organisation) -> bool:
    """Insert the one organisation; tell whether there was none."""
    inserted = await tx.run(
        "INSERT INTO access.organisation (id, name, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (organisation.id, organisation.name, organisation.created_at),
    )
    return inserted == 1


async def rename_organisation(tx: Tx, name: str) -> Organisation | None:
    """Rename the organisation; return what it was before."""
    return await tx.one(
        Organisation,
        """
        WITH before AS (SELECT id, name, created_at FROM access.organisation FOR UPDATE)
        UPDATE access.organisation SET name = %s FROM before WHERE organisation.id = before.id
        RETURNING before.id, before.name, before.created_at
        """,
        (name,),
    )


async def insert_brand(tx: Tx, brand: Brand) -> bool:
    """Insert the brand; tell whether its slug was free."""
    inserted = await tx.run(
        """
        INSERT INTO access.brand (id, name, slug, default_country, locale, time_zone,
                                  reopen_days, undo_seconds, colours, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (slug) DO NOTHING
        """,
        (
            brand.id,
            brand.name,
            brand.slug,
            brand.default_country,
            brand.locale,
            brand.time_zone,
            brand.reopen_days,
            brand.undo_seconds,
            Jsonb(brand.colours),
            brand.created_at,
        ),
    )
    return inserted == 1


async def locked_brand(tx: Tx, brand_id: BrandId) -> Brand | None:
    """Return the brand and keep others from changing it until the transaction ends."""
    return await tx.one(
        Brand,
        """
        SELECT id, name, slug, default_country, locale, time_zone, reopen_days, undo_seconds, colours, created_at
          FROM access.brand WHERE id = %s FOR UPDATE
        """,
        (brand_id,),
    )


async def update_brand(tx: Tx, brand: Brand) -> None:
    """Write everything of a brand but its slug, which is its name in addresses."""
    await tx.run(
        """
        UPDATE access.brand
           SET name = %s, default_country = %s, locale = %s, time_zone = %s,
               reopen_days = %s, undo_seconds = %s, colours = %s
         WHERE id = %s
        """,
        (
            brand.name,
            brand.default_country,
            brand.locale,
            brand.time_zone,
            brand.reopen_days,
            brand.undo_seconds,
            Jsonb(brand.colours),
            brand.id,
        ),
    )


async def insert_team(tx: Tx, team_id: TeamId, name: str, *, now: datetime) -> bool:
    """Insert the team; tell whether no active team has the name."""
    inserted = await tx.run(
        """
        INSERT INTO access.team (id, name, created_at) VALUES (%s, %s, %s)
            ON CONFLICT (lower(name)) WHERE active DO NOTHING
        """,
        (team_id, name, now),
    )
    return inserted == 1


async def update_team(tx: Tx, team_id: TeamId, *, name: str, active: bool) -> bool:
    """Write the team; tell whether no other active team has the name."""
    try:
        async with tx.savepoint():
            await tx.run("UPDATE access.team SET name = %s, active = %s WHERE id = %s", (name, active, team_id))
    except UniqueViolation:
        return False
    return True


@dataclass(frozen=True, slots=True)
class TeamRow:
    """What is written of a team, members aside."""

    id: TeamId
    name: str
    active: bool


async def locked_team(tx: Tx, team_id: TeamId) -> TeamRow | None:
    """Return the team and keep others from changing it until the transaction ends."""
    return await tx.one(TeamRow, "SELECT id, name, active FROM access.team WHERE id = %s FOR UPDATE", (team_id,))


async def replace_members(tx: Tx, team_id: TeamId, members: Collection[AgentId]) -> int:
    """Make these the members; return how many of them exist."""
    await tx.run(
        "DELETE FROM access.membership WHERE team_id = %s AND agent_id <> ALL (%s::uuid[])", (team_id, list(members))
    )
    await tx.run(
        """
        INSERT INTO access.membership (agent_id, team_id)
        SELECT id, %s FROM access.agent WHERE id = ANY (%s::uuid[])
            ON CONFLICT DO NOTHING
        """,
        (team_id, list(members)),
    )
    held: int = await tx.value("SELECT count(*) FROM access.membership WHERE team_id = %s", (team_id,))
    return held
