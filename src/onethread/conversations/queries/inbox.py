"""SQL reads of the inbox: pages, one conversation, capped counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from onethread.conversations.model import COUNT_CAP, Direction, Status
from onethread.kernel.ids import (
    AccountId,
    AgentId,
    BrandId,
    ConversationId,
    CustomerId,
    IdentifierId,
    TeamId,
)
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One line of the inbox. `waiting_since`: since when the customer has had no answer."""

    id: ConversationId
    number: int
    brand_id: BrandId
    customer_id: CustomerId
    customer_name: str | None
    identifier: str
    subject: str
    status: Status
    assignee_id: AgentId | None
    team_id: TeamId | None
    priority: int
    unread: int
    waiting_since: datetime | None
    snoozed_until: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    last_message_at: datetime
    last_text: str
    last_direction: Direction
    last_channel: str | None
    last_seq: int
    answer_identifier_id: IdentifierId | None
    answer_account_id: AccountId | None


@dataclass(frozen=True, slots=True)
class View:
    """Which conversations somebody looks at. `unassigned` looks for those without an assignee.

    `brands`, `teams` and `own` are the looker's limits: with teams, only those and their own.
    """

    status: Status | None = None
    assignee_id: AgentId | None = None
    unassigned: bool = False
    team_id: TeamId | None = None
    brand_id: BrandId | None = None
    customer_id: CustomerId | None = None
    brands: Sequence[BrandId] | None = None
    teams: Sequence[TeamId] | None = None
    own: AgentId | None = None


_COLUMNS: Final[LiteralString] = """
       conversation.id, conversation.number, row.brand_id, identifier.customer_id,
       coalesce(customer.name, identifier.name) AS customer_name,
       identifier.kind || ':' || identifier.value AS identifier,
       conversation.subject, row.status, row.assignee_id, row.team_id, row.priority, row.unread,
       row.waiting_since, conversation.snoozed_until, conversation.opened_at, conversation.closed_at,
       row.last_message_at, row.last_text, row.last_direction, row.last_channel, row.last_seq,
       row.answer_identifier_id, row.answer_account_id
"""

_JOINS: Final[LiteralString] = """
  JOIN conversations.conversation ON conversation.id = row.conversation_id
  JOIN customers.identifier       ON identifier.id = row.identifier_id
  JOIN customers.customer         ON customer.id = identifier.customer_id
"""

_LIMITS: Final[LiteralString] = """
       (%(brands)s::uuid[] IS NULL OR row.brand_id = ANY (%(brands)s::uuid[]))
   AND (%(teams)s::uuid[] IS NULL OR row.team_id = ANY (%(teams)s::uuid[]) OR row.assignee_id = %(own)s::uuid)
   AND (%(brand)s::uuid IS NULL OR row.brand_id = %(brand)s::uuid)
"""


async def page(tx: Tx, view: View, *, before: tuple[datetime, ConversationId] | None, limit: int) -> list[InboxRow]:
    """Return a page of the inbox, the latest message first: one walk along one index."""
    return await tx.all(
        InboxRow,
        "SELECT "
        + _COLUMNS
        + "  FROM (SELECT * FROM conversations.inbox_row AS row WHERE "
        + _where(view)
        + """
            AND (%(at)s::timestamptz IS NULL OR (last_message_at, conversation_id) < (%(at)s, %(id)s::uuid))
          ORDER BY last_message_at DESC, conversation_id DESC
          LIMIT %(limit)s) AS row
        """
        + _JOINS
        + " ORDER BY row.last_message_at DESC, row.conversation_id DESC",
        {
            **_params(view),
            "at": before[0] if before else None,
            "id": before[1] if before else None,
            "limit": limit,
        },
    )


async def rows(tx: Tx, ids: Sequence[ConversationId]) -> list[InboxRow]:
    """Return the inbox lines of these conversations, in no order."""
    return await tx.all(
        InboxRow,
        "SELECT "
        + _COLUMNS
        + "  FROM conversations.inbox_row AS row "
        + _JOINS
        + " WHERE row.conversation_id = ANY (%s::uuid[])",
        (list(ids),),
    )


async def count(tx: Tx, view: View) -> int:
    """Return how many there are, COUNT_CAP + 1 at the most: a list never counts further."""
    value = await tx.value(
        "SELECT count(*) FROM (SELECT FROM conversations.inbox_row AS row WHERE "
        + _where(view)
        + " LIMIT %(cap)s) AS capped",
        {**_params(view), "cap": COUNT_CAP + 1},
    )
    return int(value)


async def matching(tx: Tx, view: View, *, words: str, number: int | None, limit: int) -> list[InboxRow]:
    """Return conversations in which the words occur: in a message, a name, an address or a subject."""
    return await tx.all(
        InboxRow,
        """
        WITH hits AS (
            (SELECT conversation_id
               FROM (SELECT conversation_id, at
                       FROM conversations.found
                      WHERE found.words LIKE %(like)s
                     OFFSET 0) AS fetched
              ORDER BY at DESC
              LIMIT 2000)
            UNION
            (SELECT conversation.id
               FROM customers.identifier
               JOIN conversations.conversation ON conversation.identifier_id = identifier.id
              WHERE identifier.name ILIKE %(like)s OR identifier.value LIKE %(prefix)s
              LIMIT 500)
            UNION
            (SELECT id FROM conversations.conversation WHERE number = %(number)s)
        )
        SELECT """
        + _COLUMNS
        + """
          FROM (SELECT row.*
                  FROM conversations.inbox_row AS row
                 WHERE conversation_id IN (SELECT conversation_id FROM hits) AND """
        + _where(view)
        + """
                 ORDER BY last_message_at DESC, conversation_id DESC
                 LIMIT %(limit)s) AS row
        """
        + _JOINS
        + " ORDER BY row.last_message_at DESC, row.conversation_id DESC",
        {
            **_params(view),
            "like": "%" + _literally(words) + "%",
            "prefix": _literally(words) + "%",
            "number": number,
            "limit": limit,
        },
    )


def _literally(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _where(view: View) -> LiteralString:
    """Only the conditions that are asked for, so that each view is a range of its own index."""
    conditions: LiteralString = _LIMITS
    if view.status is not None:
        conditions += " AND row.status = %(status)s"
    if view.unassigned:
        conditions += " AND row.assignee_id IS NULL"
    elif view.assignee_id is not None:
        conditions += " AND row.assignee_id = %(assignee)s"
    if view.team_id is not None:
        conditions += " AND row.team_id = %(team)s"
    if view.customer_id is not None:
        conditions += """ AND row.identifier_id IN (SELECT id FROM customers.identifier
                                                     WHERE customer_id = %(customer)s)"""
    return conditions


def _params(view: View) -> Mapping[str, object]:
    return {
        "status": view.status,
        "assignee": view.assignee_id,
        "team": view.team_id,
        "brand": view.brand_id,
        "customer": view.customer_id,
        "brands": None if view.brands is None else list(view.brands),
        "teams": None if view.teams is None else list(view.teams),
        "own": view.own,
    }
