"""From answers to deliveries: the rules of the one way out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from onethread.access.model import SYSTEM
from onethread.channels import actions as channels
from onethread.channels.contract import (
    Content,
    NeedsAttention,
    Outcome,
    Outgoing,
    Sent,
    TryLater,
    Unknown,
    Unreachable,
    reference_of,
)
from onethread.conversations import actions
from onethread.conversations.actions import Say, Spoken
from onethread.conversations.model import CannotSend, climbs, read_reply_token
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Conflict, Invalid
from onethread.kernel.identifier import Identifier
from onethread.platform.db import Database
from tests.kits.tincan import Call, TinCan
from tests.kits.world import KEY, World


class Provider:
    """Says what it is told to say, once each, then that it was sent."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)

    def __call__(self, outgoing: Outgoing) -> Outcome:
        return self.outcomes.pop(0) if self.outcomes else Sent(reference_of(outgoing.delivery_id))


async def answer(world: World, text: str = "On its way", **how: object) -> Spoken:
    (row,) = await world.inbox()
    async with world.database.transaction() as tx:
        say = replace(Say(Content(text=text)), **how)  # type: ignore[arg-type]
        return await actions.send(tx, SYSTEM, await world.desks(), row.id, say, utc_now())


async def delivery(world: World) -> tuple[str, str | None, bool]:
    async with world.database.transaction() as tx:
        rows = await tx.tuples("SELECT status, reason, repeated FROM conversations.delivery ORDER BY id DESC LIMIT 1")
    return rows[0][0], rows[0][1], rows[0][2]


@pytest.fixture
def can() -> TinCan:
    return TinCan()


@pytest.fixture
async def world(database: Database, can: TinCan) -> World:
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"))
    return world


async def test_an_answer_goes_the_way_the_customer_came(world: World, can: TinCan) -> None:
    await answer(world)
    await world.send_all()
    (sent,) = can.sent
    assert (sent.to.kind, sent.to.value, sent.content.text) == ("custom", "ana", "On its way")
    assert sent.answers == ("m1",)
    (row,) = await world.inbox()
    assert read_reply_token(KEY, sent.token, "ana") == row.id
    assert read_reply_token(KEY, sent.token, "bruno") is None
    assert (row.last_direction, row.unread, row.waiting_since) == ("out", 0, None)
    assert await delivery(world) == ("sent", None, False)


async def test_the_next_answer_follows_the_customer_to_another_channel(database: Database) -> None:
    chat, post = TinCan("chat"), TinCan("post", kind="email", subject=True)
    world = await World.open(database, chat, post)
    await world.hear(Call("m1", "ana", text="Hi", claim="email:ana@example.com", claim_kind="verified"), over="chat")
    await answer(world, "first")
    await world.hear(Call("m2", "ana@example.com", text="By post now"), over="post")
    await answer(world, "second")
    await world.send_all()
    assert [one.content.text for one in chat.sent] == ["first"]
    assert [one.content.text for one in post.sent] == ["second"]
    assert len(await world.inbox()) == 1


async def test_a_claimed_address_proves_itself_by_answering(database: Database) -> None:
    chat, post = TinCan("chat"), TinCan("post", kind="email", subject=True)
    world = await World.open(database, chat, post)
    await world.hear(Call("m1", "ana", text="Hi", claim="email:ana@example.com"), over="chat")
    await answer(world, "Look into your mail", to=Identifier("email", "ana@example.com"))
    await world.send_all()
    (sent,) = post.sent
    await world.hear(Call("m2", "mallory@example.com", text="me too", token=sent.token), over="post")
    assert len(await world.inbox()) == 2
    await world.hear(Call("m3", "ana@example.com", text="Here I am", token=sent.token), over="post")
    assert len(await world.inbox()) == 2
    row = next(row for row in await world.inbox() if row.last_text == "Here I am")
    lines = await world.messages(row.id)
    assert [line.channel for line in lines] == ["chat", "post", "post"]
    assert await world.value("SELECT count(DISTINCT customer_id) FROM customers.identifier") == 2


