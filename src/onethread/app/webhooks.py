"""Routes of the outgoing webhooks. What they do is in platform/webhooks; who may is decided here."""

from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints

from onethread.access.acting import Acting, needs
from onethread.access.actions.audit import record_audit
from onethread.access.model import Actor
from onethread.app.health import Housed
from onethread.app.vocabulary import EVENT_TYPES
from onethread.kernel.errors import Invalid, NotAllowed, NotFound
from onethread.kernel.ids import BrandId, new_id
from onethread.platform.addresses import Allowed, is_inner
from onethread.platform.db import Tx
from onethread.platform.webhooks import actions, store
from onethread.platform.webhooks.model import Delivery, DeliveryState, Webhook, WebhookId
from onethread.platform.wire import Body, Page, read_cursor, write_cursor

routes = APIRouter(tags=["webhooks"], prefix="/webhooks")

_MAY = needs("webhooks.manage")

Url = Annotated[str, StringConstraints(min_length=8, max_length=2000)]
Types = Annotated[list[Annotated[str, StringConstraints(max_length=100)]], Field(min_length=1, max_length=100)]
Place = Annotated[int, Field(ge=1, lt=1 << 63)]
Cursor = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=200)]


class NewWebhookBody(Body):
    """`types` are event types, or `*`. Without a `secret` (whsec_…) one is made."""

    url: Url
    types: Types
    brand_id: BrandId | None = None
    secret: Annotated[str, StringConstraints(max_length=200)] | None = None


class WebhookBody(Body):
    """What is given changes; the rest stays."""

    url: Url | None = None
    types: Types | None = None
    enabled: bool | None = None


class WebhookWithSecret(BaseModel):
    """A webhook and its secret, which is shown this once."""

    webhook: Webhook
    secret: str


class PingAnswer(BaseModel):
    """What the other side answered: an HTTP status, or why there was none."""

    status: int | None
    error: str


class ReplayBody(Body):
    """Which deliveries; without any, all that are dead."""

    deliveries: Annotated[list[Place], Field(max_length=1000)] | None = None


class Replayed(BaseModel):
    count: int


@routes.get("", operation_id="list_webhooks", openapi_extra=_MAY)
async def list_webhooks(house: Housed, actor: Acting, cursor: Cursor = None, limit: Limit = 50) -> Page[Webhook]:
    """List who is told of events, the newest first."""
    actor.require("webhooks.manage")
    async with house.database.transaction() as tx:
        found = await store.webhooks(tx, before=_place(cursor), limit=limit + 1)
    more = len(found) > limit
    seen = [webhook for webhook in found[:limit] if _sees(actor, webhook)]
    return Page(items=seen, next=write_cursor(found[limit - 1].id) if more else None)


@routes.post("", operation_id="add_webhook", status_code=201, openapi_extra=_MAY)
async def add_webhook(house: Housed, actor: Acting, body: NewWebhookBody) -> WebhookWithSecret:
    """Have events posted to an address from now on, signed by the Standard Webhooks scheme."""
    actor.require("webhooks.manage")
    if body.brand_id is not None:
        actor.require_brand(body.brand_id)
    elif actor.brands is not None:
        raise NotAllowed("You work for certain brands only; say with brand_id whose events are wanted.")
    _check_open(house, body.url)
    async with house.database.transaction() as tx:
        made = await actions.subscribe(
            tx,
            house.secrets,
            url=body.url,
            types=body.types,
            known=EVENT_TYPES,
            brand_id=body.brand_id,
            secret=body.secret,
        )
        await record_audit(
            tx, actor, "webhook.added", "webhook", made.webhook.id, after={"url": made.webhook.url, "types": body.types}
        )
    return WebhookWithSecret(webhook=made.webhook, secret=made.secret)


@routes.get("/{webhook_id}", operation_id="get_webhook", openapi_extra=_MAY)
async def get_webhook(house: Housed, actor: Acting, webhook_id: WebhookId) -> Webhook:
    """Show one webhook."""
    async with house.database.transaction() as tx:
        return await _managed(tx, actor, webhook_id)


@routes.patch("/{webhook_id}", operation_id="change_webhook", openapi_extra=_MAY)
async def change_webhook(house: Housed, actor: Acting, webhook_id: WebhookId, body: WebhookBody) -> Webhook:
    """Change where a webhook goes, what it gets, or whether it gets anything."""
    async with house.database.transaction() as tx:
        before = await _managed(tx, actor, webhook_id)
        if body.url is not None:
            _check_open(house, body.url)
        after = await actions.change(
            tx,
            webhook_id,
            url=body.url if body.url is not None else before.url,
            types=body.types if body.types is not None else before.types,
            known=EVENT_TYPES,
            brand_id=before.brand_id,
            enabled=before.enabled if body.enabled is None else body.enabled,
        )
        await record_audit(
            tx, actor, "webhook.changed", "webhook", webhook_id, before=_summary(before), after=_summary(after)
        )
    house.webhooks.wake()
    return after


