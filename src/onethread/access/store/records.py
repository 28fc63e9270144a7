"""The audit log and the letters that wait to be posted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.types.json import Jsonb

from onethread.access.model import AuditEntry
from onethread.platform.db import Tx

LEASE = timedelta(minutes=5)  # a letter whose sender died is taken up again after this


async def insert_audit(tx: Tx, entry: AuditEntry) -> None:
    await tx.run(
        """
        INSERT INTO access.audit
               (id, at, actor_kind, actor_id, actor_name, act, subject_kind, subject_id, before, after, address)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            entry.id,
            entry.at,
            entry.actor_kind,
            entry.actor_id,
            entry.actor_name,
            entry.act,
            entry.subject_kind,
            entry.subject_id,
            None if entry.before is None else Jsonb(entry.before),
            None if entry.after is None else Jsonb(entry.after),
            entry.address,
        ),
    )


@dataclass(frozen=True, slots=True)
class WaitingLetter:
    """A letter claimed for posting; `attempts` counts this one."""

    id: UUID
    address: str
    sealed: bytes
    attempts: int


async def insert_letter(tx: Tx, letter_id: UUID, address: str, sealed: bytes, *, now: datetime, wanted: bool) -> None:
    """Keep a letter to be posted; one not wanted costs the same time and is not kept."""
    await tx.run(
        """
        INSERT INTO access.letter (id, address, sealed, created_at, due_at)
        SELECT %s, %s, %s, %s, %s WHERE %s
        """,
        (letter_id, address, sealed, now, now, wanted),
    )


async def claim_letters(tx: Tx, *, now: datetime, limit: int) -> list[WaitingLetter]:
    """Take due letters for LEASE; two claimers never get the same one."""
    return await tx.all(
        WaitingLetter,
        """
        UPDATE access.letter SET attempts = attempts + 1, due_at = %(lease)s
         WHERE id IN (SELECT id FROM access.letter
                       WHERE due_at <= %(now)s AND posted_at IS NULL AND failed_at IS NULL
                       ORDER BY due_at
                       LIMIT %(limit)s
                         FOR UPDATE SKIP LOCKED)
        RETURNING id, address, sealed, attempts
        """,
        {"now": now, "lease": now + LEASE, "limit": limit},
    )


async def mark_posted(tx: Tx, letter_id: UUID, *, now: datetime) -> None:
    """Note that a letter left, and forget what it said."""
    await tx.run("UPDATE access.letter SET posted_at = %s, sealed = NULL WHERE id = %s", (now, letter_id))


async def mark_failed(tx: Tx, letter_id: UUID, error: str, *, now: datetime) -> None:
    """Give a letter up, and forget what it said."""
    await tx.run(
        "UPDATE access.letter SET failed_at = %s, error = %s, sealed = NULL WHERE id = %s", (now, error, letter_id)
    )


async def put_off(tx: Tx, letter_id: UUID, error: str, *, until: datetime) -> None:
    await tx.run("UPDATE access.letter SET due_at = %s, error = %s WHERE id = %s", (until, error, letter_id))
