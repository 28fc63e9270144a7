"""SQL reads of messages: a page of a conversation, what a visitor may see, drafts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from onethread.conversations.model import AuthorKind, Direction, Purpose
from onethread.conversations.shown import ContentShown, DeliveryShown, ReactionSeen, ReactionShown
from onethread.kernel.ids import (
    AccountId,
    ConversationId,
    IdentifierId,
    MessageId,
)
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A message as screens see it, with how its deliveries stand and who reacted."""

    id: MessageId
    conversation_id: ConversationId
    seq: int
    direction: Direction
    channel: str | None
    account_id: AccountId | None
    identifier_id: IdentifierId | None
    identifier: str | None
    author_kind: AuthorKind
    author_id: UUID | None
    author_name: str | None
    at: datetime
    recorded_at: datetime
    content: ContentShown
    answers_id: MessageId | None
    purpose: Purpose
    trust: str | None
    trust_reason: str | None
    automatic: bool
    edited_at: datetime | None
    unsent_at: datetime | None
    external_id: str | None
    client_id: str | None
    deliveries: Sequence[DeliveryShown]
    reactions: Sequence[ReactionShown]


_LINE: Final[LiteralString] = """
        SELECT message.id, message.conversation_id, message.seq, message.direction, message.channel,
               message.account_id, message.identifier_id,
               identifier.kind || CASE identifier.scope WHEN '' THEN '' ELSE '@' || identifier.scope END
                               || ':' || identifier.value AS identifier,
               message.author_kind, message.author_id, message.author_name,
               message.at, message.recorded_at, message.content, message.answers_id, message.purpose,
               message.trust,
               message.trust_reason, message.automatic, message.edited_at, message.unsent_at,
               message.external_id, message.client_id,
               coalesce(sent.deliveries, '[]') AS deliveries,
               coalesce(felt.reactions, '[]')  AS reactions
          FROM conversations.message
          LEFT JOIN customers.identifier ON identifier.id = message.identifier_id
          LEFT JOIN LATERAL (
               SELECT jsonb_agg(jsonb_build_object(
                          'id', delivery.id, 'hop', hop, 'act', act, 'channel', delivery.channel,
                          'account_id', delivery.account_id, 'status', status, 'reason', reason,
                          'attempts', attempts, 'repeated', repeated,
                          'due_at', to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                          'changed_at', to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
                          ORDER BY delivery.id) AS deliveries
                 FROM conversations.delivery
                WHERE delivery.message_id = message.id) AS sent ON message.direction = 'out'
          LEFT JOIN LATERAL (
               SELECT jsonb_agg(jsonb_build_object(
                          'by_kind', by_kind, 'by_id', by_id, 'emoji', emoji,
                          'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
                          ORDER BY at) AS reactions
                 FROM conversations.reaction
                WHERE reaction.message_id = message.id) AS felt ON true
"""


async def page(
    tx: Tx, conversation_id: ConversationId, *, before: int | None, after: int | None, limit: int
) -> list[MessageLine]:
    """Return messages of a conversation in their order: the last ones, or those before or after a place."""
    if after is not None:
        return await tx.all(
            MessageLine,
            _LINE
            + """
             WHERE message.conversation_id = %s AND message.seq > %s
             ORDER BY message.seq
             LIMIT %s
            """,
            (conversation_id, after, limit),
        )
    newest_first = await tx.all(
        MessageLine,
        _LINE
        + """
         WHERE message.conversation_id = %(id)s AND (%(before)s::int IS NULL OR message.seq < %(before)s)
         ORDER BY message.seq DESC
         LIMIT %(limit)s
        """,
        {"id": conversation_id, "before": before, "limit": limit},
    )
    return newest_first[::-1]


async def lines(tx: Tx, ids: Sequence[MessageId]) -> list[MessageLine]:
    return await tx.all(MessageLine, _LINE + " WHERE message.id = ANY (%s::uuid[])", (list(ids),))


@dataclass(frozen=True, slots=True)
class VisitorMessage:
    """A message as the visitor it belongs to may see it. `status` is that of our delivery, if it is ours."""

    message_id: MessageId
    conversation_id: ConversationId
    seq: int
    direction: Direction
    author_name: str | None
    at: datetime
    content: Mapping[str, object]
    edited_at: datetime | None
    unsent_at: datetime | None
    status: str | None
    external_id: str | None
    client_id: str | None
    reactions: Sequence[ReactionSeen]


async def visitor_messages(
    tx: Tx,
    *,
    account_id: AccountId,
    identifier_id: IdentifierId,
    after: tuple[ConversationId, int] | None,
    limit: int,
) -> list[VisitorMessage]:
    """Return what was said with one visitor over one account, in order, behind a place they know.

    What has not left yet, or was taken back before it left, is not theirs to see.
    """
    return await tx.all(
        VisitorMessage,
        """
        SELECT message.id AS message_id, message.conversation_id, message.seq, message.direction,
               message.author_name, message.at, message.content, message.edited_at, message.unsent_at,
               way.status, coalesce(message.external_id, way.external_id) AS external_id, message.client_id,
               coalesce(felt.reactions, '[]') AS reactions
          FROM conversations.message
          LEFT JOIN LATERAL (SELECT status, external_id
                               FROM conversations.delivery
                              WHERE delivery.message_id = message.id AND act = 'message'
                                AND delivery.account_id = message.account_id
                              ORDER BY delivery.id
                              LIMIT 1) AS way ON message.direction = 'out'
          LEFT JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object(
                                         'by', CASE by_kind WHEN 'customer' THEN 'customer' ELSE 'agent' END,
                                         'emoji', emoji) ORDER BY at)
                                    AS reactions
                               FROM conversations.reaction
                              WHERE reaction.message_id = message.id) AS felt ON true
         WHERE message.identifier_id = %(identifier)s
           AND message.account_id = %(account)s
           AND message.direction IN ('in', 'out')
           AND (message.direction = 'in' OR way.status IN ('sent', 'delivered', 'read'))
           AND (%(conversation)s::uuid IS NULL
                OR (message.conversation_id, message.seq) > (%(conversation)s::uuid, %(seq)s::int))
         ORDER BY message.conversation_id, message.seq
         LIMIT %(limit)s
        """,
        {
            "identifier": identifier_id,
            "account": account_id,
            "conversation": after[0] if after else None,
            "seq": after[1] if after else None,
            "limit": limit,
        },
    )


@dataclass(frozen=True, slots=True)
class SharedDraft:
    """The draft colleagues share; version 0 when there never was one, empty when it was sent or emptied."""

    version: int
    content: ContentShown
    author_kind: AuthorKind
    author_id: UUID | None
    changed_at: datetime | None


NO_DRAFT: Final = SharedDraft(0, {}, "system", None, None)


async def draft(tx: Tx, conversation_id: ConversationId) -> SharedDraft:
    found = await tx.one(
        SharedDraft,
        """
        SELECT version, content, author_kind, author_id, changed_at
          FROM conversations.draft
         WHERE conversation_id = %s
        """,
        (conversation_id,),
    )
    return found or NO_DRAFT
