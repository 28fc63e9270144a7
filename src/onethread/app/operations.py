"""Routes for those who integrate and operate: the event log, dead letters, health."""

import asyncio
from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from onethread.access.acting import Acting, needs
from onethread.access.actions.audit import record_audit
from onethread.access.model import Actor
from onethread.app.health import Housed, Readiness, readiness
from onethread.app.vocabulary import EVENT_TYPES
from onethread.app.webhooks import routes as webhook_routes
from onethread.kernel.errors import Conflict, Invalid, NotAllowed, Refused
from onethread.platform.events import store as log_store
from onethread.platform.events.model import DeadLetter
from onethread.platform.wire import EventShape, Page, read_cursor, shown, write_cursor

routes = APIRouter(tags=["operations"])

Seq = Annotated[int, Query(ge=0, lt=1 << 63)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class EventPage(BaseModel):
    """Events after a position; ask on with `after` = `last`, the position up to which this is complete."""

    items: list[EventShape]
    last: int
    more: bool = Field(description="Whether there are more of them right now.")


@routes.get("/events", operation_id="list_events", openapi_extra=needs("events.read"))
async def list_events(
    house: Housed,
    actor: Acting,
    after: Seq = 0,
    types: Annotated[str | None, Query(max_length=2000, description="Event types, separated by commas.")] = None,
    limit: Limit = 100,
    wait: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for news when there are none.")] = 0,
) -> EventPage:
    """Read the event log in order, from a position on; nothing that commits late is ever skipped."""
    actor.require("events.read")
    if actor.teams is not None:
        raise NotAllowed("The event log is not cut by teams; somebody without a limit to teams must read it.")
    wanted = _types(types)
    if wait:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                return await _wait_for_some(house, actor, after, wanted, limit)
    return await _page(house, actor, after, wanted, limit)


async def _wait_for_some(house: Housed, actor: Actor, after: int, types: list[str] | None, limit: int) -> EventPage:
    while True:
        page = await _page(house, actor, after, types, limit)
        if page.items:
            return page
        await house.log.beyond(page.last)


async def _page(house: Housed, actor: Actor, after: int, types: list[str] | None, limit: int) -> EventPage:
    upto = house.log.horizon
    async with house.database.transaction() as tx:
        events = await log_store.events_between(
            tx,
            after,
            upto,
            limit=limit,
            types=types,
            brands=None if actor.brands is None else sorted(actor.brands),
        )
    more = len(events) == limit
    last = events[-1].seq if more else max(upto, after)
    return EventPage(items=[shown(event) for event in events], last=last, more=more)


def _types(given: str | None) -> list[str] | None:
    if not given:
        return None
    types = [word.strip() for word in given.split(",") if word.strip()]
    unknown = [word for word in types if word not in EVENT_TYPES]
    if unknown:
        raise Invalid("There is no event of this type.", field="query.types", unknown=unknown[:10])
    return types


@routes.get("/dead-letters", operation_id="list_dead_letters", openapi_extra=needs("events.replay"))
async def list_dead_letters(
    house: Housed,
    actor: Acting,
    subscriber: Annotated[str | None, Query(max_length=100)] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[DeadLetter]:
    """List events a subscriber could not take, the newest first."""
    actor.require("events.replay")
    actor.require_no_limits("Dead letters are")
    async with house.database.transaction() as tx:
        letters = await log_store.dead_letters(
            tx, subscriber=subscriber, before=read_cursor(cursor, UUID), limit=limit + 1
        )
    more = len(letters) > limit
    return Page(items=letters[:limit], next=write_cursor(letters[limit - 1].id) if more else None)


@routes.post(
    "/dead-letters/{letter_id}/replay",
    operation_id="replay_dead_letter",
    status_code=204,
    openapi_extra=needs("events.replay"),
)
async def replay_dead_letter(house: Housed, actor: Acting, letter_id: Annotated[UUID, Path()]) -> None:
    """Give an event to its subscriber once more; when it fails again it stays, with the new reason (409)."""
    actor.require("events.replay")
    actor.require_no_limits("Dead letters are")
    try:
        await house.subscribers.replay(letter_id)
    except Refused:
        raise
    except Exception as error:  # a door: the subscriber's failure is the answer, and is kept with the letter
        raise StillFails(f"It failed again: {type(error).__name__}.") from error
    async with house.database.transaction() as tx:
        await record_audit(tx, actor, "dead_letter.replayed", "dead_letter", letter_id)


class StillFails(Conflict):
    code = "still_fails"
    title = "It failed again"


@routes.get("/health", operation_id="get_health", openapi_extra=needs("events.read"))
async def get_health(house: Housed, actor: Acting) -> Readiness:
    """Show how the server is: the database, who is behind, what waits, what crashed."""
    actor.require("events.read")
    actor.require_no_limits("The health of the server is")
    return await readiness(house)


def router() -> APIRouter:
    """Return the routes of operations, without the prefix of the API's version."""
    both = APIRouter()
    both.include_router(routes)
    both.include_router(webhook_routes)
    return both
