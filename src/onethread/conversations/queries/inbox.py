"""SQL reads of the inbox: pages, one conversation, capped counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from onethread.conversations.model import COUNT_CAP, Direction, Status
from onethread.kernel.identifier import Identifier
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
    """Which conversations somebody looks at. `unassigned`: without an assignee; `no_team`: without a team.

    `brands`, `teams` and `own` are the looker's limits: with teams, only those and their own.
    """

    status: Status | None = None
    assignee_id: AgentId | None = None
    unassigned: bool = False
    team_id: TeamId | None = None
    no_team: bool = False
    brand_id: BrandId | None = None
    customer_id: CustomerId | None = None
    brands: Sequence[BrandId] | None = None
    teams: Sequence[TeamId] | None = None
    own: AgentId | None = None


_COLUMNS: Final[LiteralString] = """
       conversation.id, conversation.number, row.brand_id, identifier.customer_id,
       coalesce(customer.name, identifier.name) AS customer_name,
       identifier.kind || CASE identifier.scope WHEN '' THEN '' ELSE '@' || identifier.scope END
                       || ':' || identifier.value AS identifier,
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

Place = tuple[datetime, ConversationId]


async def page(tx: Tx, view: View, *, before: Place | None, limit: int) -> list[InboxRow]:
    """Return a page of the inbox, the latest message first: one walk along one index."""
    return await tx.all(
        InboxRow,
        "SELECT "
        + _COLUMNS
        + "  FROM (SELECT * FROM conversations.inbox_row AS row WHERE "
        + _where(view, before)
        + _FIRST
        + ") AS row"
        + _JOINS
        + _LATEST_FIRST,
        {**_params(view, before), "limit": limit},
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


async def rows_of_customers(tx: Tx, ids: Sequence[CustomerId], *, limit: int) -> list[InboxRow]:
    """Return the inbox lines of these customers, the latest message first."""
    return await tx.all(
        InboxRow,
        "SELECT "
        + _COLUMNS
        + "  FROM conversations.inbox_row AS row "
        + _JOINS
        + """
         WHERE identifier.customer_id = ANY (%s::uuid[])
         ORDER BY row.last_message_at DESC, row.conversation_id DESC
         LIMIT %s
        """,
        (list(ids), limit),
    )


async def count(tx: Tx, view: View) -> int:
    """Return how many there are, COUNT_CAP + 1 at the most: a list never counts further."""
    value = await tx.value(
        "SELECT count(*) FROM (SELECT FROM conversations.inbox_row AS row WHERE "
        + _where(view, None)
        + " LIMIT %(cap)s) AS capped",
        {**_params(view, None), "cap": COUNT_CAP + 1},
    )
    return int(value)


@dataclass(frozen=True, slots=True)
class Sought:
    """What a search looks for: words, and what they may be besides (a conversation's number, identifiers)."""

    words: str
    number: int | None = None
    identifiers: Sequence[Identifier] = ()


async def matching(tx: Tx, view: View, sought: Sought, *, before: Place | None, limit: int) -> list[InboxRow]:
    """Return a page of the conversations of a view in which something occurs, the latest message first.

    It occurs in a message or its subject, or the customer has the name or the identifier.
    """
    # The hits are found through their own indexes (OFFSET 0 keeps it so), then cut to the view, then to the page.
    return await tx.all(
        InboxRow,
        """
        WITH named AS MATERIALIZED (
            (SELECT customer_id FROM customers.identifier WHERE name ILIKE %(like)s)
             UNION
            (SELECT customer_id FROM customers.identifier WHERE value LIKE %(prefix)s)
             UNION
            (SELECT customer_id
               FROM customers.identifier
               JOIN unnest(%(kinds)s::text[], %(scopes)s::text[], %(values)s::text[]) AS given (kind, scope, value)
                 ON identifier.value = given.value AND identifier.kind = given.kind
                AND given.scope IN ('', identifier.scope))
        ), hits AS MATERIALIZED (
            (SELECT conversation_id
               FROM (SELECT conversation_id FROM conversations.found WHERE found.words LIKE %(like)s OFFSET 0) AS said)
             UNION
            (SELECT conversation.id
               FROM named
               JOIN customers.identifier       ON identifier.customer_id = named.customer_id
               JOIN conversations.conversation ON conversation.identifier_id = identifier.id)
             UNION
            (SELECT coalesce(joined_into, id) FROM conversations.conversation WHERE number = %(number)s)
        )
        SELECT """
        + _COLUMNS
        + """
          FROM (SELECT row.*
                  FROM conversations.inbox_row AS row
                 WHERE conversation_id IN (SELECT conversation_id FROM hits) AND """
        + _where(view, before)
        + _FIRST
        + ") AS row"
        + _JOINS
        + _LATEST_FIRST,
        {
            **_params(view, before),
            "like": "%" + _literally(sought.words) + "%",
            "prefix": _literally(sought.words) + "%",
            "number": sought.number,
            "kinds": [one.kind for one in sought.identifiers],
            "scopes": [one.scope for one in sought.identifiers],
            "values": [one.value for one in sought.identifiers],
            "limit": limit,
        },
    )


def _literally(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


_FIRST: Final[LiteralString] = """
                 ORDER BY row.last_message_at DESC, row.conversation_id DESC
                 LIMIT %(limit)s"""

_LATEST_FIRST: Final[LiteralString] = " ORDER BY row.last_message_at DESC, row.conversation_id DESC"


def _where(view: View, before: Place | None) -> LiteralString:
    """Only the conditions that are asked for, so that each view is a range of its own index."""
    conditions: LiteralString = "true"
    if view.status is not None:
        conditions += " AND row.status = %(status)s"
    if view.unassigned:
        conditions += " AND row.assignee_id IS NULL"
    elif view.assignee_id is not None:
        conditions += " AND row.assignee_id = %(assignee)s"
    if view.no_team:
        conditions += " AND row.team_id IS NULL"
    elif view.team_id is not None:
        conditions += " AND row.team_id = %(team)s"
    if view.brand_id is not None:
        conditions += " AND row.brand_id = %(brand)s"
    if view.brands is not None:
        conditions += " AND row.brand_id = ANY (%(brands)s::uuid[])"
    if view.teams is not None:
        conditions += " AND (row.team_id = ANY (%(teams)s::uuid[]) OR row.assignee_id = %(own)s::uuid)"
    if view.customer_id is not None:
        # As an array it is looked up once and first: a customer has few conversations.
        conditions += """
                   AND row.conversation_id = ANY (ARRAY(
                       SELECT conversation.id
                         FROM customers.identifier
                         JOIN conversations.conversation ON conversation.identifier_id = identifier.id
                        WHERE identifier.customer_id = %(customer)s AND conversation.joined_into IS NULL))"""
    if before is not None:
        conditions += " AND (row.last_message_at, row.conversation_id) < (%(at)s, %(id)s::uuid)"
    return conditions


def _params(view: View, before: Place | None) -> Mapping[str, object]:
    at, id_ = before or (None, None)
    return {
        "status": view.status,
        "assignee": view.assignee_id,
        "team": view.team_id,
        "brand": view.brand_id,
        "customer": view.customer_id,
        "brands": None if view.brands is None else list(view.brands),
        "teams": None if view.teams is None else list(view.teams),
        "own": view.own,
        "at": at,
        "id": id_,
    }
