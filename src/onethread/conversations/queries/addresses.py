"""SQL reads about where a customer can be reached."""

from dataclasses import dataclass
from datetime import datetime

from onethread.kernel.identifier import IdentifierKind
from onethread.kernel.ids import AccountId, ConversationId, CustomerId, IdentifierId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Known:
    """An identifier of a customer. `claimed`: they only said it was theirs; nothing proves it."""

    id: IdentifierId
    kind: IdentifierKind
    scope: str
    value: str
    name: str | None
    blocked: bool
    claimed: bool
    heard_account_id: AccountId | None
    heard_at: datetime | None


async def known_addresses(tx: Tx, customer_id: CustomerId) -> list[Known]:
    """Return what a customer can be written to at, with where and when each was last heard."""
    return await tx.all(
        Known,
        """
        WITH own AS (
            SELECT id, false AS claimed
              FROM customers.identifier
             WHERE customer_id = %(customer)s
        ), named AS (
            SELECT other.id, true AS claimed
              FROM own
              JOIN customers.evidence ON revoked_at IS NULL AND (a = own.id OR b = own.id)
              JOIN customers.identifier AS other
                ON other.id = CASE WHEN a = own.id THEN b ELSE a END
               AND other.customer_id <> %(customer)s
        )
        SELECT DISTINCT ON (identifier.id)
               identifier.id, kind, scope, value, name, blocked, claimed,
               heard.account_id AS heard_account_id, heard.at AS heard_at
          FROM (SELECT * FROM own UNION ALL SELECT * FROM named) AS theirs
          JOIN customers.identifier ON identifier.id = theirs.id
          LEFT JOIN LATERAL (SELECT account_id, at
                               FROM conversations.message
                              WHERE message.identifier_id = identifier.id AND direction = 'in'
                              ORDER BY conversation_id DESC, seq DESC
                              LIMIT 1) AS heard ON true
         ORDER BY identifier.id, claimed
        """,
        {"customer": customer_id},
    )


@dataclass(frozen=True, slots=True)
class Suppressed:
    identifier_id: IdentifierId
    channel: str
    purpose: str
    reason: str


async def suppressions(tx: Tx, identifier_ids: list[IdentifierId]) -> list[Suppressed]:
    return await tx.all(
        Suppressed,
        """
        SELECT identifier_id, channel, purpose, reason
          FROM conversations.suppression
         WHERE identifier_id = ANY (%s::uuid[])
        """,
        (identifier_ids,),
    )


@dataclass(frozen=True, slots=True)
class Desired:
    """A conversation with what an answer to it needs."""

    id: ConversationId
    customer_id: CustomerId
    answer_identifier_id: IdentifierId | None
    answer_account_id: AccountId | None
    subject: str


async def answering(tx: Tx, conversation_id: ConversationId) -> Desired | None:
    """Return where the next answer of a conversation goes unless somebody says otherwise."""
    return await tx.one(
        Desired,
        """
        SELECT conversation.id, identifier.customer_id, row.answer_identifier_id, row.answer_account_id,
               conversation.subject
          FROM conversations.conversation
          JOIN conversations.inbox_row AS row ON row.conversation_id = conversation.id
          JOIN customers.identifier ON identifier.id = conversation.identifier_id
         WHERE conversation.id = %s
        """,
        (conversation_id,),
    )


async def last_subject(tx: Tx, conversation_id: ConversationId) -> str | None:
    """Return the subject of the last letter among a conversation's newest messages."""
    subject: str | None = await tx.value(
        """
        SELECT content ->> 'subject'
          FROM (SELECT seq, content
                  FROM conversations.message
                 WHERE conversation_id = %s
                 ORDER BY seq DESC
                 LIMIT 200) AS newest
         WHERE content ->> 'subject' <> ''
         ORDER BY seq DESC
         LIMIT 1
        """,
        (conversation_id,),
    )
    return subject
