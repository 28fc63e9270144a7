"""SQL reads of the sender: everything a channel needs to carry a delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.conversations.model import Purpose
from onethread.kernel.identifier import IdentifierKind
from onethread.kernel.ids import AccountId, BrandId, ConversationId, DeliveryId, IdentifierId, MessageId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Leaving:
    """A delivery with its message, its address and what it answers."""

    delivery_id: DeliveryId
    message_id: MessageId
    conversation_id: ConversationId
    account_id: AccountId
    brand_id: BrandId
    kind: IdentifierKind
    scope: str
    value: str
    name: str | None
    locale: str | None
    content: Mapping[str, object]
    subject: str
    author_name: str | None
    at: datetime
    purpose: Purpose
    identifier_id: IdentifierId
    target: str | None
    answers: Sequence[str]
    brand_name: str
    brand_locale: str


async def leaving(tx: Tx, ids: Sequence[DeliveryId]) -> dict[DeliveryId, Leaving]:
    """Return what the channels need for these deliveries; `answers` are the newest ten external ids before."""
    rows = await tx.all(
        Leaving,
        """
        SELECT delivery.id AS delivery_id, message.id AS message_id, message.conversation_id,
               delivery.account_id, conversation.brand_id, identifier.kind, identifier.scope,
               identifier.value, identifier.name, identifier.locale, message.content,
               conversation.subject, message.author_name, message.at, message.purpose,
               delivery.identifier_id,
               (SELECT coalesce(message.external_id, first.external_id)
                  FROM conversations.delivery AS first
                 WHERE first.message_id = message.id AND first.account_id = delivery.account_id
                   AND first.act = 'message' AND delivery.act <> 'message'
                 LIMIT 1) AS target,
               ARRAY(SELECT coalesce(before.external_id, way.external_id)
                       FROM conversations.message AS before
                       LEFT JOIN LATERAL (SELECT external_id
                                            FROM conversations.delivery AS way
                                           WHERE way.message_id = before.id AND way.channel = delivery.channel
                                             AND way.act = 'message'
                                           LIMIT 1) AS way ON before.direction = 'out'
                      WHERE before.conversation_id = message.conversation_id
                        AND before.seq < message.seq AND before.seq >= message.seq - 30
                        AND before.channel = delivery.channel
                        AND coalesce(before.external_id, way.external_id) IS NOT NULL
                      ORDER BY before.seq DESC
                      LIMIT 10) AS answers,
               brand.name AS brand_name, brand.locale AS brand_locale
          FROM conversations.delivery
          JOIN conversations.message ON message.id = delivery.message_id
          JOIN conversations.conversation ON conversation.id = message.conversation_id
          JOIN customers.identifier ON identifier.id = delivery.identifier_id
          JOIN access.brand ON brand.id = conversation.brand_id
         WHERE delivery.id = ANY (%s::uuid[])
        """,
        (list(ids),),
    )
    return {row.delivery_id: row for row in rows}


async def oldest_due(tx: Tx) -> datetime | None:
    """Return since when the longest waiting delivery has been due."""
    moment: datetime | None = await tx.value(
        """
        SELECT min(due_at)
          FROM conversations.delivery
         WHERE status IN ('queued', 'sending', 'unknown') AND due_at <= now()
        """
    )
    return moment
