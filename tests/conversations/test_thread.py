"""The one thread: everything that happened with a customer, with what was said."""

from dataclasses import replace
from datetime import timedelta

from onethread.access.model import SYSTEM
from onethread.channels.contract import Content
from onethread.conversations import actions
from onethread.conversations.actions import Say
from onethread.conversations.api_thread import _with_messages
from onethread.customers import queries as customers
from onethread.kernel.clock import utc_now
from onethread.platform.db import Database
from tests.kits.tincan import Call, TinCan
from tests.kits.world import World


async def test_the_thread_spans_channels_and_conversations_newest_first(database: Database) -> None:
    chat, post = TinCan("chat"), TinCan("post", kind="email", subject=True)
    world = await World.open(database, chat, post)
    await world.hear(Call("m1", "ana", text="Hi", claim="email:ana@example.com", claim_kind="verified"), over="chat")
    await world.hear(Call("m2", "ana@example.com", text="By post"), over="post")
    (row,) = await world.inbox()
    async with database.transaction() as tx:
        events = await customers.thread(tx, row.customer_id, before=None, limit=50)
        lines = await _with_messages(tx, SYSTEM, events)
        elsewhere = replace(SYSTEM, teams=frozenset())
        hidden = await _with_messages(tx, elsewhere, events)
    said = [line.message.content["text"] for line in lines if line.message is not None]
    assert said == ["By post", "Hi"]
    assert [line.type for line in lines if line.channel] == ["MessageReceived", "MessageReceived"]
    assert all(line.message is None for line in hidden)


async def test_what_a_message_brought_about_stands_right_before_it(database: Database) -> None:
    world = await World.open(database, TinCan())
    sent_at = utc_now() - timedelta(hours=2)
    await world.hear(Call("m1", "ana", text="Sent long ago, come in now", at=sent_at))
    (row,) = await world.inbox()
    async with database.transaction() as tx:
        events = await customers.thread(tx, row.customer_id, before=None, limit=50)
    place = [event.type for event in events].index("MessageReceived")
    message, opened = events[place], events[place + 1]
    assert (opened.type, opened.occurred_at) == ("ConversationOpened", sent_at)
    assert message.occurred_at == sent_at


async def test_only_what_was_said_carries_its_words(database: Database) -> None:
    world = await World.open(database, TinCan())
    await world.hear(Call("m1", "ana", text="Hello"))
    (row,) = await world.inbox()
    async with database.transaction() as tx:
        spoken = await actions.send(tx, SYSTEM, await world.desks(), row.id, Say(Content(text="Hi")), utc_now())
    await world.send_all()
    async with database.transaction() as tx:
        events = await customers.thread(tx, row.customer_id, before=None, limit=50)
        lines = await _with_messages(tx, SYSTEM, events)
    assert {line.type for line in lines if line.message is not None} == {"MessageReceived", "MessageSent"}
    (moved,) = (line for line in lines if line.type == "DeliveryChanged")
    assert moved.payload["message_id"] == str(spoken.message_id)
    assert moved.actor.kind == "system"
