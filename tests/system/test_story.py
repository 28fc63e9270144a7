"""One customer, one thread: web chat and e-mail, with real mail servers and the server really running."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from email.utils import make_msgid
from pathlib import Path
from typing import Any

import aiosmtplib
import dkim
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.adapters.channels.webchat.client import VisitorScreen, visitor_token
from tests.kits.server import Server, on_a_clone
from tests.kits.shop import Shop
from tests.machines.databases import Databases
from tests.machines.waiting import until
from tests.peers.mail import AUTHSERV, PASSWORD, MailServers, mail_servers

pytestmark = [pytest.mark.xdist_group("mail servers"), pytest.mark.timeout(300)]

ANA = "ana@cust.test"
SUPPORT = "support@shop.test"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServers]:
    folder = Path(tempfile.mkdtemp(prefix="onethread-mail-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with mail_servers(folder) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def with_mail(databases: Databases, mail: MailServers) -> Iterator[Server]:
    """A server that listens where Postfix hands mail for shop.test over."""
    with on_a_clone(databases, ONETHREAD_MAIL_PORT=str(mail.listener)) as server:
        yield server


@dataclass
class Street:
    """The shop, the mail servers between it and its customers, and the customers' mail programs."""

    shop: Shop
    mail: MailServers

    @asynccontextmanager
    async def chat(self) -> AsyncIterator[VisitorScreen]:
        """Open the shop's web chat as a new visitor."""
        base = f"{self.shop.server.url}/channels/webchat/{self.shop.chat}"
        async with VisitorScreen(base, str((await visitor_token(base))["token"])) as screen:
            yield screen

    async def mailbox(self, user: str, count: int) -> list[bytes]:
        """Wait until so many mails lie in a customer's mailbox; return them, the oldest first."""

        async def there() -> list[bytes] | None:
            mails = await asyncio.to_thread(self.mail.mails, user)
            return mails if len(mails) >= count else None

        found = await until(there, seconds=60, every=0.2)
        assert found is not None
        return found

    async def reply(self, to: bytes, text: str) -> str:
        """Answer a mail as a mail program does; return the Message-ID of the answer."""
        original = read(to)
        answer = EmailMessage()
        answer["From"] = f"Ana Lima <{ANA}>"
        answer["To"] = original["Reply-To"] or original["From"]
        answer["Subject"] = f"Re: {original['Subject']}"
        answer["Message-ID"] = make_msgid(domain="cust.test")
        answer["In-Reply-To"] = original["Message-ID"]
        answer["References"] = " ".join(filter(None, (original["References"], original["Message-ID"])))
        said = f"On {original['Date']}, {original['From']} wrote:"
        answer.set_content(f"{text}\n\n{said}\n> {original.get_content().strip()}\n")
        await self.post(answer, to=answer["To"].addresses[0].addr_spec)
        return str(answer["Message-ID"])

    async def post(self, message: EmailMessage, *, to: str, sender: str = ANA) -> None:
        await aiosmtplib.send(
            message, hostname="127.0.0.1", port=self.mail.mx, sender=sender, recipients=[to], start_tls=False
        )

    async def conversation(self, count: int, **wanted: str) -> dict[str, Any]:
        """Wait until the one conversation of a customer has so many messages; return it."""

        async def there() -> dict[str, Any] | None:
            found = await self.shop.conversations(**wanted)
            assert len(found) <= 1, "one customer, one conversation"
            return found[0] if found and found[0]["last_seq"] >= count else None

        found = await until(there, seconds=60, every=0.1)
        assert found is not None
        return found

    async def settled(self, message: dict[str, Any], *statuses: str) -> dict[str, Any]:
        """Wait until the delivery of a message has one of the statuses; return the delivery."""

        async def there() -> dict[str, Any] | None:
            lines = await self.shop.messages(message["conversation_id"])
            delivery: dict[str, Any] = next(line for line in lines if line["id"] == message["id"])["deliveries"][0]
            return delivery if delivery["status"] in statuses else None

        found = await until(there, seconds=60, every=0.1)
        assert found is not None
        return found

    async def customer(self, identifier: str) -> dict[str, Any] | None:
        items: list[dict[str, Any]] = (await self.shop.get("/customers", identifier=identifier))["items"]
        return items[0] if items else None


def read(raw: bytes) -> EmailMessage:
    message = BytesParser(policy=default).parsebytes(raw)
    assert isinstance(message, EmailMessage)
    return message


@pytest.fixture
async def street(with_mail: Server, mail: MailServers) -> AsyncIterator[Street]:
    async with Shop.on(with_mail) as shop:
        yield Street(shop, mail)


async def mailbox_of_the_shop(street: Street, address: str = SUPPORT, **settings: str) -> str:
    given = {
        "address": address,
        "smtp_host": "127.0.0.1",
        "smtp_port": str(street.mail.submission),
        "smtp_security": "none",
        "authserv_id": AUTHSERV,
    }
    return await street.shop.account("email", {**given, **settings})


