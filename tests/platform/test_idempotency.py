"""The same request with the same key is carried out once."""

import asyncio
from dataclasses import replace

import pytest

from onethread.kernel.clock import utc_now
from onethread.platform.db import Database
from onethread.platform.idempotency import (
    KEPT,
    AnswerLost,
    Claim,
    Idempotency,
    InProgress,
    Kept,
    KeyReused,
    Request,
    forget,
)
from onethread.platform.secrets import Secrets, new_key

REQUEST = Request("key:ana", "order-1", "POST", "/api/v1/messages", b'{"text":"hi"}')
ANSWER = Kept(201, "application/json", b'{"secret":"shown once"}', "/api/v1/messages/1")


@pytest.fixture
def idempotency(database: Database) -> Idempotency:
    return Idempotency(database, Secrets.from_text(new_key()))


async def test_the_first_is_carried_out_and_the_second_gets_its_answer(idempotency: Idempotency):
    claim = await idempotency.claim(REQUEST)
    assert isinstance(claim, Claim)
    await idempotency.keep(claim, ANSWER)
    assert await idempotency.claim(REQUEST) == ANSWER


async def test_of_many_at_once_one_is_carried_out(idempotency: Idempotency):
    results = await asyncio.gather(*(idempotency.claim(REQUEST) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, Claim) for result in results) == 1
    assert sum(isinstance(result, InProgress) for result in results) == 19


async def test_the_same_key_with_another_body_is_refused(idempotency: Idempotency):
    claim = await idempotency.claim(REQUEST)
    with pytest.raises(KeyReused):
        await idempotency.claim(replace(REQUEST, body=b"{}"))
    await idempotency.keep(claim, ANSWER)
    with pytest.raises(KeyReused):
        await idempotency.claim(replace(REQUEST, query=b"notify=no"))


@pytest.mark.parametrize("other", [{"actor": "key:bruno"}, {"method": "PATCH"}, {"path": "/api/v1/x"}, {"key": "2"}])
async def test_somebody_or_something_else_is_another_request(idempotency: Idempotency, other):
    await idempotency.keep(await idempotency.claim(REQUEST), ANSWER)
    assert isinstance(await idempotency.claim(replace(REQUEST, **other)), Claim)


async def test_what_was_given_up_may_be_tried_again(idempotency: Idempotency):
    await idempotency.give_up(await idempotency.claim(REQUEST))
    assert isinstance(await idempotency.claim(REQUEST), Claim)


async def test_a_claim_whose_process_died_is_taken_over_when_its_time_is_up(idempotency: Idempotency):
    dead = await idempotency.claim(REQUEST)
    async with idempotency.database.transaction() as tx:
        await tx.run("UPDATE platform.idempotency SET claimed_until = now() - interval '1 s'")
    with pytest.raises(KeyReused):
        await idempotency.claim(replace(REQUEST, body=b"{}"))
    heir = await idempotency.claim(REQUEST)
    assert isinstance(heir, Claim)
    await idempotency.keep(dead, replace_body(b"late"))
    await idempotency.give_up(dead)
    await idempotency.keep(heir, ANSWER)
    assert await idempotency.claim(REQUEST) == ANSWER


async def test_what_was_carried_out_is_not_carried_out_again_though_its_answer_was_lost(idempotency: Idempotency):
    claim = await idempotency.claim(REQUEST)
    with idempotency.carrying_out(claim):
        async with idempotency.database.transaction() as tx:
            await tx.run("CREATE TABLE public.done (what text)")
    await idempotency.give_up(claim)  # as after an unexpected error behind the commit
    with pytest.raises(InProgress):
        await idempotency.claim(REQUEST)
    async with idempotency.database.transaction() as tx:
        await tx.run("UPDATE platform.idempotency SET claimed_until = now() - interval '1 s'")
    with pytest.raises(AnswerLost):
        await idempotency.claim(REQUEST)


async def test_what_only_looked_has_carried_out_nothing(idempotency: Idempotency):
    claim = await idempotency.claim(REQUEST)
    with idempotency.carrying_out(claim):
        async with idempotency.database.transaction() as tx:
            await tx.value("SELECT count(*) FROM platform.event")
    await idempotency.give_up(claim)
    assert isinstance(await idempotency.claim(REQUEST), Claim)


async def test_whoever_lost_the_claim_writes_nothing(idempotency: Idempotency):
    slow = await idempotency.claim(REQUEST)
    async with idempotency.database.transaction() as tx:
        await tx.run("UPDATE platform.idempotency SET claimed_until = now() - interval '1 s'")
    assert isinstance(await idempotency.claim(REQUEST), Claim)
    with pytest.raises(InProgress), idempotency.carrying_out(slow):
        async with idempotency.database.transaction() as tx:
            await tx.run("CREATE TABLE public.done (what text)")
    async with idempotency.database.transaction() as tx:
        assert await tx.value("SELECT to_regclass('public.done')") is None


async def test_a_task_that_outlives_its_request_is_free_again(idempotency: Idempotency):
    claim = await idempotency.claim(REQUEST)
    go = asyncio.Event()

    async def later():
        await go.wait()
        async with idempotency.database.transaction() as tx:
            await tx.run("CREATE TABLE public.done (what text)")

    with idempotency.carrying_out(claim):
        task = asyncio.create_task(later())
    go.set()
    await task
    await idempotency.give_up(claim)
    assert isinstance(await idempotency.claim(REQUEST), Claim)


async def test_after_a_day_a_key_is_fresh_again(idempotency: Idempotency):
    await idempotency.keep(await idempotency.claim(REQUEST), ANSWER)
    async with idempotency.database.transaction() as tx:
        assert await forget(tx, now=utc_now()) == 0
        await tx.run("UPDATE platform.idempotency SET created_at = now() - interval '25 h'")
    assert isinstance(await idempotency.claim(replace(REQUEST, body=b"{}")), Claim)
    async with idempotency.database.transaction() as tx:
        assert await forget(tx, now=utc_now() + KEPT * 2) == 1


async def test_nothing_is_kept_in_clear(idempotency: Idempotency):
    await idempotency.keep(await idempotency.claim(REQUEST), ANSWER)
    async with idempotency.database.transaction() as tx:
        row = await tx.value("SELECT to_jsonb(known)::text || encode(answer, 'escape') FROM platform.idempotency known")
    assert "shown once" not in row
    assert "hi" not in row


def replace_body(body: bytes) -> Kept:
    return Kept(ANSWER.status, ANSWER.media_type, body)
