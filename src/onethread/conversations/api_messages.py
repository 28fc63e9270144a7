"""Routes of messages: what is said in a conversation, and taking it back."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, StringConstraints

from onethread.access import queries as access
from onethread.access.acting import Acting, needs
from onethread.access.model import Actor, Brand
from onethread.conversations import actions
from onethread.conversations.actions import Say, Spoken
from onethread.conversations.actions.visiting import look
from onethread.conversations.api_shapes import (
    ClientId,
    ContentBody,
    Emoji,
    IdentifierText,
    Limit,
    Seq,
    Text,
    house_of,
)
from onethread.conversations.model import Purpose, pack
from onethread.conversations.queries import messages
from onethread.conversations.queries.messages import MessageLine
from onethread.conversations.shown import ContentShown
from onethread.customers.queries import parse_identifier
from onethread.kernel.errors import Invalid, NotFound
from onethread.kernel.ids import (
    AccountId,
    AgentId,
    BrandId,
    ConversationId,
    DeliveryId,
    MessageId,
)
from onethread.platform.db import Tx
from onethread.platform.wire import Body, Page, read_cursor, write_cursor

routes = APIRouter(tags=["conversations"])

Cursor = Annotated[str | None, Query(max_length=200)]


class SayBody(ContentBody):
    """An answer. Without `to` and `account_id` it goes the way the customer used last."""

    to: IdentifierText | None = None
    account_id: AccountId | None = None
    answers: MessageId | None = None
    purpose: Purpose = "service"
    hold_seconds: Annotated[int, Field(ge=0, le=120)] | None = None
    client_id: ClientId | None = None


class StartBody(SayBody):
    """A first message, to an identifier such as `email:ana@example.com`."""

    brand_id: BrandId | None = None
    name: Annotated[str, StringConstraints(max_length=120)] | None = None


class NoteBody(Body):
    text: Text
    mentions: Annotated[list[AgentId], Field(max_length=50)] = Field(default_factory=list)
    client_id: ClientId | None = None


class EditBody(Body):
    text: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class ReactBody(Body):
    emoji: Emoji | None


class TakenBack(Body):
    """What the message said, to go on writing."""

    content: ContentShown


@routes.get(
    "/conversations/{conversation_id}/messages",
    operation_id="list_messages",
    openapi_extra=needs("conversations.read"),
)
async def list_messages(
    request: Request,
    actor: Acting,
    conversation_id: ConversationId,
    before: Annotated[Seq | None, Query(description="Messages before this place, the nearest ones.")] = None,
    after: Annotated[Seq | None, Query(description="Messages after this place.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[MessageLine]:
    """List messages and notes in their order: the last ones unless told otherwise.

    `next` goes on in the same direction: to older ones, with `after` to newer ones.
    """
    if (place := read_cursor(cursor, tuple[Literal["before", "after"], int])) is not None:
        if before is not None or after is not None:
            raise Invalid("Say either cursor or a place, not both.", field="cursor")
        before, after = (place[1], None) if place[0] == "before" else (None, place[1])
    async with house_of(request).database.transaction() as tx:
        row = await look(tx, actor, conversation_id)
        lines = await messages.page(tx, row.id, before=before, after=after, limit=limit + 1)
    if len(lines) <= limit:
        return Page(items=lines)
    if after is not None:
        lines = lines[:limit]
        return Page(items=lines, next=write_cursor(("after", lines[-1].seq)))
    lines = lines[-limit:]
    return Page(items=lines, next=write_cursor(("before", lines[0].seq)))


@routes.post(
    "/conversations/{conversation_id}/messages",
    operation_id="send_message",
    status_code=201,
    openapi_extra=needs("conversations.reply"),
)
async def send_message(request: Request, actor: Acting, conversation_id: ConversationId, body: SayBody) -> MessageLine:
    """Answer the customer, over the channel they used last unless told otherwise."""
    actor.require("conversations.reply")
    house = house_of(request)
    desk = await house.desks()
    async with house.database.transaction() as tx:
        row = await look(tx, actor, conversation_id)
        brand = await _brand(tx, row.brand_id)
        say = _say(actor, body, brand)
        spoken = await actions.send(tx, actor, desk, conversation_id, say, house.clock())
        return await _line(tx, spoken)


@routes.post(
    "/conversations/{conversation_id}/notes",
    operation_id="add_note",
    status_code=201,
    openapi_extra=needs("conversations.note"),
)
async def add_note(request: Request, actor: Acting, conversation_id: ConversationId, body: NoteBody) -> MessageLine:
    """Write a note that only colleagues see."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        spoken = await actions.add_note(
            tx,
            actor,
            conversation_id,
            body.text,
            house.clock(),
            mentions=body.mentions,
            client_id=body.client_id,
        )
        return await _line(tx, spoken)


