"""SQL reads of the receiver: where an inbound message belongs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.conversations.model import Status
from onethread.kernel.ids import (
    AccountId,
    BrandId,
    ConversationId,
    CustomerId,
    IdentifierId,
    MessageId,
)
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Referred:
    """A message somebody's external id leads to: ours by its delivery, theirs by itself."""

    account_id: AccountId
    external_id: str
    message_id: MessageId
    conversation_id: ConversationId
    identifier_id: IdentifierId | None
    direction: str
    seq: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation a customer could continue, with whose it is now."""

    id: ConversationId
    customer_id: CustomerId
    identifier_id: IdentifierId
    brand_id: BrandId
    status: Status
    closed_at: datetime | None


async def referred(tx: Tx, accounts: Sequence[AccountId], external_ids: Sequence[str]) -> list[Referred]:
    """Return the messages these external ids name in any of the accounts."""
    return await tx.all(
        Referred,
        """
        SELECT account_id, external_id, id AS message_id, conversation_id, identifier_id, direction, seq,
               content ->> 'text' AS text
          FROM conversations.message
         WHERE account_id = ANY (%(accounts)b::uuid[]) AND external_id = ANY (%(ids)b::text[])
        UNION ALL
        SELECT delivery.account_id, delivery.external_id, message.id, message.conversation_id,
               delivery.identifier_id, message.direction, message.seq, NULL
          FROM conversations.delivery
          JOIN conversations.message ON message.id = delivery.message_id
         WHERE delivery.account_id = ANY (%(accounts)b::uuid[])
           AND delivery.external_id = ANY (%(ids)b::text[]) AND delivery.act = 'message'
        """,
        {"accounts": list(accounts), "ids": list(external_ids)},
    )


async def continuable(tx: Tx, customers: Sequence[CustomerId], *, closed_after: datetime) -> list[Found]:
    """Return the customers' conversations that run or were closed after the moment."""
    return await tx.all(
        Found,
        """
        SELECT conversation.id, identifier.customer_id, conversation.identifier_id, conversation.brand_id,
               conversation.status, conversation.closed_at
          FROM customers.identifier
          JOIN conversations.conversation
            ON conversation.identifier_id = identifier.id
           AND conversation.joined_into IS NULL
           AND coalesce(conversation.closed_at, 'infinity') > %(after)s
         WHERE identifier.customer_id = ANY (%(customers)b::uuid[])
        """,
        {"customers": list(customers), "after": closed_after},
    )


async def conversations_now(tx: Tx, ids: Sequence[ConversationId]) -> dict[ConversationId, Found]:
    """Return, for each id, the conversation it is now (joined ones lead on), whatever its age."""
    rows = await tx.tuples(
        """
        SELECT given.id, conversation.id, identifier.customer_id, conversation.identifier_id,
               conversation.brand_id, conversation.status, conversation.closed_at
          FROM conversations.conversation AS given
          JOIN conversations.conversation ON conversation.id = coalesce(given.joined_into, given.id)
          JOIN customers.identifier ON identifier.id = conversation.identifier_id
         WHERE given.id = ANY (%b::uuid[])
        """,
        (list(ids),),
    )
    return {row[0]: Found(*row[1:]) for row in rows}


async def participants(
    tx: Tx, pairs: Sequence[tuple[ConversationId, IdentifierId]]
) -> set[tuple[ConversationId, IdentifierId]]:
    """Return those pairs in which the identifier has written or been written to in the conversation."""
    rows = await tx.tuples(
        """
        SELECT given.conversation_id, given.identifier_id
          FROM unnest(%b::uuid[], %b::uuid[]) AS given (conversation_id, identifier_id)
         WHERE EXISTS (SELECT
                         FROM conversations.message
                        WHERE message.identifier_id = given.identifier_id
                          AND message.conversation_id = given.conversation_id)
        """,
        ([conversation_id for conversation_id, _ in pairs], [identifier_id for _, identifier_id in pairs]),
    )
    return {(row[0], row[1]) for row in rows}


async def claims_between(
    tx: Tx, pairs: Sequence[tuple[IdentifierId, CustomerId]]
) -> dict[tuple[IdentifierId, CustomerId], IdentifierId]:
    """Return, for pairs where the customer once claimed the identifier, who of theirs claimed it."""
    rows = await tx.tuples(
        """
        SELECT DISTINCT ON (given.identifier_id, given.customer_id)
               given.identifier_id, given.customer_id, theirs.id
          FROM unnest(%b::uuid[], %b::uuid[]) AS given (identifier_id, customer_id)
          JOIN customers.identifier AS theirs ON theirs.customer_id = given.customer_id
          JOIN customers.evidence
            ON revoked_at IS NULL
           AND ((a = given.identifier_id AND b = theirs.id) OR (b = given.identifier_id AND a = theirs.id))
         ORDER BY given.identifier_id, given.customer_id, strength DESC, evidence.id
        """,
        ([identifier_id for identifier_id, _ in pairs], [customer_id for _, customer_id in pairs]),
    )
    return {(row[0], row[1]): row[2] for row in rows}
