"""From receipts to conversations: the rules of the one way in."""

import asyncio

import pytest

from onethread.kernel.clock import utc_now
from onethread.platform.db import Database
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World


@pytest.fixture
async def world(database: Database) -> World:
    return await World.open(database)


async def test_a_first_message_opens_a_conversation(world: World) -> None:
    assert await world.hear(Call("m1", "ana", text="Hello, where is my order?", name="Ana Lima")) == [True]
    (row,) = await world.inbox(status="open")
    assert (row.customer_name, row.last_text, row.unread) == ("Ana Lima", "Hello, where is my order?", 1)
    (line,) = await world.messages(row.id)
    assert (line.seq, line.direction, line.content) == (1, "in", {"text": "Hello, where is my order?"})
    assert await world.events() == ["AccountChanged", "ConversationOpened", "MessageReceived"] or (
        await world.events()
    )[-2:] == ["ConversationOpened", "MessageReceived"]


async def test_a_second_message_continues_it(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hello"), Call("m2", "ana", text="Is anybody there?"))
    await world.hear(Call("m3", "ana", text="?"))
    (row,) = await world.inbox()
    assert [line.seq for line in await world.messages(row.id)] == [1, 2, 3]
    assert (row.unread, row.last_text, row.last_seq) == (3, "?", 3)


async def test_the_same_receipt_three_times_from_four_connections_is_one_message(world: World) -> None:
    call = Call("m1", "ana", text="Hello")
    fresh = await asyncio.gather(*(world.hear(call, call, call) for _ in range(4)))
    assert sum(new for one in fresh for new in one[:1]) >= 1
    assert await world.value("SELECT count(*) FROM conversations.message") == 1
    assert await world.value("SELECT count(*) FROM channels.receipt") == 1


async def test_two_messages_of_a_new_sender_at_once_are_one_customer_and_one_conversation(world: World) -> None:
    await asyncio.gather(*(world.hear(Call(f"m{n}", "ana", text=str(n))) for n in range(8)))
    assert await world.value("SELECT count(*) FROM customers.customer") == 1
    assert await world.value("SELECT count(*) FROM conversations.conversation") == 1
    assert await world.value("SELECT count(*) FROM conversations.message") == 8


async def test_a_burst_of_one_sender_stays_in_order(world: World) -> None:
    await world.hear(*(Call(f"m{n}", "ana", text=str(n)) for n in range(120)))
    (row,) = await world.inbox()
    assert [line.content["text"] for line in await world.messages(row.id)] == [str(n) for n in range(120)]


async def test_one_bad_receipt_is_parked_and_its_batch_goes_on(world: World) -> None:
    await world.hear(
        Call("m1", "ana", text="Hello"),
        Call("bad1", "ana", "nonsense", text="This"),
        Call("bad2", "ana", "crash", text="boom"),
        Call("m2", "ana", text="still here"),
    )
    assert await world.parked() == ["This makes no sense.", "ZeroDivisionError: boom"]
    (row,) = await world.inbox()
    assert row.last_text == "still here"
    assert (await world.events()).count("ReceiptParked") == 2


async def test_what_is_nothing_to_us_is_kept_with_a_remark(world: World) -> None:
    await world.hear(Call("x1", "ana", "dance"))
    assert await world.value("SELECT reason FROM channels.receipt") == "ignored: a dance is nothing to us"
    assert await world.value("SELECT state FROM channels.receipt") == "applied"


async def test_a_sender_nobody_can_be_is_parked(world: World) -> None:
    await world.hear(Call("m1", "null", text="Hello"))
    assert len(await world.parked()) == 1


async def test_a_claim_of_somebody_elses_address_joins_nobody(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hi", claim="email:ana@example.com", claim_kind="verified"))
    await world.hear(Call("m2", "bruno", text="Hi, I am Ana", claim="email:ana@example.com"))
    ana, bruno = sorted(await world.inbox(), key=lambda row: row.last_text)
    assert ana.customer_id != bruno.customer_id
    assert await world.value("SELECT count(*) FROM customers.evidence WHERE kind = 'typed'") == 1


async def test_a_proven_claim_joins_and_the_next_message_continues(world: World) -> None:
    await world.hear(Call("m1", "ana-phone", text="Hi", claim="email:ana@example.com", claim_kind="verified"))
    await world.hear(Call("m2", "ana-desk", text="Hi again", claim="email:ana@example.com", claim_kind="verified"))
    assert await world.value("SELECT count(DISTINCT customer_id) FROM customers.identifier") == 1
    (row,) = await world.inbox()
    assert row.last_seq == 2


async def test_edits_reactions_and_unsends_reach_their_message(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Helo"), Call("m2", "ana", text="my card is 4111"))
    await world.hear(
        Call("e1", "ana", "edit", target="m1", text="Hello"),
        Call("u1", "ana", "unsend", target="m2"),
        Call("r1", "ana", "reaction", target="m1", text="👍"),
    )
    (row,) = await world.inbox()
    first, second = await world.messages(row.id)
    assert first.content == {"text": "Hello"}
    assert first.edited_at is not None
    assert [one["emoji"] for one in first.reactions] == ["👍"]
    assert second.content == {}
    assert second.unsent_at is not None
    assert row.last_text == ""


async def test_nobody_edits_or_unsends_what_another_said(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    await world.hear(Call("u1", "bruno", "unsend", target="m1"), Call("e1", "bruno", "edit", target="m1", text="x"))
    (row,) = await world.inbox()
    (line,) = await world.messages(row.id)
    assert line.content == {"text": "Hello"}


async def test_an_unsend_that_overtakes_its_message_waits_for_it(world: World) -> None:
    await world.hear(Call("u1", "ana", "unsend", target="m1"))
    assert await world.value("SELECT state FROM channels.receipt WHERE external_id = 'u1'") == "waiting"
    await world.hear(Call("m1", "ana", text="secret"))
    await world.value("UPDATE channels.receipt SET due_at = '-infinity' RETURNING 1")
    await world.apply()
    (row,) = await world.inbox()
    (line,) = await world.messages(row.id)
    assert line.content == {}


async def test_a_message_after_closing_reopens_and_a_robot_does_not(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    (row,) = await world.inbox()
    await world.value("UPDATE conversations.conversation SET status = 'closed', closed_at = now() RETURNING 1")
    await world.value("UPDATE conversations.inbox_row SET status = 'closed', unread = 0 RETURNING 1")
    await world.hear(Call("m2", "ana", text="I am on holiday", automatic=True))
    (row,) = await world.inbox()
    assert (row.status, row.unread, row.last_seq) == ("closed", 0, 2)
    await world.hear(Call("m3", "ana", text="Really, hello?"))
    (row,) = await world.inbox()
    assert (row.status, row.unread, row.last_seq) == ("open", 1, 3)


async def test_beyond_the_reopen_window_a_new_conversation_begins(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    await world.value(
        "UPDATE conversations.conversation SET status = 'closed', closed_at = now() - interval '15 days' RETURNING 1"
    )
    await world.value("UPDATE conversations.inbox_row SET status = 'closed' RETURNING 1")
    await world.hear(Call("m2", "ana", text="Hello again"))
    assert len(await world.inbox()) == 2


async def test_quoting_a_strangers_message_joins_nothing(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    await world.hear(Call("m2", "bruno", text="About that ticket", answers=["m1"]))
    assert len(await world.inbox()) == 2


async def test_an_answer_to_an_old_message_goes_to_its_own_conversation(world: World) -> None:
    await world.hear(Call("m1", "ana", text="Hello"))
    await world.value(
        "UPDATE conversations.conversation SET status = 'closed', closed_at = now() - interval '60 days' RETURNING 1"
    )
    await world.value("UPDATE conversations.inbox_row SET status = 'closed' RETURNING 1")
    await world.hear(Call("m2", "ana", text="One more thing", answers=["m1"]))
    (row,) = await world.inbox()
    assert (row.status, row.last_seq) == ("open", 2)


async def test_a_reused_external_id_loses_no_message(world: World) -> None:
    await world.hear(Call("same", "ana", text="Hello"))
    other = Call("same", "bruno", text="Good day")
    from dataclasses import replace

    from tests.kits.tincan import draft_of

    await world.reception.receive(world.account_ids["tincan"], [replace(draft_of(other), external_id="another")])
    await world.apply()
    assert {row.last_text for row in await world.inbox()} == {"Hello", "Good day"}


async def test_parked_receipts_can_be_replayed(world: World) -> None:
    from onethread.access.model import SYSTEM
    from onethread.channels import actions

    await world.hear(Call("bad", "ana", "crash", text="boom"))
    await world.value("""UPDATE channels.receipt SET body = '{"id":"bad","who":"ana","text":"mended"}' RETURNING 1""")
    async with world.database.transaction() as tx:
        lanes = await actions.replay_receipts(tx, SYSTEM, None)
    assert len(lanes) == 1
    await world.apply()
    (row,) = await world.inbox()
    assert row.last_text == "mended"


async def test_the_order_in_a_lane_survives_two_receivers(database: Database) -> None:
    world = await World.open(database, TinCan())
    calls = [Call(f"{who}-{n}", who, text=str(n)) for n in range(30) for who in ("ana", "bruno", "hanako")]
    await world.reception.receive(world.account_ids["tincan"], [])
    from onethread.conversations.receiving.receiver import Receiver

    other = Receiver(database, world.desks)
    running = [asyncio.create_task(one.run()) for one in (world.receiver, other)]
    from tests.kits.tincan import draft_of
    from tests.kits.world import until

    try:
        for start in range(0, len(calls), 10):
            await world.reception.receive(
                world.account_ids["tincan"], [draft_of(call) for call in calls[start : start + 10]]
            )

        async def applied() -> bool:
            return bool(await world.value("SELECT count(*) = 90 FROM conversations.message"))

        await until(applied)
    finally:
        # Python 3.11 may lose a cancellation that meets the end of what was awaited: say it again.
        while left := [task for task in running if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=1.0)
    for row in await world.inbox():
        assert [line.content["text"] for line in await world.messages(row.id)] == [str(n) for n in range(30)]
    assert utc_now() is not None
