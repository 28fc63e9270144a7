"""SQL of the event log: table platform.event, its cursors and its dead letters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

import msgspec

from onethread.kernel.ids import BrandId, ConversationId, EventId
from onethread.platform.db import Tx
from onethread.platform.events.model import CursorLag, DeadLetter, Event, EventDraft

_COLUMNS: Final[LiteralString] = """
    id, seq, type, occurred_at, recorded_at, identifier_id, conversation_id, brand_id,
    actor_kind, actor_id, channel, source, source_id, payload
"""

_encode = msgspec.json.Encoder().encode


async def unseen_sources(tx: Tx, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Claim (source, source_id) pairs for ever; return those nobody had claimed before."""
    rows = await tx.tuples(
        """
        INSERT INTO platform.event_source (source, source_id)
        SELECT DISTINCT source, source_id
          FROM unnest(%b::text[], %b::text[]) AS given (source, source_id)
         ORDER BY source, source_id
            ON CONFLICT DO NOTHING
        RETURNING source, source_id
        """,
        ([source for source, _ in pairs], [source_id for _, source_id in pairs]),
    )
    return {(source, source_id) for source, source_id in rows}


async def insert_events(tx: Tx, drafts: Sequence[EventDraft]) -> None:
    """Insert the drafts in the given order with one statement."""
    await tx.run(
        """
        INSERT INTO platform.event
               (id, type, occurred_at, identifier_id, conversation_id, brand_id,
                actor_kind, actor_id, channel, source, source_id, payload)
        SELECT id, type, occurred_at, identifier_id, conversation_id, brand_id,
               actor_kind, actor_id, channel, source, source_id, payload::jsonb
          FROM unnest(%b::uuid[], %b::text[], %b::timestamptz[], %b::uuid[], %b::uuid[], %b::uuid[],
                      %b::text[], %b::uuid[], %b::text[], %b::text[], %b::text[], %b::text[])
               AS given (id, type, occurred_at, identifier_id, conversation_id, brand_id,
                         actor_kind, actor_id, channel, source, source_id, payload)
        """,
        (
            [draft.id for draft in drafts],
            [draft.type for draft in drafts],
            [draft.occurred_at for draft in drafts],
            [draft.identifier_id for draft in drafts],
            [draft.conversation_id for draft in drafts],
            [draft.brand_id for draft in drafts],
            [draft.by.kind for draft in drafts],
            [draft.by.id for draft in drafts],
            [draft.channel for draft in drafts],
            [draft.source for draft in drafts],
            [draft.source_id for draft in drafts],
            [_encode(draft.fact).decode() for draft in drafts],
        ),
    )


async def events_between(
    tx: Tx,
    after: int,
    upto: int,
    *,
    limit: int,
    types: Sequence[str] | None = None,
    brands: Sequence[BrandId] | None = None,
) -> list[Event]:
    """Return events with after < seq <= upto in order; `types` and `brands` None mean every one.

    Events of no brand belong to all of them.
    """
    return await tx.all(
        Event,
        """
        SELECT """
        + _COLUMNS
        + """
          FROM platform.event
         WHERE seq > %(after)s AND seq <= %(upto)s
           AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s::text[]))
           AND (%(brands)s::uuid[] IS NULL OR brand_id IS NULL OR brand_id = ANY (%(brands)s::uuid[]))
         ORDER BY seq
         LIMIT %(limit)s
        """,
        {
            "after": after,
            "upto": upto,
            "types": None if types is None else list(types),
            "brands": None if brands is None else list(brands),
            "limit": limit,
        },
    )


async def events_by_id(tx: Tx, ids: Sequence[EventId]) -> list[Event]:
    return await tx.all(
        Event,
        "SELECT " + _COLUMNS + " FROM platform.event WHERE id = ANY (%s::uuid[]) ORDER BY seq",
        (list(ids),),
    )


async def changes_of_conversation(tx: Tx, conversation_id: ConversationId, *, limit: int) -> list[Event]:
    """Return what was done with a conversation (assigned, closed…), newest first, messages left out."""
    return await tx.all(
        Event,
        """
        SELECT """
        + _COLUMNS
        + """
          FROM platform.event
         WHERE conversation_id = %s AND channel IS NULL
         ORDER BY occurred_at DESC, id DESC
         LIMIT %s
        """,
        (conversation_id, limit),
    )


async def last_seq(tx: Tx) -> int:
    """Return the last position handed out; transactions below it may still be running."""
    value = await tx.value("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM platform.event_seq")
    return int(value)


