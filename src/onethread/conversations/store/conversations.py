"""SQL writes of conversations and their inbox rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.conversations.model import Direction, Status
from onethread.kernel.ids import (
    AccountId,
    AgentId,
    BrandId,
    ConversationId,
    IdentifierId,
    TeamId,
)
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Locked:
    """A conversation's changing part, locked until the transaction ends."""

    conversation_id: ConversationId
    brand_id: BrandId
    identifier_id: IdentifierId
    status: Status
    assignee_id: AgentId | None
    team_id: TeamId | None
    last_seq: int
    unread: int
    waiting_since: datetime | None
    last_message_at: datetime


@dataclass(frozen=True, slots=True)
class Settings:
    """What people set of a conversation."""

    assignee_id: AgentId | None
    team_id: TeamId | None
    subject: str
    priority: int
    status: Status
    closed_at: datetime | None
    snoozed_until: datetime | None


@dataclass(frozen=True, slots=True)
class NewConversation:
    """A conversation to be opened, its inbox row with it."""

    id: ConversationId
    brand_id: BrandId
    identifier_id: IdentifierId
    subject: str
    status: Status
    opened_at: datetime
    last_message_at: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """What a batch of messages makes of an inbox row."""

    conversation_id: ConversationId
    status: Status
    last_seq: int
    unread: int
    waiting_since: datetime | None
    last_message_at: datetime
    last_text: str
    last_direction: Direction
    last_channel: str | None
    answer_identifier_id: IdentifierId | None
    answer_account_id: AccountId | None


async def insert_conversations(tx: Tx, new: Sequence[NewConversation]) -> dict[ConversationId, int]:
    """Open conversations with their inbox rows; return their numbers."""
    rows = await tx.tuples(
        """
        WITH given AS (
            SELECT *
              FROM unnest(%b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::timestamptz[],
                          %b::timestamptz[])
                   AS given (id, brand_id, identifier_id, subject, status, opened_at, last_message_at)
        ), opened AS (
            INSERT INTO conversations.conversation
                   (id, brand_id, identifier_id, subject, status, opened_at, closed_at)
            SELECT id, brand_id, identifier_id, subject, status, opened_at,
                   CASE WHEN status = 'closed' THEN opened_at END
              FROM given
            RETURNING id, number
        ), listed AS (
            INSERT INTO conversations.inbox_row
                   (conversation_id, brand_id, identifier_id, status, last_message_at)
            SELECT id, brand_id, identifier_id, status, last_message_at
              FROM given
        )
        SELECT id, number FROM opened
        """,
        (
            [one.id for one in new],
            [one.brand_id for one in new],
            [one.identifier_id for one in new],
            [one.subject for one in new],
            [one.status for one in new],
            [one.opened_at for one in new],
            [one.last_message_at for one in new],
        ),
    )
    return dict(rows)


async def lock_rows(tx: Tx, ids: Sequence[ConversationId]) -> dict[ConversationId, Locked]:
    """Lock inbox rows in the order of their ids, so that two batches never wait for each other."""
    rows = await tx.all(
        Locked,
        """
        SELECT conversation_id, brand_id, identifier_id, status, assignee_id, team_id, last_seq, unread,
               waiting_since, last_message_at
          FROM conversations.inbox_row
         WHERE conversation_id = ANY (%b::uuid[])
         ORDER BY conversation_id
           FOR UPDATE
        """,
        (sorted(set(ids)),),
    )
    return {row.conversation_id: row for row in rows}


async def write_heard(tx: Tx, rows: Sequence[Heard]) -> None:
    """Bring inbox rows up to their last message."""
    await tx.run(
        """
        UPDATE conversations.inbox_row AS row
           SET status               = given.status,
               last_seq             = given.last_seq,
               unread               = given.unread,
               waiting_since        = given.waiting_since,
               last_message_at      = given.last_message_at,
               last_text            = given.last_text,
               last_direction       = given.last_direction,
               last_channel         = coalesce(given.last_channel, row.last_channel),
               answer_identifier_id = coalesce(given.answer_identifier_id, row.answer_identifier_id),
               answer_account_id    = coalesce(given.answer_account_id, row.answer_account_id)
          FROM unnest(%b::uuid[], %b::text[], %b::int[], %b::int[], %b::timestamptz[], %b::timestamptz[],
                      %b::text[], %b::text[], %b::text[], %b::uuid[], %b::uuid[])
               AS given (conversation_id, status, last_seq, unread, waiting_since, last_message_at,
                         last_text, last_direction, last_channel, answer_identifier_id, answer_account_id)
         WHERE row.conversation_id = given.conversation_id
        """,
        (
            [row.conversation_id for row in rows],
            [row.status for row in rows],
            [row.last_seq for row in rows],
            [row.unread for row in rows],
            [row.waiting_since for row in rows],
            [row.last_message_at for row in rows],
            [row.last_text for row in rows],
            [row.last_direction for row in rows],
            [row.last_channel for row in rows],
            [row.answer_identifier_id for row in rows],
            [row.answer_account_id for row in rows],
        ),
    )


async def wake(tx: Tx, ids: Sequence[ConversationId]) -> None:
    """Set closed and snoozed conversations open again, in both of their rows."""
    await tx.run(
        """
        WITH woken AS (
            UPDATE conversations.conversation
               SET status = 'open', closed_at = NULL, snoozed_until = NULL
             WHERE id = ANY (%(ids)s::uuid[])
            RETURNING id
        )
        UPDATE conversations.inbox_row SET status = 'open'
          FROM woken
         WHERE conversation_id = woken.id
        """,
        {"ids": list(ids)},
    )