async def test_letters_of_a_conversation_that_began_in_a_chat_keep_one_subject(database: Database) -> None:
    chat, post = TinCan("chat"), TinCan("post", kind="email", subject=True)
    world = await World.open(database, chat, post)
    await world.hear(Call("m1", "ana", text="Hi", claim="email:ana@example.com", claim_kind="verified"), over="chat")
    for text in ("Look into your mail", "Did it come?"):
        await answer(world, text, to=Identifier("email", "ana@example.com"))
    await world.send_all()
    assert [one.content.subject for one in post.sent] == ["Look into your mail"] * 2


async def test_a_supplier_who_answers_is_not_the_customer(database: Database) -> None:
    chat, post = TinCan("chat"), TinCan("post", kind="email", subject=True)
    world = await World.open(database, chat, post)
    await world.hear(Call("m1", "ana", text="Hi"), over="chat")
    (row,) = await world.inbox()
    from onethread.conversations.model import reply_token

    token = reply_token(KEY, row.id, "supplier@example.com")
    await world.hear(Call("m2", "supplier@example.com", text="In stock", token=token), over="post")
    (row,) = await world.inbox()
    assert row.last_seq == 2
    assert await world.value("SELECT count(DISTINCT customer_id) FROM customers.identifier") == 2


async def test_a_letter_waits_and_can_be_taken_back(world: World, can: TinCan) -> None:
    spoken = await answer(world, "Oops", hold=timedelta(seconds=30))
    await world.send_all()
    assert can.sent == []
    async with world.database.transaction() as tx:
        content = await actions.take_back(tx, SYSTEM, spoken.message_id, utc_now())
    assert content.text == "Oops"
    assert (await delivery(world))[0] == "cancelled"
    spoken = await answer(world, "Better")
    await world.send_all()
    with pytest.raises(Conflict):
        async with world.database.transaction() as tx:
            await actions.take_back(tx, SYSTEM, spoken.message_id, utc_now())


async def test_a_provider_that_is_busy_gets_it_again(world: World, can: TinCan) -> None:
    can.answer = Provider(TryLater(0.0, "busy"))
    await answer(world)
    await world.send_all()
    assert (await delivery(world))[:2] == ("queued", "busy")
    await world.value("UPDATE conversations.delivery SET due_at = now() RETURNING 1")
    await world.send_all()
    assert (await delivery(world))[0] == "sent"
    assert len(can.sent) == 2


async def test_an_address_that_is_not_there_is_never_tried_again(world: World, can: TinCan) -> None:
    can.answer = Provider(Unreachable("No such person."))
    await answer(world)
    await world.send_all()
    assert (await delivery(world))[:2] == ("failed", "No such person.")
    with pytest.raises(CannotSend, match="No such person"):
        await answer(world, "Once more")


async def test_an_account_in_trouble_turns_red_and_well_again(world: World, can: TinCan) -> None:
    can.answer = Provider(NeedsAttention("The token was revoked; paste a new one."))
    await answer(world)
    await world.send_all()
    assert await world.value("SELECT well FROM channels.account") is False
    assert await world.value("SELECT health FROM channels.account") == "The token was revoked; paste a new one."
    assert (await delivery(world))[0] == "queued"
    assert "AccountHealthChanged" in await world.events()


async def test_an_unknown_outcome_waits_for_the_providers_word(world: World, can: TinCan) -> None:
    can.answer = Provider(Unknown("the line went dead"))
    spoken = await answer(world)
    await world.send_all()
    assert (await delivery(world))[0] == "unknown"
    await world.sender.sweep()
    assert (await delivery(world))[0] == "unknown"
    assert spoken.delivery_id is not None
    await world.value(
        "UPDATE conversations.delivery SET external_id = %s RETURNING 1", reference_of(spoken.delivery_id)
    )
    await world.hear(Call("s1", "-", "status", target=reference_of(spoken.delivery_id), status="delivered"))
    assert await delivery(world) == ("delivered", "the line went dead", False)


async def test_silence_after_an_unknown_outcome_repeats_it_marked(world: World, can: TinCan) -> None:
    can.answer = Provider(Unknown("the line went dead"))
    await answer(world)
    await world.send_all()
    await world.value("UPDATE conversations.delivery SET due_at = now() RETURNING 1")
    await world.sender.sweep()
    await world.send_all()
    status, _, repeated = await delivery(world)
    assert (status, repeated) == ("sent", True)
    assert [one.repeated for one in can.sent] == [False, True]


