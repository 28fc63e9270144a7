"""Whose a message is: nobody becomes somebody else by a robot's answer, or by what comes a moment later."""

import pytest

from onethread.access.model import SYSTEM
from onethread.channels.contract import Content
from onethread.conversations import actions
from onethread.conversations.actions import Say
from onethread.kernel.clock import utc_now
from onethread.kernel.identifier import Identifier
from onethread.platform.db import Database
from tests.kits.tincan import Call, TinCan, draft_of
from tests.kits.world import World


@pytest.mark.parametrize("automatic", [False, True])
async def test_an_absence_notice_proves_nobodys_address(database: Database, automatic: bool) -> None:
    mail, chat = TinCan(name="mail", kind="email"), TinCan(name="chat", kind="custom")
    world = await World.open(database, mail, chat)
    await world.hear(Call("c1", "liar", text="Hello", claim="email:ana@example.com"), over="chat")
    (row,) = await world.inbox()
    async with database.transaction() as tx:
        say = Say(Content(text="Is it you?"), to=Identifier("email", "ana@example.com"))
        await actions.send(tx, SYSTEM, await world.desks(), row.id, say, utc_now())
    await world.send_all()
    await world.hear(
        Call("e1", "ana@example.com", text="I am away", token=mail.sent[0].token, automatic=automatic), over="mail"
    )
    people = await world.value("SELECT count(DISTINCT customer_id) FROM customers.identifier")
    assert people == (2 if automatic else 1)


async def test_a_message_before_a_sign_in_is_not_the_next_persons(database: Database) -> None:
    world = await World.open(database, TinCan(kind="visitor"))
    tablet = "01a201f007467c51a991d05aefae5f79"
    calls = [
        Call("s1", tablet, "known", claim="external:ana", claim_kind="identify"),
        Call("m1", tablet, text="I am Ana"),
        Call("s2", tablet, "known", claim="external:bruno", claim_kind="identify"),
        Call("m2", tablet, text="I am Bruno"),
    ]
    await world.reception.receive(world.account_ids["tincan"], [draft_of(call) for call in calls])
    await world.apply()
    async with database.transaction() as tx:
        said = await tx.tuples(
            """
            SELECT person.value, message.content ->> 'text'
              FROM conversations.message
              JOIN customers.identifier AS browser ON browser.id = message.identifier_id
              JOIN customers.identifier AS person ON person.customer_id = browser.customer_id
                                                 AND person.kind = 'external'
             ORDER BY message.receipt_seq
            """
        )
    assert said == [("ana", "I am Ana"), ("bruno", "I am Bruno")]
    assert await world.parked() == []