@routes.delete("/{webhook_id}", operation_id="remove_webhook", status_code=204, openapi_extra=_MAY)
async def remove_webhook(house: Housed, actor: Acting, webhook_id: WebhookId) -> None:
    """Remove a webhook and what is still waiting for it."""
    async with house.database.transaction() as tx:
        before = await _managed(tx, actor, webhook_id)
        await actions.remove(tx, webhook_id)
        await record_audit(tx, actor, "webhook.removed", "webhook", webhook_id, before=_summary(before))


@routes.post("/{webhook_id}/secret", operation_id="rotate_webhook_secret", openapi_extra=_MAY)
async def rotate_webhook_secret(house: Housed, actor: Acting, webhook_id: WebhookId) -> WebhookWithSecret:
    """Give a webhook a new secret; for 24 hours requests carry the signatures of both."""
    async with house.database.transaction() as tx:
        await _managed(tx, actor, webhook_id)
        made = await actions.rotate(tx, house.secrets, webhook_id, now=house.clock())
        await record_audit(tx, actor, "webhook.secret_rotated", "webhook", webhook_id)
    return WebhookWithSecret(webhook=made.webhook, secret=made.secret)


@routes.post("/{webhook_id}/ping", operation_id="ping_webhook", openapi_extra=_MAY)
async def ping_webhook(house: Housed, actor: Acting, webhook_id: WebhookId) -> PingAnswer:
    """Post a test message (`webhook.ping`) now and say what came back."""
    async with house.database.transaction() as tx:
        await _managed(tx, actor, webhook_id)
        where = await store.target(tx, webhook_id)
    if where is None:
        raise _missing()
    answer = await house.webhooks.ping(where, id_=str(new_id()))
    return PingAnswer(status=answer.status, error=answer.error)


@routes.get("/{webhook_id}/deliveries", operation_id="list_webhook_deliveries", openapi_extra=_MAY)
async def list_webhook_deliveries(
    house: Housed,
    actor: Acting,
    webhook_id: WebhookId,
    state: DeliveryState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Delivery]:
    """List what was and will be delivered, the newest first; `state=dead` waits for a person."""
    async with house.database.transaction() as tx:
        await _managed(tx, actor, webhook_id)
        before = read_cursor(cursor, int)
        found = await store.deliveries(tx, webhook_id=webhook_id, state=state, before=before, limit=limit + 1)
    more = len(found) > limit
    return Page(items=found[:limit], next=write_cursor(found[limit - 1].id) if more else None)


@routes.post("/{webhook_id}/deliveries/replay", operation_id="replay_webhook_deliveries", openapi_extra=_MAY)
async def replay_webhook_deliveries(house: Housed, actor: Acting, webhook_id: WebhookId, body: ReplayBody) -> Replayed:
    """Deliver again what is dead or was delivered, with the same ids."""
    async with house.database.transaction() as tx:
        await _managed(tx, actor, webhook_id)
        count = await actions.replay(tx, webhook_id, body.deliveries)
        await record_audit(tx, actor, "webhook.replayed", "webhook", webhook_id, after={"count": count})
    house.webhooks.wake()
    return Replayed(count=count)


def _check_open(house: Housed, url: str) -> None:
    """Refuse an address that is plainly an inner one; one behind a name is refused when it is connected to."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return  # the words for what is no address at all are said below
    if is_inner(host, Allowed.of(house.settings.outward_allow)):
        raise Invalid(
            f"{host} is not a public address. Whoever runs the server can allow it: ONETHREAD_OUTWARD_ALLOW.",
            field="url",
        )


def _place(cursor: str | None) -> WebhookId | None:
    found = read_cursor(cursor, UUID)
    return None if found is None else WebhookId(found)


async def _managed(tx: Tx, actor: Actor, webhook_id: WebhookId) -> Webhook:
    """Return the webhook if the actor may manage it; one of a brand they do not see is not there."""
    actor.require("webhooks.manage")
    webhook = await actions.one(tx, webhook_id)
    if not _sees(actor, webhook):
        raise _missing()
    return webhook


def _sees(actor: Actor, webhook: Webhook) -> bool:
    return actor.brands is None or (webhook.brand_id is not None and actor.sees_brand(webhook.brand_id))


def _summary(webhook: Webhook) -> dict[str, object]:
    return {"url": webhook.url, "types": list(webhook.types), "enabled": webhook.enabled}


def _missing() -> NotFound:
    return NotFound("There is no such webhook.")