@routes.post(
    "/messages", operation_id="start_conversation", status_code=201, openapi_extra=needs("conversations.start")
)
async def start_conversation(request: Request, actor: Acting, body: StartBody) -> MessageLine:
    """Write first, to an identifier: in what the customer has open, or in a new conversation."""
    house = house_of(request)
    desk = await house.desks()
    async with house.database.transaction() as tx:
        brand = await _brand_to_speak_for(tx, actor, body.brand_id)
        say = _say(actor, body, brand)
        if say.to is None:
            raise Invalid("Say whom to write to.", field="to")
        spoken = await actions.start(tx, actor, desk, brand.id, say, house.clock(), name=body.name)
        return await _line(tx, spoken)


@routes.post("/messages/{message_id}/undo", operation_id="undo_message", openapi_extra=needs("conversations.reply"))
async def undo_message(request: Request, actor: Acting, message_id: MessageId) -> TakenBack:
    """Take a message back that has not left yet."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        content = await actions.take_back(tx, actor, message_id, house.clock())
    return TakenBack(content=pack(content))


@routes.patch(
    "/messages/{message_id}",
    operation_id="edit_message",
    status_code=204,
    openapi_extra=needs("conversations.reply"),
)
async def edit_message(request: Request, actor: Acting, message_id: MessageId, body: EditBody) -> None:
    """Change the words of a message of ours, where its channel can."""
    house = house_of(request)
    desk = await house.desks()
    async with house.database.transaction() as tx:
        await actions.edit(tx, actor, desk, message_id, body.text, house.clock())


@routes.delete(
    "/messages/{message_id}",
    operation_id="unsend_message",
    status_code=204,
    openapi_extra=needs("conversations.reply"),
)
async def unsend_message(request: Request, actor: Acting, message_id: MessageId) -> None:
    """Remove a message of ours, here and where its channel can."""
    house = house_of(request)
    desk = await house.desks()
    async with house.database.transaction() as tx:
        await actions.unsend(tx, actor, desk, message_id, house.clock())


@routes.put(
    "/messages/{message_id}/reaction",
    operation_id="react_to_message",
    status_code=204,
    openapi_extra=needs("conversations.reply"),
)
async def react_to_message(request: Request, actor: Acting, message_id: MessageId, body: ReactBody) -> None:
    """React to a message, or (null) take the reaction back."""
    house = house_of(request)
    desk = await house.desks()
    async with house.database.transaction() as tx:
        await actions.react(tx, actor, desk, message_id, body.emoji, house.clock())


@routes.post(
    "/deliveries/{delivery_id}/retry",
    operation_id="retry_delivery",
    status_code=204,
    openapi_extra=needs("conversations.reply"),
)
async def retry_delivery(request: Request, actor: Acting, delivery_id: DeliveryId) -> None:
    """Send a failed delivery once more."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await actions.retry_delivery(tx, actor, delivery_id, house.clock())


def _say(actor: Actor, body: SayBody, brand: Brand) -> Say:
    """Read what is to be said. Letters of people wait as long as their brand says; machines do not hesitate."""
    return Say(
        content=body.content(),
        to=None if body.to is None else parse_identifier(body.to, brand.default_country),
        over=body.account_id,
        answers=body.answers,
        purpose=body.purpose,
        hold=None if body.hold_seconds is None else timedelta(seconds=body.hold_seconds),
        hold_letters=timedelta(seconds=brand.undo_seconds if actor.kind == "agent" else 0),
        client_id=body.client_id,
    )


async def _brand(tx: Tx, brand_id: BrandId) -> Brand:
    brand = await access.brand(tx, brand_id)
    if brand is None:
        raise NotFound("There is no such brand.")
    return brand


async def _brand_to_speak_for(tx: Tx, actor: Actor, brand_id: BrandId | None) -> Brand:
    """Return the brand that was named, or the only one the actor works for."""
    actor.require("conversations.start")
    if brand_id is not None:
        return await _brand(tx, brand_id)
    brands = [brand for brand in await access.brands(tx) if actor.sees_brand(brand.id)]
    if len(brands) != 1:
        raise Invalid("Say which brand writes.", field="brand_id")
    return brands[0]


async def _line(tx: Tx, spoken: Spoken) -> MessageLine:
    lines = await messages.lines(tx, [spoken.message_id])
    return lines[0]