async def test_a_sender_that_died_leaves_an_unknown_outcome(world: World) -> None:
    await answer(world)
    await world.value(
        "UPDATE conversations.delivery SET status = 'sending', lease_until = now() - interval '1 s' RETURNING 1"
    )
    await world.sender.sweep()
    assert (await delivery(world))[0] == "unknown"


async def test_a_channel_that_is_idempotent_is_simply_asked_again(database: Database) -> None:
    can = TinCan(idempotent=True)
    world = await World.open(database, can)
    await world.hear(Call("m1", "ana", text="Hello"))
    await answer(world)
    await world.value(
        "UPDATE conversations.delivery SET status = 'sending', lease_until = now() - interval '1 s' RETURNING 1"
    )
    await world.sender.sweep()
    await world.send_all()
    assert await delivery(world) == ("sent", None, False)


async def test_statuses_climb_in_whatever_order_they_come(world: World) -> None:
    spoken = await answer(world)
    await world.send_all()
    assert spoken.delivery_id is not None
    target = reference_of(spoken.delivery_id)
    await world.hear(Call("s2", "-", "status", target=target, status="read"))
    await world.hear(Call("s1", "-", "status", target=target, status="delivered"))
    await world.hear(Call("s3", "-", "status", target=target, status="failed", text="late bounce"))
    assert (await delivery(world))[0] == "read"


async def test_a_bounce_fails_what_was_sent_and_stops_the_address(world: World) -> None:
    spoken = await answer(world)
    await world.send_all()
    assert spoken.delivery_id is not None
    await world.hear(
        Call(
            "b1", "-", "status", target=reference_of(spoken.delivery_id), status="failed", text="5.1.1", permanent=True
        )
    )
    assert (await delivery(world))[:2] == ("failed", "5.1.1")
    assert await world.value("SELECT reason FROM conversations.suppression") == "5.1.1"


async def test_one_persons_messages_leave_in_their_order(world: World, can: TinCan) -> None:
    for n in range(5):
        await answer(world, str(n))
    await world.send_all()
    assert [one.content.text for one in can.sent] == ["0", "1", "2", "3", "4"]


async def test_the_same_client_id_says_it_once(world: World, can: TinCan) -> None:
    actor = replace(SYSTEM, kind="key", id=world.brand_id)
    (row,) = await world.inbox()
    spoken = []
    for _ in range(2):
        async with world.database.transaction() as tx:
            say = Say(Content(text="once"), client_id="c1")
            spoken.append(await actions.send(tx, actor, await world.desks(), row.id, say, utc_now()))
    await world.send_all()
    assert spoken[0] == spoken[1]
    assert len(can.sent) == 1


async def test_what_a_channel_cannot_carry_is_refused_in_words(world: World) -> None:
    with pytest.raises(CannotSend, match=r"takes 1,000 characters at the most; this has 1,001"):
        await answer(world, "x" * 1001)


async def test_starting_towards_an_identifier_opens_a_conversation(database: Database) -> None:
    post = TinCan("post", kind="email", subject=True)
    world = await World.open(database, post)
    async with world.database.transaction() as tx:
        say = Say(Content(text="Your order is ready"), to=Identifier("email", "ana@example.com"))
        await actions.start(tx, SYSTEM, await world.desks(), world.brand_id, say, utc_now())
    await world.send_all()
    (sent,) = post.sent
    await world.hear(Call("m1", "ana@example.com", text="Thanks", token=sent.token), over="post")
    (row,) = await world.inbox()
    assert row.last_seq == 2


async def test_a_slow_channel_is_paced(database: Database) -> None:
    can = TinCan(per_second=2.0)
    world = await World.open(database, can)
    for who in ("ana", "bruno", "hanako", "maryam", "somchai"):
        await world.hear(Call(f"m-{who}", who, text="Hello"))
    for row in await world.inbox():
        async with world.database.transaction() as tx:
            await actions.send(tx, SYSTEM, await world.desks(), row.id, Say(Content(text="Hi")), utc_now())
    await world.sender.step()
    await world.sender.drain()
    assert len(can.sent) == 2
    assert await world.value("SELECT count(*) FROM conversations.delivery WHERE status = 'queued'") == 3


