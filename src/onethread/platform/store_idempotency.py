"""SQL of the kept answers: table platform.idempotency."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from onethread.platform.db import Tx

Place = tuple[str, str, str, str]  # actor, key, method, path


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a request: its fingerprint and sealed answer. `lost`: carried out, and no answer will come."""

    request: bytes
    answer: bytes | None
    lost: bool


async def claim(tx: Tx, place: Place, request: bytes, id_: UUID, *, lease: timedelta, kept: timedelta) -> bool:
    """Claim a request that is new, too old to count, or was left behind by a process that died."""
    actor, key, method, path = place
    won = await tx.value(
        """
        INSERT INTO platform.idempotency AS known (actor, key, method, path, request, claim, claimed_until)
        VALUES (%(actor)s, %(key)s, %(method)s, %(path)s, %(request)s, %(claim)s, now() + %(lease)s)
            ON CONFLICT (actor, key, method, path) DO UPDATE
           SET request = excluded.request, claim = excluded.claim, claimed_until = excluded.claimed_until,
               answer = NULL, carried_out = NULL, created_at = now()
         WHERE known.created_at < now() - %(kept)s
            OR (known.answer IS NULL AND known.carried_out IS NULL AND known.claimed_until < now()
                AND known.request = excluded.request)
        RETURNING true
        """,
        {
            "actor": actor,
            "key": key,
            "method": method,
            "path": path,
            "request": request,
            "claim": id_,
            "lease": lease,
            "kept": kept,
        },
    )
    return won is True


async def known(tx: Tx, place: Place) -> Known | None:
    return await tx.one(
        Known,
        """
        SELECT request, answer, carried_out IS NOT NULL AND claimed_until < now() AS lost
          FROM platform.idempotency
         WHERE actor = %s AND key = %s AND method = %s AND path = %s
        """,
        place,
    )


async def mark_carried_out(tx: Tx, place: Place, id_: UUID) -> bool:
    """Note that this transaction, if it writes anything, carries the request out; False for a claim taken over."""
    marked = await tx.run(
        """
        UPDATE platform.idempotency
           SET carried_out = now()
         WHERE actor = %s AND key = %s AND method = %s AND path = %s AND claim = %s
           AND pg_current_xact_id_if_assigned() IS NOT NULL
        """,
        (*place, id_),
    )
    if marked:
        return True
    mine = await tx.value(
        """
        SELECT claim = %s
          FROM platform.idempotency
         WHERE actor = %s AND key = %s AND method = %s AND path = %s
        """,
        (id_, *place),
    )
    return mine is True


async def keep(tx: Tx, place: Place, id_: UUID, answer: bytes) -> None:
    await tx.run(
        """
        UPDATE platform.idempotency
           SET answer = %s
         WHERE actor = %s AND key = %s AND method = %s AND path = %s AND claim = %s
        """,
        (answer, *place, id_),
    )


async def release(tx: Tx, place: Place, id_: UUID) -> None:
    await tx.run(
        """
        DELETE FROM platform.idempotency
         WHERE actor = %s AND key = %s AND method = %s AND path = %s AND claim = %s
           AND answer IS NULL AND carried_out IS NULL
        """,
        (*place, id_),
    )


async def forget(tx: Tx, *, before: datetime) -> int:
    return await tx.run("DELETE FROM platform.idempotency WHERE created_at < %s", (before,))
