"""Whether the server lives and works: /healthz, /readyz, /metrics."""

import hmac
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Final, Literal, cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

import onethread
from onethread.app.build import House
from onethread.channels import queries as channels
from onethread.conversations.queries import outgoing
from onethread.kernel.errors import NotAllowed, Unavailable
from onethread.platform import metrics
from onethread.platform.events import store as log_store
from onethread.platform.webhooks import store as webhooks

_LATE: Final = timedelta(minutes=5)  # work that is older than this means that something stands still


class CursorState(BaseModel):
    """A hearer of the log. `behind` in positions of the log, `seconds` the age of its oldest unread event."""

    name: str
    behind: int
    seconds: float


class TaskState(BaseModel):
    """A background task that crashed within the last minute."""

    task: str
    error: str
    at: datetime
    times: int


class Readiness(BaseModel):
    """What /readyz says. `seconds` are ages; `why` names in words what is not as it should be."""

    ready: bool
    database: Literal["up", "down"]
    cursors: list[CursorState] = []
    oldest_unapplied_receipt_seconds: float = 0.0
    oldest_undelivered_message_seconds: float = 0.0
    parked_receipts: int = 0
    failing_webhooks: int = 0
    crashed: list[TaskState] = []
    why: list[str] = []


def house_of(request: Request) -> House:
    """Return what the application was built with."""
    return cast("House", request.app.state.house)


Housed = Annotated[House, Depends(house_of)]


async def readiness(house: House) -> Readiness:
    """Look at everything a person would look at first."""
    now = house.clock()
    crashed = [TaskState(task=c.task, error=c.error, at=c.at, times=c.times) for c in house.crew.crashes()]
    why = [f"The task {task.task} crashed {task.times} times: {task.error}" for task in crashed]
    try:
        async with house.database.transaction() as tx:
            lags = await log_store.cursor_lags(tx)
            receipt = _age(await channels.oldest_waiting(tx), now)
            message = _age(await outgoing.oldest_due(tx), now)
            parked = await channels.parked_count(tx)
            failing = len(await webhooks.failing(tx))
    except Unavailable:
        return Readiness(ready=False, database="down", crashed=crashed, why=["The database cannot be reached.", *why])
    cursors = [
        CursorState(name=lag.name, behind=lag.behind, seconds=_age(lag.oldest_unread_at, now))
        for lag in lags
        if lag.name in house.subscribers.by_name
    ]
    late = _LATE.total_seconds()
    why += [f"The cursor {one.name} is {one.seconds:.0f} s behind." for one in cursors if one.seconds > late]
    if receipt > late:
        why.append(f"A receipt has waited {receipt:.0f} s to be applied.")
    return Readiness(
        ready=not why,
        database="up",
        cursors=cursors,
        oldest_unapplied_receipt_seconds=receipt,
        # A mailbox that is down delays its messages; the server is well all the same.
        oldest_undelivered_message_seconds=message,
        parked_receipts=parked,
        failing_webhooks=failing,
        crashed=crashed,
        why=why,
    )


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0


def router() -> APIRouter:
    """Return the routes for those who watch over us; they are no part of the API."""
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/", _front, methods=["GET"])
    routes.add_api_route("/healthz", _healthz, methods=["GET"])
    routes.add_api_route("/readyz", _readyz, methods=["GET"])
    routes.add_api_route("/metrics", _metrics, methods=["GET"])
    return routes


async def _front() -> Response:
    """Tell whoever opens the bare address where to go on."""
    return JSONResponse(
        {
            "name": "Onethread",
            "version": onethread.__version__,
            "api": "/api/v1",
            "openapi": "/api/v1/openapi.json",
            "ready": "/readyz",
        }
    )


async def _healthz() -> Response:
    return JSONResponse({"alive": True})


async def _readyz(house: Housed) -> Response:
    state = await readiness(house)
    return JSONResponse(state.model_dump(mode="json"), 200 if state.ready else 503)


async def _metrics(request: Request, house: Housed) -> Response:
    """Answer whoever has the token; without one set, this machine alone."""
    token = house.settings.metrics_token
    if token is not None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode()):
            raise NotAllowed("Send the token of the metrics in the Authorization header.")
    elif not _is_loopback(request.client.host if request.client else ""):
        raise NotAllowed("The metrics are for this machine only, until ONETHREAD_METRICS_TOKEN is set.")
    state = await readiness(house)
    metrics.oldest_receipt_seconds.set(state.oldest_unapplied_receipt_seconds)
    metrics.oldest_delivery_seconds.set(state.oldest_undelivered_message_seconds)
    for cursor in state.cursors:
        metrics.cursor_behind.labels(cursor.name).set(cursor.behind)
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    metrics.requests.labels(method, route, str(status)).inc()
    metrics.request_seconds.labels(route).observe(seconds)