async def wake_due(tx: Tx, *, now: datetime, limit: int) -> list[tuple[ConversationId, BrandId, IdentifierId]]:
    """Open snoozed conversations whose time has come; return them.

    Their inbox rows are locked first, as everywhere; one that somebody is busy with waits for the next look.
    """
    rows = await tx.tuples(
        """
        WITH due AS (
            SELECT conversation.id
              FROM conversations.conversation
              JOIN conversations.inbox_row AS row ON row.conversation_id = conversation.id
             WHERE conversation.status = 'snoozed' AND snoozed_until <= %(now)s AND row.status = 'snoozed'
             ORDER BY snoozed_until
             LIMIT %(limit)s
               FOR UPDATE OF row SKIP LOCKED
        ), woken AS (
            UPDATE conversations.conversation
               SET status = 'open', snoozed_until = NULL
              FROM due
             WHERE conversation.id = due.id AND status = 'snoozed'
            RETURNING conversation.id, brand_id, identifier_id
        ), listed AS (
            UPDATE conversations.inbox_row SET status = 'open'
              FROM woken
             WHERE conversation_id = woken.id
        )
        SELECT id, brand_id, identifier_id FROM woken
        """,
        {"now": now, "limit": limit},
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def write_settings(tx: Tx, id_: ConversationId, settings: Settings) -> None:
    """Write how a conversation is set, in both of its rows; closing it leaves nothing unread or waiting."""
    await tx.run(
        """
        WITH changed AS (
            UPDATE conversations.conversation
               SET subject = %(subject)s, status = %(status)s, closed_at = %(closed_at)s,
                   snoozed_until = %(snoozed_until)s
             WHERE id = %(id)s
            RETURNING id
        )
        UPDATE conversations.inbox_row AS row
           SET status        = %(status)s,
               assignee_id   = %(assignee)s,
               team_id       = %(team)s,
               priority      = %(priority)s,
               unread        = CASE WHEN %(status)s = 'closed' AND row.status <> 'closed' THEN 0 ELSE row.unread END,
               waiting_since = CASE WHEN %(status)s = 'closed' AND row.status <> 'closed'
                                    THEN NULL ELSE row.waiting_since END
          FROM changed
         WHERE conversation_id = changed.id
        """,
        {
            "id": id_,
            "subject": settings.subject,
            "status": settings.status,
            "closed_at": settings.closed_at,
            "snoozed_until": settings.snoozed_until,
            "assignee": settings.assignee_id,
            "team": settings.team_id,
            "priority": settings.priority,
        },
    )


async def mark_read(tx: Tx, id_: ConversationId, agent_id: AgentId, *, upto: int, for_all: bool) -> bool:
    """Note that an agent has read up to a message, `for_all` of their colleagues; tell whether that was news."""
    news = for_all and await tx.value(
        """
        UPDATE conversations.inbox_row SET unread = 0
         WHERE conversation_id = %s AND unread > 0 AND last_seq <= %s
        RETURNING true
        """,
        (id_, upto),
    )
    moved = await tx.run(
        """
        INSERT INTO conversations.reading (conversation_id, agent_id, upto) VALUES (%s, %s, %s)
            ON CONFLICT (conversation_id, agent_id) DO UPDATE SET upto = excluded.upto, at = now()
         WHERE reading.upto < excluded.upto
        """,
        (id_, agent_id, upto),
    )
    return bool(news) or moved > 0


async def mark_joined(tx: Tx, id_: ConversationId, into: ConversationId, *, at: datetime) -> None:
    """Make a conversation an alias: closed, out of every list, its id resolving for ever."""
    await tx.run(
        """
        UPDATE conversations.conversation
           SET joined_into = %(into)s, status = 'closed', closed_at = %(at)s, snoozed_until = NULL
         WHERE id = %(id)s OR joined_into = %(id)s
        """,
        {"id": id_, "into": into, "at": at},
    )
    await tx.run("DELETE FROM conversations.inbox_row WHERE conversation_id = %s", (id_,))


async def recount(tx: Tx, ids: Sequence[ConversationId]) -> None:
    """Bring inbox rows back in line with their messages after some were moved. Places are never given twice."""
    await tx.run(
        """
        UPDATE conversations.inbox_row AS row
           SET last_seq             = greatest(row.last_seq, last.seq),
               last_message_at      = last.recorded_at,
               last_text            = left(coalesce(nullif(last.content ->> 'text', ''),
                                                    last.content -> 'media' -> 0 ->> 'name',
                                                    last.content ->> 'subject', ''), 160),
               last_direction       = last.direction,
               last_channel         = last.channel,
               answer_identifier_id = heard.identifier_id,
               answer_account_id    = heard.account_id,
               waiting_since        = CASE WHEN said.direction = 'in' THEN coalesce(row.waiting_since, said.recorded_at)
                                      END,
               unread               = CASE WHEN said.direction = 'in' THEN greatest(row.unread, 1) ELSE 0 END
          FROM unnest(%s::uuid[]) AS given (id)
          JOIN LATERAL (SELECT *
                          FROM conversations.message
                         WHERE conversation_id = given.id
                         ORDER BY seq DESC
                         LIMIT 1) AS last ON true
          LEFT JOIN LATERAL (SELECT direction, recorded_at
                               FROM conversations.message
                              WHERE conversation_id = given.id AND direction <> 'note' AND NOT automatic
                              ORDER BY seq DESC
                              LIMIT 1) AS said ON true
          LEFT JOIN LATERAL (SELECT identifier_id, account_id
                               FROM conversations.message
                              WHERE conversation_id = given.id AND direction = 'in'
                              ORDER BY seq DESC
                              LIMIT 1) AS heard ON true
         WHERE row.conversation_id = given.id
        """,
        (list(ids),),
    )