async def test_ana_is_one_customer_in_one_conversation_over_chat_and_mail(street: Street) -> None:
    shop = street.shop
    shop.mailbox = await mailbox_of_the_shop(street)
    async with street.chat() as chat, street.chat() as window:
        # Ana writes in the chat and types her address into its form.
        await chat.say("Hello, where is my order?")
        await chat.answer(await chat.send("form", email=ANA, name="Ana Lima"))
        await shop.applied()
        conversation = await street.conversation(1)
        visitor = conversation["identifier"]

        # We answer to that address; it really arrives, signed, with a way back.
        first = await shop.answer(conversation["id"], "It left this morning.", to=f"email:{ANA}")
        [arrived] = await street.mailbox(ANA, 1)
        assert dkim.verify(arrived, dnsfunc=street.mail.public_key)
        letter = read(arrived)
        assert letter.get_content().strip() == "It left this morning."
        assert letter["Reply-To"].addresses[0].addr_spec.startswith("support+r.")
        assert (await street.settled(first, "sent"))["repeated"] is False
        # What she typed proves nothing yet.
        assert (await street.customer(f"email:{ANA}") or {}).get("id") != conversation["customer_id"]

        # She answers from her mail program: that proves the address. One person, one conversation.
        hers = await street.reply(arrived, "Wonderful, thank you!")
        conversation = await street.conversation(3)
        customer = await street.customer(f"email:{ANA}")
        assert customer is not None
        assert customer == await street.customer(visitor)
        assert customer["id"] == conversation["customer_id"]
        said = await shop.messages(conversation["id"])
        assert [(line["direction"], line["channel"]) for line in said] == [
            ("in", "webchat"),
            ("out", "email"),
            ("in", "email"),
        ]
        assert said[2]["content"]["text"] == "Wonderful, thank you!"
        assert "It left this morning." in said[2]["content"]["quoted"]

        # The next answer goes the way she used last, and stands in the thread of her mail program.
        second = await shop.answer(conversation["id"], "You are welcome.")
        assert second["channel"] == "email"
        answer = read((await street.mailbox(ANA, 2))[1])
        assert answer["In-Reply-To"] == hers
        assert answer["References"].split() == [letter["Message-ID"], hers]
        assert answer["Subject"] == "Re: It left this morning."
        assert answer["Reply-To"].addresses[0].addr_spec.startswith("support+r.")

        # Back in the chat: so is the next answer, and it is the same conversation.
        await chat.say("One more thing.")
        conversation = await street.conversation(5)
        third = await shop.answer(conversation["id"], "Tell me.")
        assert third["channel"] == "webchat"
        await chat.until(lambda: "Tell me." in chat.texts)
        thread = await shop.get(f"/customers/{customer['id']}/thread")
        assert {"MessageReceived", "MessageSent"} <= {line["type"] for line in thread["items"]}

        # Bruno types Ana's address: he stays who he is, and what he typed is kept as a suggestion.
        await window.say("Hi, I am Ana too")
        await window.answer(await window.send("form", email=ANA))
        await shop.applied()
        found = await shop.conversations()
        assert len(found) == 2
        bruno = next(row for row in found if row["id"] != conversation["id"])
        assert bruno["customer_id"] != customer["id"]
        suggestions = (await shop.get(f"/customers/{bruno['customer_id']}/suggestions"))["items"]
        assert len(suggestions) == 1
        assert customer["id"] in str(suggestions[0])
        assert "typed" in str(suggestions[0])


class FullMailbox:
    """The server of refuses.test: its user has no room left."""

    async def handle_RCPT(  # noqa: N802 - the library calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        return "552 5.2.2 Mailbox full"


async def test_a_real_bounce_marks_the_delivery_failed_with_its_reason(street: Street) -> None:
    loop = asyncio.get_running_loop()
    theirs = await loop.create_server(
        lambda: SMTP(FullMailbox(), hostname="refuses.test", loop=loop), "127.0.0.1", street.mail.refusing
    )
    async with theirs:
        shop = street.shop
        account = await mailbox_of_the_shop(street, "billing@shop.test")
        sent = await shop.post(
            "/messages",
            {
                "brand_id": str(shop.server.brand_id),
                "to": "email:full@refuses.test",
                "account_id": account,
                "text": "Your invoice.",
                "hold_seconds": 0,
            },
        )
        delivery = await street.settled(sent, "failed")
    assert "full" in delivery["reason"].lower() or "5.2.2" in delivery["reason"]


async def test_mail_that_is_fetched_by_imap_is_answered_in_its_thread(street: Street) -> None:
    shop = street.shop
    await mailbox_of_the_shop(
        street,
        "box@cust.test",
        inbound="imap",
        imap_host="127.0.0.1",
        imap_port=str(street.mail.imap),
        imap_security="none",
        imap_user="box@cust.test",
        imap_password=PASSWORD,
    )
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "Bruno Costa <bruno@cust.test>", "box@cust.test", "Opening hours"
    letter["Message-ID"] = make_msgid(domain="cust.test")
    letter.set_content("Do you open on Sunday?")
    await street.post(letter, to="box@cust.test", sender="bruno@cust.test")

    async def came() -> list[dict[str, Any]]:
        return [row for row in await shop.conversations() if row["identifier"] == "email:bruno@cust.test"]

    [conversation] = await until(came, seconds=60, every=0.2)
    assert conversation["subject"] == "Opening hours"
    await shop.answer(conversation["id"], "Until noon.")
    answer = read((await street.mailbox("bruno@cust.test", 1))[0])
    assert (answer["In-Reply-To"], answer["Subject"]) == (letter["Message-ID"], "Re: Opening hours")