async def ensure_cursor(tx: Tx, name: str, *, start: int) -> None:
    await tx.run(
        """
        INSERT INTO platform.cursor (name, seq) VALUES (%s, %s)
            ON CONFLICT (name) DO NOTHING
        """,
        (name, start),
    )


async def claim_cursor(tx: Tx, name: str) -> tuple[int, int, datetime | None] | None:
    """Lock a cursor and return (seq, attempts, retry_at), or None while another process has it.

    The commit will not wait for the disk: what is lost with a crash of the database is heard again, cursor
    and all, and whoever commits after it and does wait takes it along.
    """
    rows = await tx.tuples(
        """
        SELECT seq, attempts, retry_at, set_config('synchronous_commit', 'off', true)
          FROM platform.cursor
         WHERE name = %s
           FOR UPDATE SKIP LOCKED
        """,
        (name,),
    )
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


async def move_cursor(tx: Tx, name: str, seq: int) -> None:
    await tx.run(
        """
        UPDATE platform.cursor
           SET seq = %s, attempts = 0, retry_at = NULL, moved_at = now()
         WHERE name = %s
        """,
        (seq, name),
    )


async def delay_cursor(tx: Tx, name: str, *, attempts: int, seconds: float) -> None:
    await tx.run(
        """
        UPDATE platform.cursor
           SET attempts = %s, retry_at = now() + make_interval(secs => %s)
         WHERE name = %s
        """,
        (attempts, seconds, name),
    )


async def cursor_lags(tx: Tx) -> list[CursorLag]:
    return await tx.all(
        CursorLag,
        """
        SELECT cursor.name,
               cursor.seq,
               greatest(CASE WHEN log.is_called THEN log.last_value ELSE 0 END - cursor.seq, 0) AS behind,
               oldest.recorded_at                       AS oldest_unread_at
          FROM platform.cursor
         CROSS JOIN platform.event_seq AS log
          LEFT JOIN LATERAL (SELECT event.recorded_at
                               FROM platform.event
                              WHERE event.seq > cursor.seq
                              ORDER BY event.seq
                              LIMIT 1) AS oldest ON true
         ORDER BY cursor.name
        """,
    )


async def insert_dead_letter(tx: Tx, id_: UUID, subscriber: str, event: Event, error: str, attempts: int) -> None:
    await tx.run(
        """
        INSERT INTO platform.dead_letter (id, subscriber, event_id, event_seq, event_type, error, attempts)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (subscriber, event_id) DO UPDATE
           SET error = excluded.error, attempts = dead_letter.attempts + 1,
               parked_at = now(), replayed_at = NULL
        """,
        (id_, subscriber, event.id, event.seq, event.type, error, attempts),
    )


async def dead_letters(tx: Tx, *, subscriber: str | None, before: UUID | None, limit: int) -> list[DeadLetter]:
    """Return dead letters not yet replayed, newest first."""
    return await tx.all(
        DeadLetter,
        """
        SELECT id, subscriber, event_id, event_seq, event_type, error, attempts, parked_at, replayed_at
          FROM platform.dead_letter
         WHERE replayed_at IS NULL
           AND (%(subscriber)s::text IS NULL OR subscriber = %(subscriber)s)
           AND (%(before)s::uuid IS NULL OR id < %(before)s)
         ORDER BY id DESC
         LIMIT %(limit)s
        """,
        {"subscriber": subscriber, "before": before, "limit": limit},
    )


async def claim_dead_letter(tx: Tx, id_: UUID) -> DeadLetter | None:
    return await tx.one(
        DeadLetter,
        """
        SELECT id, subscriber, event_id, event_seq, event_type, error, attempts, parked_at, replayed_at
          FROM platform.dead_letter
         WHERE id = %s AND replayed_at IS NULL
           FOR UPDATE
        """,
        (id_,),
    )


async def close_dead_letter(tx: Tx, id_: UUID) -> None:
    await tx.run("UPDATE platform.dead_letter SET replayed_at = now() WHERE id = %s", (id_,))


async def fail_dead_letter_again(tx: Tx, id_: UUID, error: str) -> None:
    await tx.run(
        "UPDATE platform.dead_letter SET error = %s, attempts = attempts + 1, parked_at = now() WHERE id = %s",
        (error, id_),
    )


async def ensure_partitions(tx: Tx, months: int) -> None:
    """Create the partitions of this month and the next `months` ones."""
    await tx.run("SELECT platform.ensure_event_partitions(%s)", (months,))
