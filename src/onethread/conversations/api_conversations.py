"""Routes of conversations: the inbox, one conversation and what is done with it."""

import unicodedata
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field, StringConstraints

from onethread.access import queries as access
from onethread.access.acting import Acting, needs
from onethread.access.model import SYSTEM, Actor
from onethread.conversations import actions
from onethread.conversations.actions import Change
from onethread.conversations.actions.changing import SUBJECT_MOST
from onethread.conversations.actions.reaching import ways_to
from onethread.conversations.actions.visiting import look
from onethread.conversations.api_shapes import (
    ContentBody,
    Limit,
    Seq,
    house_of,
)
from onethread.conversations.model import Status, pack
from onethread.conversations.queries import inbox, messages
from onethread.conversations.queries.inbox import InboxRow, Sought, View
from onethread.conversations.queries.messages import SharedDraft
from onethread.conversations.shown import ContentShown
from onethread.customers.queries import parse_identifier
from onethread.kernel.errors import Invalid
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import (
    AccountId,
    AgentId,
    BrandId,
    ConversationId,
    CustomerId,
    IdentifierId,
    MessageId,
    TeamId,
)
from onethread.kernel.normal import variants
from onethread.platform.db import Tx
from onethread.platform.wire import Body, Page, read_cursor, write_cursor

routes = APIRouter(tags=["conversations"])

Cursor = Annotated[str | None, Query(max_length=200)]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


_LEFT_OUT: Final[Any] = Field(default=None, json_schema_extra=_without_default)


class ChangeBody(Body):
    """What is to change; what is left out stays. `assignee_id: null` takes the conversation away.

    `snoozed_until` goes with the status `snoozed`.
    """

    status: Status = _LEFT_OUT
    snoozed_until: AwareDatetime = _LEFT_OUT
    assignee_id: AgentId | None = _LEFT_OUT
    team_id: TeamId | None = _LEFT_OUT
    subject: Annotated[str, StringConstraints(max_length=SUBJECT_MOST)] = _LEFT_OUT
    priority: Annotated[int, Field(ge=-1, le=2)] = _LEFT_OUT

    def change(self) -> Change:
        return Change(**{name: getattr(self, name) for name in self.model_fields_set})


class ReadBody(Body):
    upto: Seq


class DraftBody(ContentBody):
    """`version` is the one you have seen, 0 when there was none. Versions only grow."""

    version: Seq


class DraftShown(Body):
    version: int
    content: ContentShown


class JoinBody(Body):
    into: ConversationId


class SplitBody(Body):
    message_ids: Annotated[list[MessageId], Field(min_length=1, max_length=500)]
    subject: Annotated[str, StringConstraints(max_length=500)] = ""


class ConversationPointer(Body):
    conversation_id: ConversationId


class WayShown(Body):
    """One way to the customer. `why` says, before anybody types, what stands in the way."""

    identifier_id: IdentifierId
    identifier: str
    account_id: AccountId
    account_name: str
    channel: str
    open: bool
    why: str
    claimed: bool
    last_heard_at: datetime | None


class Counted(Body):
    """How many there are; 1000 means "more than 999"."""

    count: int


