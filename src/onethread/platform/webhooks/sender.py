"""Takes events to those who subscribed: due deliveries are claimed in sets, posted, and settled in sets."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from random import SystemRandom
from typing import Final

import msgspec
import structlog

from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Unavailable
from onethread.platform import metrics, signing
from onethread.platform.db import Database, Tx
from onethread.platform.events import store as log_store
from onethread.platform.events.model import Event
from onethread.platform.events.subscribers import Subscriber
from onethread.platform.secrets import Secrets, Undecipherable
from onethread.platform.webhooks import store
from onethread.platform.webhooks.model import PING, Again, Answer, Dead, Delivered, Stopped, WebhookId, judge

log = structlog.get_logger(__name__)

PURPOSE: Final = "webhook"  # of the encryption of the secrets
TIMEOUT: Final = 15.0  # seconds that a receiver has to answer
_LEASE = 90.0  # seconds after which a claimed delivery comes due again; well above TIMEOUT
_MOST_AT_ONCE = 4  # open requests to one webhook: a slow one holds up only itself
_SLOW_POLL = 1.0  # seconds: retries come due, other processes write deliveries
_AFTER_OUTAGE = 0.5  # seconds

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[Answer]]
Details = Mapping[int, Mapping[str, object]]
Hydrate = Callable[[Tx, list[Event]], Awaitable[Details]]

_encode = msgspec.json.Encoder().encode
_chance = SystemRandom().random


class Sender:
    """Delivers to webhooks. `post` makes one request; `hydrate` adds what an event only points to, by seq."""

    def __init__(self, database: Database, secrets: Secrets, post: Post, hydrate: Hydrate) -> None:
        self.database = database
        self.secrets = secrets
        self._post = post
        self._hydrate = hydrate
        self._news = asyncio.Event()
        self._busy: Counter[WebhookId] = Counter()
        self._ended: list[store.Ended] = []
        self._stopped: dict[WebhookId, str] = {}

    def subscriber(self) -> Subscriber:
        """Return the hearer of the log that writes deliveries, in the transaction of its cursor."""
        return Subscriber("webhooks", self._hear, start="now")

    def wake(self) -> None:
        """Say that deliveries may be due."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._news.clear()
                    try:
                        claimed = await self._turn()
                    except Unavailable:
                        await asyncio.sleep(_AFTER_OUTAGE)
                        continue
                    for one, body in claimed:
                        self._busy[one.webhook_id] += 1
                        group.create_task(self._attempt(one, body), name=f"webhook:{one.webhook_id}")
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_SLOW_POLL):
                            await self._news.wait()
        finally:
            with suppress(Unavailable):
                async with self.database.transaction() as tx:
                    await _settle(tx, self._ended, self._stopped)

    async def _hear(self, tx: Tx, events: list[Event]) -> None:
        if await store.insert_deliveries(tx, events):
            tx.after_commit(self.wake)

    async def _turn(self) -> list[tuple[store.Claimed, bytes]]:
        """Write what ended and claim what is due, in one transaction; return it with its bodies."""
        ended, stopped = list(self._ended), dict(self._stopped)
        async with self.database.transaction() as tx:
            await _settle(tx, ended, stopped)
            busy = +self._busy
            claimed = await store.claim_due(
                tx, busy=list(busy), busy_counts=list(busy.values()), most=_MOST_AT_ONCE, lease_seconds=_LEASE
            )
            bodies = await self._bodies(tx, claimed) if claimed else {}
        # Only now is it durable; what ended meanwhile waits for the next turn.
        del self._ended[: len(ended)]
        for id_ in stopped:
            self._stopped.pop(id_, None)
        ready = []
        for one in claimed:
            body = bodies.get(one.event_id)
            if body is None:
                self._ended.append(store.Ended(one.id, "dead", None, "The event is no longer in the log."))
                self.wake()
            else:
                ready.append((one, body))
        return ready

    async def _bodies(self, tx: Tx, claimed: Sequence[store.Claimed]) -> dict[object, bytes]:
        events = await log_store.events_by_id(tx, list({one.event_id for one in claimed}))
        details = await self._details(tx, events)
        return {event.id: body_of(event, details.get(event.seq)) for event in events}

    async def _details(self, tx: Tx, events: list[Event]) -> Details:
        try:
            async with tx.savepoint():
                return await self._hydrate(tx, events)
        except Unavailable:
            raise
        except Exception as error:  # a bare event is better than none, and than a sender that stands still
            log.error("webhooks.hydration_failed", error=type(error).__name__, exc_info=error)
            return {}

    async def _attempt(self, one: store.Claimed, body: bytes) -> None:
        try:
            answer = await self._signed(one.url, (one.secret, one.old_secret), str(one.event_id), body)
        except Undecipherable:
            answer = Answer(None, "Its secret cannot be opened with our keys any more; give it a new one.")
        except Exception as error:  # one webhook's trouble must not stop those of all the others
            log.exception("webhooks.post_failed", webhook=str(one.webhook_id), error=type(error).__name__)
            answer = Answer(None, f"It could not be posted ({type(error).__name__}).")
        finally:
            self._busy[one.webhook_id] -= 1
        verdict = judge(answer, attempts=one.attempts, chance=_chance())
        match verdict:
            case Delivered():
                ended = store.Ended(one.id, "delivered", answer.status, "")
            case Again(after):
                ended = store.Ended(one.id, "waiting", answer.status, answer.error, after)
            case Dead():
                ended = store.Ended(one.id, "dead", answer.status, answer.error)
            case Stopped(reason):
                ended = store.Ended(one.id, "dead", answer.status, reason)
                self._stopped[one.webhook_id] = reason
        metrics.webhook_posts.labels(type(verdict).__name__).inc()
        metrics.webhook_posts.labels(type(verdict).__name__.lower()).inc()
        if not isinstance(verdict, Delivered):
            log.info(
                "webhooks.attempt_failed",
                webhook=str(one.webhook_id),
                verdict=type(verdict).__name__,
                status=answer.status,
                attempts=one.attempts,
            )
        self._ended.append(ended)
        self.wake()

    async def ping(self, where: store.Target, *, id_: str) -> Answer:
        """Post a test message at once and return what came back; nothing is written."""
        body = _encode({"type": PING, "timestamp": utc_now(), "data": {}})
        return await self._signed(where.url, (where.secret, where.old_secret), id_, body)

    async def _signed(self, url: str, sealed: Sequence[bytes | None], id_: str, body: bytes) -> Answer:
        secrets = [self.secrets.decrypt(kept, purpose=PURPOSE).decode() for kept in sealed if kept]
        headers = signing.sign(secrets, id_=id_, at=utc_now(), body=body)
        return await self._post(url, body, {**headers, "content-type": "application/json"})


async def _settle(tx: Tx, ended: Sequence[store.Ended], stopped: Mapping[WebhookId, str]) -> None:
    if ended:
        await store.end_attempts(tx, ended)
    if stopped:
        await store.disable_webhooks(tx, list(stopped), list(stopped.values()))


def body_of(event: Event, details: Mapping[str, object] | None) -> bytes:
    """Return the body of a delivery: type, timestamp and the event as the API shows it, details included."""
    data = {
        "id": event.id,
        "seq": event.seq,
        "type": event.type,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "identifier_id": event.identifier_id,
        "conversation_id": event.conversation_id,
        "brand_id": event.brand_id,
        "actor": {"kind": event.actor_kind, "id": event.actor_id},
        "channel": event.channel,
        "payload": event.payload,
    }
    if details:
        data["details"] = details
    return _encode({"type": event.type, "timestamp": event.occurred_at, "data": data})
