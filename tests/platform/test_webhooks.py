"""Deliveries to webhooks over real HTTP: signed, retried, in order, and never held up by a slow neighbour."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
from standardwebhooks import Webhook as Reference

from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Invalid
from onethread.kernel.ids import BrandId, new_id
from onethread.platform.db import Database
from onethread.platform.events import store as log_store
from onethread.platform.events.log import Log, append
from onethread.platform.events.model import EventDraft
from onethread.platform.events.subscribers import Subscribers
from onethread.platform.secrets import Secrets, new_key
from onethread.platform.webhooks import actions, store
from onethread.platform.webhooks.model import Again, Answer, Dead, Delivered, Stopped, check_types, check_url, judge
from onethread.platform.webhooks.sender import Sender
from tests.machines.receiver import Receiver
from tests.machines.waiting import until

KNOWN = frozenset({"ConversationClosed", "AgentInvited"})


@dataclass(frozen=True, slots=True)
class ConversationClosed:
    why: str


@dataclass(frozen=True, slots=True)
class AgentInvited:
    email: str


async def _post(url, body, headers):
    async with httpx.AsyncClient(timeout=60) as client:
        try:
            response = await client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return Answer(None, type(error).__name__)
    return Answer(response.status_code, "" if response.is_success else f"It answered {response.status_code}.")


async def _nothing_more(tx, events):
    return {}


@dataclass(frozen=True, slots=True)
class Running:
    database: Database
    secrets: Secrets
    sender: Sender

    async def subscribe(self, url, types=("*",), brand_id=None) -> actions.Shown:
        async with self.database.transaction() as tx:
            return await actions.subscribe(tx, self.secrets, url=url, types=types, known=KNOWN, brand_id=brand_id)

    async def happen(self, *facts, brand_id=None) -> None:
        async with self.database.transaction() as tx:
            await append(tx, [EventDraft(fact, utc_now(), brand_id=brand_id) for fact in facts])

    async def deliveries(self, **kwargs):
        async with self.database.transaction() as tx:
            asked = {"webhook_id": None, "state": None, "before": None, "limit": 100} | kwargs
            return (await store.deliveries(tx, **asked))[::-1]

    async def become(self, count, state):
        """Wait until so many deliveries have a state; return them in order."""

        async def look():
            found = await self.deliveries(state=state)
            return found if len(found) >= count else None

        return await until(look)

    async def hurry(self) -> None:
        """Let what waits for its next attempt be due now."""
        async with self.database.transaction() as tx:
            await tx.run("UPDATE platform.webhook_delivery SET due_at = now() WHERE state = 'waiting'")
        self.sender.wake()


@asynccontextmanager
async def _running(database: Database, hydrate=_nothing_more) -> AsyncIterator[Running]:
    secrets = Secrets.from_text(new_key())
    log = Log(database)
    sender = Sender(database, secrets, _post, hydrate)
    subscribers = Subscribers(database, log, [sender.subscriber()], idle=0.05)
    await subscribers.prepare()
    tasks = [asyncio.create_task(part.run()) for part in (log, subscribers, sender)]
    try:
        yield Running(database, secrets, sender)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def running(database: Database) -> AsyncIterator[Running]:
    async with _running(database) as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver.listening() as receiver:
        yield receiver


async def test_an_event_arrives_signed_and_with_its_facts(running: Running, receiver: Receiver):
    shown = await running.subscribe(receiver.url)
    await running.happen(ConversationClosed("solved"))
    [request] = await receiver.requests(1)
    verified = Reference(shown.secret).verify(request.body, request.headers)
    assert verified["type"] == "ConversationClosed"
    assert verified["data"]["payload"] == {"why": "solved"}
    assert request.headers["webhook-id"] == verified["data"]["id"]
    [delivery] = await running.become(1, "delivered")
    assert (delivery.attempts, delivery.status) == (1, 200)


async def test_only_the_wanted_types_and_brand_are_sent(running: Running, receiver: Receiver):
    brand, other = BrandId(new_id()), BrandId(new_id())
    await running.subscribe(receiver.url, ["AgentInvited"], brand)
    await running.happen(ConversationClosed("a"), AgentInvited("the whole organisation's"))
    await running.happen(AgentInvited("another brand's"), brand_id=other)
    await running.happen(ConversationClosed("b"), AgentInvited("the brand's"), brand_id=brand)
    deliveries = await running.become(2, "delivered")
    told = {json.loads(request.body)["data"]["payload"]["email"] for request in await receiver.requests(2)}
    assert told == {"the whole organisation's", "the brand's"}
    assert len(await running.deliveries()) == 2
    assert {delivery.event_type for delivery in deliveries} == {"AgentInvited"}


async def test_a_failed_attempt_is_repeated_with_the_same_id(running: Running, receiver: Receiver):
    await running.subscribe(receiver.url)
    receiver.answers = [500, 503, 200]
    await running.happen(ConversationClosed("solved"))
    await receiver.requests(1)

    async def failed():
        [delivery] = await running.deliveries()
        return delivery if delivery.status else None

    first = await until(failed)
    assert first.state == "waiting"
    assert (first.due_at - utc_now()).total_seconds() > 1, "the second attempt must wait"

    async def hurried():
        await running.hurry()
        return len(receiver.taken) >= 3

    await until(hurried, every=0.1)
    [delivery] = await running.become(1, "delivered")
    assert len({request.headers["webhook-id"] for request in receiver.taken}) == 1
    assert delivery.attempts == len(receiver.taken)


async def test_after_the_last_attempt_it_waits_for_a_person_and_can_be_replayed(running: Running, receiver: Receiver):
    shown = await running.subscribe(receiver.url)
    receiver.always = 500
    await running.happen(ConversationClosed("solved"))

    async def dead():
        await running.hurry()
        return await running.deliveries(state="dead")

    await until(dead)
    receiver.always = 200
    async with running.database.transaction() as tx:
        assert await actions.replay(tx, shown.webhook.id, None) == 1
    running.sender.wake()
    [delivery] = await running.become(1, "delivered")
    assert delivery.attempts == 1


async def test_gone_disables_the_webhook(running: Running, receiver: Receiver):
    shown = await running.subscribe(receiver.url)
    receiver.always = 410
    await running.happen(ConversationClosed("a"))
    await running.become(1, "dead")
    async with running.database.transaction() as tx:
        (failing,) = await store.failing(tx)
    assert (failing.id, failing.dead, failing.retrying) == (shown.webhook.id, 1, 0)
    async with running.database.transaction() as tx:
        webhook = await actions.one(tx, shown.webhook.id)
    assert (webhook.enabled, webhook.disabled_reason) == (False, "The address answered 410 Gone.")
    await running.happen(ConversationClosed("b"))
    receiver.always = 200
    await asyncio.sleep(0.3)
    assert len(receiver.taken) == 1


async def test_a_slow_receiver_holds_up_only_itself(running: Running, receiver: Receiver):
    async with Receiver.listening() as slow:
        slow.hold()
        await running.subscribe(slow.url)
        await running.subscribe(receiver.url)
        await running.happen(*(ConversationClosed(str(n)) for n in range(30)))
        requests = await receiver.requests(30)
        assert {json.loads(r.body)["data"]["payload"]["why"] for r in requests} == {str(n) for n in range(30)}
        assert len(slow.taken) <= 4
        slow.release()
        await slow.requests(30)
        await running.become(60, "delivered")


async def test_while_a_secret_is_changed_requests_carry_both_signatures(running: Running, receiver: Receiver):
    shown = await running.subscribe(receiver.url)
    async with running.database.transaction() as tx:
        rotated = await actions.rotate(tx, running.secrets, shown.webhook.id, now=utc_now())
    await running.happen(ConversationClosed("solved"))
    [request] = await receiver.requests(1)
    assert shown.secret != rotated.secret
    for secret in (shown.secret, rotated.secret):
        Reference(secret).verify(request.body, request.headers)


async def test_details_are_added_and_their_failure_costs_only_them(database: Database, receiver: Receiver):
    async def hydrate(tx, events):
        if any(event.payload == {"why": "broken"} for event in events):
            await tx.value("SELECT 1 / 0")
        return {event.seq: {"message": "hello"} for event in events}

    async with _running(database, hydrate) as running:
        await running.subscribe(receiver.url)
        await running.happen(ConversationClosed("fine"))
        [first] = await receiver.requests(1)
        await running.happen(ConversationClosed("broken"))
        [_, second] = await receiver.requests(2)
        assert json.loads(first.body)["data"]["details"] == {"message": "hello"}
        assert "details" not in json.loads(second.body)["data"]


async def test_a_delivery_claimed_by_a_process_that_died_comes_due_again(running: Running, receiver: Receiver):
    shown = await running.subscribe("http://127.0.0.1:9/")
    await running.happen(ConversationClosed("solved"))
    await until(running.deliveries)
    async with running.database.transaction() as tx:
        await actions.change(
            tx,
            shown.webhook.id,
            url=receiver.url,
            types=["*"],
            known=KNOWN,
            brand_id=None,
            enabled=True,
        )
        # As a claim leaves it: an attempt counted, due again when the lease ends.
        await tx.run("UPDATE platform.webhook_delivery SET attempts = 1, due_at = now()")
    running.sender.wake()
    await running.become(1, "delivered")


async def test_nobody_subscribed_means_no_rows(running: Running):
    await running.happen(ConversationClosed("solved"))
    async with running.database.transaction() as tx:
        end = await log_store.last_seq(tx)

    async def heard():
        async with running.database.transaction() as tx:
            return (await log_store.cursor_lags(tx))[0].seq >= end

    await until(heard)
    assert await running.deliveries() == []


def test_answers_mean():
    assert judge(Answer(204), attempts=1, chance=0.5) == Delivered()
    assert judge(Answer(500), attempts=1, chance=0.5) == Again(5.0)
    assert judge(Answer(None, "no route"), attempts=2, chance=0.0) == Again(24.0)
    assert judge(Answer(429, retry_after=100), attempts=1, chance=0.5) == Again(100)
    assert judge(Answer(503, retry_after=1e9), attempts=1, chance=0.5) == Again(86_400)
    assert judge(Answer(302), attempts=7, chance=0.5) == Again(86_400)
    assert judge(Answer(500), attempts=8, chance=0.5) == Dead()
    assert judge(Answer(None, "not public", final=True), attempts=1, chance=0.5) == Dead()
    assert judge(Answer(410), attempts=1, chance=0.5) == Stopped("The address answered 410 Gone.")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.com/",
        "https://",
        "https://user:word@example.com/",
        "https://example.com/#top",
        "https://exa mple.com/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://example.com/" + "x" * 3000,
        "https://example.com/\n",
    ],
)
def test_an_address_that_is_none_is_refused_in_words(url):
    with pytest.raises(Invalid):
        check_url(url)


def test_types_are_known_or_everything():
    assert check_types(["AgentInvited", "AgentInvited"], KNOWN) == ["AgentInvited"]
    assert check_types(["AgentInvited", "*"], KNOWN) == ["*"]
    for wrong in ([], ["Nonsense"], ["AgentInvited"] * 101):
        with pytest.raises(Invalid):
            check_types(wrong, KNOWN)


async def test_a_ping_tells_at_once_what_came_back(running: Running, receiver: Receiver):
    shown = await running.subscribe(receiver.url)
    receiver.answers = [418]
    async with running.database.transaction() as tx:
        where = await store.target(tx, shown.webhook.id)
    answer = await running.sender.ping(where, id_=str(UUID(int=1)))
    assert answer.status == 418
    [request] = await receiver.requests(1)
    assert Reference(shown.secret).verify(request.body, request.headers)["type"] == "webhook.ping"