@routes.get("/conversations", operation_id="list_conversations", openapi_extra=needs("conversations.read"))
async def list_conversations(
    request: Request,
    actor: Acting,
    status: Status | None = None,
    assignee: Annotated[str | None, Query(max_length=40, description="An agent's id, `me` or `none`.")] = None,
    team: Annotated[str | None, Query(max_length=40, description="A team's id or `none`.")] = None,
    brand: BrandId | None = None,
    customer: CustomerId | None = None,
    q: Annotated[
        str | None,
        Query(max_length=200, description="Words of a message, a name, an identifier in any writing, or a number."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[InboxRow]:
    """List conversations, the latest message first."""
    view = _view(actor, status, assignee, team, brand, customer)
    before = read_cursor(cursor, tuple[datetime, ConversationId])
    async with house_of(request).database.transaction() as tx:
        if q and q.strip():
            sought = await _sought(tx, actor, q, brand)
            rows = await inbox.matching(tx, view, sought, before=before, limit=limit + 1)
        else:
            rows = await inbox.page(tx, view, before=before, limit=limit + 1)
    more = rows[limit - 1] if len(rows) > limit else None
    return Page(items=rows[:limit], next=write_cursor((more.last_message_at, more.id)) if more else None)


@routes.get("/conversations/count", operation_id="count_conversations", openapi_extra=needs("conversations.read"))
async def count_conversations(
    request: Request,
    actor: Acting,
    status: Status | None = None,
    assignee: Annotated[str | None, Query(max_length=40, description="An agent's id, `me` or `none`.")] = None,
    team: Annotated[str | None, Query(max_length=40, description="A team's id or `none`.")] = None,
    brand: BrandId | None = None,
) -> Counted:
    """Count conversations, up to 1000."""
    view = _view(actor, status, assignee, team, brand, None)
    async with house_of(request).database.transaction() as tx:
        return Counted(count=await inbox.count(tx, view))


@routes.get(
    "/conversations/{conversation_id}", operation_id="get_conversation", openapi_extra=needs("conversations.read")
)
async def get_conversation(request: Request, actor: Acting, conversation_id: ConversationId) -> InboxRow:
    """Show one conversation; the id of one that was joined into another shows that other."""
    async with house_of(request).database.transaction() as tx:
        return await look(tx, actor, conversation_id)


@routes.patch(
    "/conversations/{conversation_id}",
    operation_id="change_conversation",
    openapi_extra=needs("conversations.handle", "conversations.assign"),
)
async def change_conversation(
    request: Request, actor: Acting, conversation_id: ConversationId, body: ChangeBody
) -> InboxRow:
    """Change a conversation: status, subject and priority (`conversations.handle`), assignee and team (`….assign`)."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await actions.change(tx, actor, conversation_id, body.change(), house.clock())
        # Work that went to another team is shown this once more to whoever gave it away.
        return await look(tx, SYSTEM, conversation_id)


@routes.get(
    "/conversations/{conversation_id}/ways", operation_id="list_ways", openapi_extra=needs("conversations.read")
)
async def list_ways(request: Request, actor: Acting, conversation_id: ConversationId) -> Page[WayShown]:
    """List the ways to the customer, those used last first, and say which are open now."""
    house = house_of(request)
    desk = await house.desks()
    async with house.database.transaction() as tx:
        row = await look(tx, actor, conversation_id)
        ways = await ways_to(tx, desk, row.customer_id, row.brand_id, house.clock())
    shown = [
        WayShown(
            identifier_id=way.identifier.id,
            identifier=way.reach.address.identifier,
            account_id=way.account.id,
            account_name=way.account.name,
            channel=way.account.channel,
            open=way.reach.open,
            why=way.reach.why,
            claimed=way.claimed,
            last_heard_at=way.reach.address.last_heard_at,
        )
        for way in ways
    ]
    return Page(items=shown)


@routes.post(
    "/conversations/{conversation_id}/read",
    operation_id="read_conversation",
    status_code=204,
    openapi_extra=needs("conversations.read"),
)
async def read_conversation(request: Request, actor: Acting, conversation_id: ConversationId, body: ReadBody) -> None:
    """Note that you, an agent, have read up to a place. Who may not answer keeps a mark of their own only."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await actions.mark_read(tx, actor, conversation_id, upto=body.upto, now=house.clock())


@routes.get(
    "/conversations/{conversation_id}/draft", operation_id="get_draft", openapi_extra=needs("conversations.read")
)
async def get_draft(request: Request, actor: Acting, conversation_id: ConversationId) -> SharedDraft:
    """Show the draft colleagues share; version 0 when there never was one."""
    async with house_of(request).database.transaction() as tx:
        row = await look(tx, actor, conversation_id)
        return await messages.draft(tx, row.id)


@routes.put(
    "/conversations/{conversation_id}/draft", operation_id="save_draft", openapi_extra=needs("conversations.reply")
)
async def save_draft(request: Request, actor: Acting, conversation_id: ConversationId, body: DraftBody) -> DraftShown:
    """Save the shared draft over the version you have seen; an empty one is thrown away."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        content = body.content()
        version = await actions.save_draft(tx, actor, conversation_id, content, seen=body.version, now=house.clock())
    return DraftShown(version=version, content=pack(content))


@routes.post(
    "/conversations/{conversation_id}/join",
    operation_id="join_conversations",
    openapi_extra=needs("conversations.handle"),
)
async def join_conversations(
    request: Request, actor: Acting, conversation_id: ConversationId, body: JoinBody
) -> ConversationPointer:
    """Move everything of this conversation into another one of the same customer."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        into = await actions.join(tx, actor, conversation_id, body.into, house.clock())
    return ConversationPointer(conversation_id=into)


@routes.post(
    "/conversations/{conversation_id}/split",
    operation_id="split_conversation",
    status_code=201,
    openapi_extra=needs("conversations.handle"),
)
async def split_conversation(
    request: Request, actor: Acting, conversation_id: ConversationId, body: SplitBody
) -> ConversationPointer:
    """Move some messages into a conversation of their own."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        new = await actions.split(tx, actor, conversation_id, body.message_ids, subject=body.subject, now=house.clock())
    return ConversationPointer(conversation_id=new)


def _view(
    actor: Actor,
    status: Status | None,
    assignee: str | None,
    team: str | None,
    brand: BrandId | None,
    customer: CustomerId | None,
) -> View:
    actor.require("conversations.read")
    return View(
        status=status,
        assignee_id=_assignee(actor, assignee),
        unassigned=assignee == "none",
        team_id=_team(team),
        no_team=team == "none",
        brand_id=brand,
        customer_id=customer,
        brands=None if actor.brands is None else sorted(actor.brands),
        teams=None if actor.teams is None else sorted(actor.teams),
        own=actor.agent_id,
    )


def _assignee(actor: Actor, written: str | None) -> AgentId | None:
    if written is None or written == "none":
        return None
    if written == "me":
        if actor.agent_id is None:
            raise Invalid("A key has no conversations of its own.", field="assignee")
        return actor.agent_id
    try:
        return AgentId(UUID(written))
    except ValueError:
        raise Invalid("This is not an agent's id, `me` or `none`.", field="assignee") from None


def _team(written: str | None) -> TeamId | None:
    if written is None or written == "none":
        return None
    try:
        return TeamId(UUID(written))
    except ValueError:
        raise Invalid("This is not a team's id or `none`.", field="team") from None


async def _sought(tx: Tx, actor: Actor, written: str, brand: BrandId | None) -> Sought:
    """Read what somebody searches for; every brand in question completes national numbers with its country."""
    words = " ".join(unicodedata.normalize("NFKC", written).split())
    countries = sorted(
        {one.default_country for one in await access.brands(tx) if actor.sees_brand(one.id) and brand in {None, one.id}}
    )
    identifiers: set[Identifier] = set()
    for country in countries:
        with suppress(Invalid):
            identifiers.update(variants(parse_identifier(words, country)))
    number = words.removeprefix("#")
    return Sought(words.lower(), int(number) if _is_number(number) else None, sorted(identifiers))


def _is_number(words: str) -> bool:
    return words.isascii() and words.isdigit() and len(words) < 18
