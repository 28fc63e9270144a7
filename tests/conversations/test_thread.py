"""The one thread: everything that happened with a customer, with what was said."""

from dataclasses import replace

from onethread.access.model import SYSTEM
from onethread.conversations.api_thread import _with_messages
from onethread.customers import queries as customers
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
