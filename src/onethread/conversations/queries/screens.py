"""SQL look-ups of single things: what an act or a screen needs to know before it begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from onethread.conversations.model import Direction
from onethread.conversations.store.conversations import Settings
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import (
    AccountId,
    AgentId,
    BrandId,
    ConversationId,
    DeliveryId,
    IdentifierId,
    MessageId,
    TeamId,
)
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class MessagePlace:
    """Where a message is and which way it went."""

    id: MessageId
    conversation_id: ConversationId
    seq: int
    direction: Direction
    channel: str | None
    account_id: AccountId | None
    identifier_id: IdentifierId | None
    content: Mapping[str, object]
    unsent: bool
    brand_id: BrandId


@dataclass(frozen=True, slots=True)
class SaidBefore:
    id: MessageId
    conversation_id: ConversationId
    delivery_id: DeliveryId | None


async def current_id(tx: Tx, id_: ConversationId) -> ConversationId | None:
    """Return the conversation an id stands for now, None when it never was one."""
    found: ConversationId | None = await tx.value(
        "SELECT coalesce(joined_into, id) FROM conversations.conversation WHERE id = %s", (id_,)
    )
    return found


async def message_place(tx: Tx, id_: MessageId) -> MessagePlace | None:
    return await tx.one(
        MessagePlace,
        """
        SELECT message.id, conversation_id, seq, direction, channel, account_id, message.identifier_id, content,
               unsent_at IS NOT NULL AS unsent, brand_id
          FROM conversations.message
          JOIN conversations.conversation ON conversation.id = message.conversation_id
         WHERE message.id = %s
        """,
        (id_,),
    )


async def message_by_client_id(tx: Tx, author_id: UUID, client_id: str) -> SaidBefore | None:
    return await tx.one(
        SaidBefore,
        """
        SELECT message.id, message.conversation_id, delivery.id AS delivery_id
          FROM conversations.message
          LEFT JOIN conversations.delivery ON delivery.message_id = message.id AND hop = 1 AND act = 'message'
         WHERE author_id = %s AND client_id = %s
        """,
        (author_id, client_id),
    )


async def identifier_id(tx: Tx, identifier: Identifier) -> IdentifierId | None:
    """Return the present epoch of an identifier we know."""
    found: IdentifierId | None = await tx.value(
        """
        SELECT id
          FROM customers.identifier
         WHERE kind = %s AND scope = %s AND value = %s
         ORDER BY epoch DESC
         LIMIT 1
        """,
        (identifier.kind, identifier.scope, identifier.value),
    )
    return found


async def can_be_assigned(tx: Tx, agent_id: AgentId | None, team_id: TeamId | None, brand_id: BrandId) -> bool:
    """Tell whether the agent (active, working for the brand) and the team (active) are there."""
    return bool(
        await tx.value(
            """
            SELECT (%(agent)s::uuid IS NULL
                    OR EXISTS (SELECT
                                 FROM access.agent
                                WHERE id = %(agent)s AND state = 'active'
                                  AND (NOT EXISTS (SELECT FROM access.agent_brand WHERE agent_id = %(agent)s)
                                       OR EXISTS (SELECT
                                                    FROM access.agent_brand
                                                   WHERE agent_id = %(agent)s AND brand_id = %(brand)s))))
               AND (%(team)s::uuid IS NULL OR EXISTS (SELECT FROM access.team WHERE id = %(team)s AND active))
            """,
            {"agent": agent_id, "team": team_id, "brand": brand_id},
        )
    )


async def settings(tx: Tx, id_: ConversationId) -> Settings:
    """Return what people set of a conversation; the caller holds its lock."""
    found = await tx.one(
        Settings,
        """
        SELECT assignee_id, team_id, subject, priority, row.status, closed_at, snoozed_until
          FROM conversations.conversation
          JOIN conversations.inbox_row AS row ON row.conversation_id = conversation.id
         WHERE conversation.id = %s
        """,
        (id_,),
    )
    assert found is not None
    return found


async def same_customer(tx: Tx, one: IdentifierId, other: IdentifierId) -> bool:
    return bool(
        await tx.value(
            """
            SELECT count(DISTINCT customer_id) = 1
              FROM customers.identifier
             WHERE id = ANY (%s::uuid[])
            """,
            ([one, other],),
        )
    )


async def messages_of(tx: Tx, id_: ConversationId, message_ids: Sequence[MessageId]) -> list[MessagePlace]:
    return await tx.all(
        MessagePlace,
        """
        SELECT message.id, conversation_id, seq, direction, channel, account_id, message.identifier_id, content,
               unsent_at IS NOT NULL AS unsent, brand_id
          FROM conversations.message
          JOIN conversations.conversation ON conversation.id = message.conversation_id
         WHERE conversation_id = %s AND message.id = ANY (%s::uuid[])
         ORDER BY seq
        """,
        (id_, list(message_ids)),
    )


async def message_count(tx: Tx, id_: ConversationId) -> int:
    return int(await tx.value("SELECT count(*) FROM conversations.message WHERE conversation_id = %s", (id_,)))


async def conversation_of_delivery(tx: Tx, id_: DeliveryId) -> ConversationId | None:
    found: ConversationId | None = await tx.value(
        """
        SELECT conversation_id
          FROM conversations.delivery
          JOIN conversations.message ON message.id = delivery.message_id
         WHERE delivery.id = %s
        """,
        (id_,),
    )
    return found