def test_failed_gives_way_to_better_news_only() -> None:
    assert climbs("failed", "delivered")
    assert not climbs("delivered", "failed")
    assert climbs("sent", "failed")
    assert not climbs("cancelled", "sent")
    assert not climbs("read", "delivered")


async def test_marketing_carries_a_link_that_stops_it_and_only_it(world: World, can: TinCan) -> None:
    await answer(world, "Ten per cent off", purpose="marketing")
    await answer(world, "Your order is ready")
    await world.send_all()
    offer, service = can.sent
    assert service.unsubscribe_url is None
    assert offer.unsubscribe_url is not None
    desk = await world.desks()
    wish = desk.unsubscribe.read(offer.unsubscribe_url.rpartition("/")[2])
    assert wish is not None
    async with world.database.transaction() as tx:
        await actions.unsubscribe(tx, wish, utc_now())
    with pytest.raises(CannotSend, match="unsubscribed"):
        await answer(world, "Twenty per cent off", purpose="marketing")
    await answer(world, "Your order has left")


@pytest.mark.parametrize("token", ["", "x", "A" * 60, "é", "====", "-" * 38])
def test_a_link_that_is_not_ours_is_nobodys_wish(token: str) -> None:
    from onethread.conversations.unsubscribing import UnsubscribeLinks

    assert UnsubscribeLinks("http://x", KEY).read(token) is None


async def test_the_channel_never_changes_behind_anybodys_back(database: Database) -> None:
    chat, post = TinCan("chat"), TinCan("post", kind="email", subject=True)
    world = await World.open(database, chat, post)
    await world.hear(Call("m1", "ana@example.com", text="By post"), over="post")
    await world.hear(
        Call("m2", "ana", text="By chat", claim="email:ana@example.com", claim_kind="verified"), over="chat"
    )
    async with world.database.transaction() as tx:
        await channels.change_account(
            tx, SYSTEM, chat.declaration, world.account_ids["chat"], enabled=False, secrets=world.secrets
        )
    world.accounts.forget()
    (row,) = [row for row in await world.inbox() if row.last_text == "By chat"]
    async with world.database.transaction() as tx:
        desk = await world.desks()
        shut = r"The account The chat is switched off\. Ways that are open: email:ana@example\.com over The post\."
        with pytest.raises(CannotSend, match=shut):
            await actions.send(tx, SYSTEM, desk, row.id, Say(Content(text="Hi")), utc_now())
        say = Say(Content(text="Hi"), to=Identifier("email", "ana@example.com"))
        await actions.send(tx, SYSTEM, desk, row.id, say, utc_now())
    await world.send_all()
    assert len(post.sent) == 1


async def test_a_kind_that_no_account_of_the_brand_reaches_is_named(world: World) -> None:
    with pytest.raises(CannotSend, match="No account of this brand sends to email addresses"):
        await answer(world, to=Identifier("email", "ana@example.com"))
    with pytest.raises(CannotSend, match="No account of this brand sends to phone numbers"):
        async with world.database.transaction() as tx:
            say = Say(Content(text="Hi"), to=Identifier("phone", "+66812345678"))
            await actions.start(tx, SYSTEM, await world.desks(), world.brand_id, say, utc_now())


async def test_what_was_taken_back_is_gone_in_words(world: World) -> None:
    spoken = await answer(world, "Oops", hold=timedelta(seconds=30))
    desk, id_ = await world.desks(), spoken.message_id
    async with world.database.transaction() as tx:
        await actions.take_back(tx, SYSTEM, id_, utc_now())
    for act in (
        lambda tx: actions.take_back(tx, SYSTEM, id_, utc_now()),
        lambda tx: actions.edit(tx, SYSTEM, desk, id_, "Better", utc_now()),
        lambda tx: actions.unsend(tx, SYSTEM, desk, id_, utc_now()),
    ):
        async with world.database.transaction() as tx:
            with pytest.raises(Conflict, match="taken back already"):
                await act(tx)


async def test_words_in_html_need_their_plain_text(world: World) -> None:
    with pytest.raises(Invalid, match="plain text"):
        await answer(world, "", content=Content(html="<p>Hello</p>"))
