"""Mail through Postfix, Dovecot and OpenDKIM, really running."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import aiosmtplib
import dkim
import imap_tools
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from onethread.adapters.channels.email import imap, listener
from onethread.adapters.channels.email.channel import Email
from onethread.adapters.channels.email.client import Seal, sign
from onethread.adapters.channels.email.mailbox import mailbox_of
from onethread.channels.contract import (
    Account,
    Content,
    Handle,
    MessageCame,
    OptedOut,
    Receipt,
    Sent,
    StatusCame,
    TryLater,
    Unreachable,
)
from onethread.channels.ports import Ports, Reception
from onethread.kernel.ids import DeliveryId, new_id
from onethread.platform.db import Database
from onethread.platform.files import Files
from tests.adapters.channels.email.offices import MemoryFiles, MemoryReception, account_of, mail, outgoing
from tests.cast import noon
from tests.peers.mail import AUTHSERV, PASSWORD, MailServers, mail_servers, until

pytestmark = pytest.mark.xdist_group("mail servers")

ANA = "ana@cust.test"


@pytest.fixture(scope="module")
def servers() -> Iterator[MailServers]:
    folder = Path(tempfile.mkdtemp(prefix="onethread-mail-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with mail_servers(folder) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def listening(servers: MailServers, reception: MemoryReception) -> AsyncIterator[None]:
    door = await listener.open_door(
        listener.Listener("lmtp", "127.0.0.1", servers.listener), cast("Reception", reception)
    )
    async with door:
        yield


async def post(servers: MailServers, message: EmailMessage | bytes, *, to: str, sender: str = ANA) -> None:
    raw = message if isinstance(message, bytes) else message.as_bytes()
    await aiosmtplib.send(raw, hostname="127.0.0.1", port=servers.mx, sender=sender, recipients=[to], start_tls=False)


def shop(servers: MailServers, **settings: str) -> Account:
    return account_of(**{"smtp_port": str(servers.submission), "authserv_id": AUTHSERV, **settings})


@pytest.fixture
async def email() -> AsyncIterator[Email]:
    channel = Email(cast("Files", MemoryFiles()))
    yield channel
    await channel.close()


def parsed(reception: MemoryReception, account: Account) -> list[object]:
    channel = Email(cast("Files", MemoryFiles()))
    return [
        came
        for draft in reception.receipts.values()
        for came in channel.parse(Receipt(draft.external_id, draft.sender, draft.body, draft.form, noon), account)
    ]


def fresh(*, to: str = ANA) -> dict[str, object]:
    return {"delivery_id": DeliveryId(new_id()), "to": Handle("email", to, name="Ana Lima")}


# ---------------------------------------------------------------- in by LMTP


async def test_a_mail_arrives_by_lmtp_with_the_word_of_our_own_server(servers: MailServers) -> None:
    account = shop(servers)
    reception = MemoryReception(account)
    signed = sign(
        mail(sender=f"Ana Lima <{ANA}>", Authentication_Results=f"{AUTHSERV}; dmarc=pass header.from=cust.test")
        .as_bytes()
        .replace(b"\n", b"\r\n"),
        Seal("cust.test", "s1", servers.keys["cust.test"].read_text()),
    )
    async with listening(servers, reception):
        await post(servers, signed, to="support+r.4tk7x9@shop.test")
        await until(lambda: reception.receipts, why=servers.log)
    (message,) = parsed(reception, account)
    assert isinstance(message, MessageCame)
    assert (message.trust, message.trust_reason) == ("verified", "DKIM passes for cust.test.")
    assert message.token == "4tk7x9"
    assert message.content.text == "Hello, where is my order?"
    assert not message.automatic


async def test_a_forged_verdict_of_our_own_server_is_not_believed(servers: MailServers) -> None:
    account = shop(servers)
    reception = MemoryReception(account)
    forged = mail(sender=f"Ana Lima <{ANA}>", Authentication_Results=f"{AUTHSERV}; dkim=pass header.d=cust.test")
    async with listening(servers, reception):
        await post(servers, forged, to="support@shop.test", sender="mallory@cust.test")
        await until(lambda: reception.receipts, why=servers.log)
    (message,) = parsed(reception, account)
    assert isinstance(message, MessageCame)
    assert message.trust == "unverified"


async def test_postfix_keeps_a_mail_while_we_cannot(servers: MailServers) -> None:
    reception = MemoryReception(shop(servers))
    reception.away = True
    async with listening(servers, reception):
        await post(servers, mail(), to="support@shop.test")
        await until(lambda: reception.asked, why=servers.log)
        assert not reception.receipts
        reception.away = False
        await until(lambda: reception.receipts, why=servers.log)
    assert len(reception.receipts) == 1


async def test_nobody_with_that_address_is_told_to_the_sender(servers: MailServers) -> None:
    reception = MemoryReception(shop(servers))
    before = len(servers.mails("bruno@cust.test"))
    async with listening(servers, reception):
        await post(servers, mail(), to="nobody@shop.test", sender="bruno@cust.test")
        await until(lambda: len(servers.mails("bruno@cust.test")) > before, why=servers.log)
    assert b"5.1.1" in servers.mails("bruno@cust.test")[-1]
    assert not reception.receipts


# ---------------------------------------------------------------- in by IMAP


BOX = "box@cust.test"


def box(servers: MailServers, **settings: str) -> Account:
    return account_of(
        address=BOX,
        inbound="imap",
        imap_host="127.0.0.1",
        imap_port=str(servers.imap),
        imap_security="none",
        imap_user=BOX,
        **{"imap_password": PASSWORD, "imap_backlog": "all", **settings},
    )


@asynccontextmanager
async def watching(database: Database, reception: MemoryReception, account: Account) -> AsyncIterator[None]:
    await _make_account(database, account)
    ports = Ports(cast("Reception", reception), database, None, None, None)  # type: ignore[arg-type]
    config = mailbox_of(account).imap
    assert config is not None
    watch = asyncio.create_task(imap.watch_mailbox(ports, account.id, config))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _make_account(database: Database, account: Account) -> None:
    async with database.transaction() as tx:
        await tx.run(
            """
            INSERT INTO channels.account (id, channel, brand_id, name)
            VALUES (%s, 'email', %s, 'Support')
            ON CONFLICT DO NOTHING
            """,
            [account.id, account.brand_id],
        )


@pytest.fixture
def empty_box(servers: MailServers) -> str:
    """A mailbox without any mail."""
    with imap_tools.MailBoxUnencrypted("127.0.0.1", servers.imap, timeout=10).login(BOX, PASSWORD) as emptied:
        emptied.delete(emptied.uids())
    return BOX


async def test_a_mail_is_picked_up_while_idling(servers: MailServers, database: Database, empty_box: str) -> None:
    account = box(servers)
    reception = MemoryReception(account)
    await post(servers, mail("there before", message_id="<before@cust.test>"), to=empty_box)
    await until(lambda: servers.mails(empty_box), why=servers.log)
    async with watching(database, reception, account):
        await until(lambda: len(reception.receipts) == 1, why=servers.log)
        await post(servers, mail("came later", message_id="<later@cust.test>"), to=empty_box)
        await until(lambda: len(reception.receipts) == 2, why=servers.log)
    texts = [came.content.text for came in parsed(reception, account) if isinstance(came, MessageCame)]
    assert texts == ["there before", "came later"]
    assert reception.healths[-1].well
    # The next watch goes on where this one stopped.
    async with watching(database, reception, account):
        await post(servers, mail("and later", message_id="<and@cust.test>"), to=empty_box)
        await until(lambda: len(reception.receipts) == 3, why=servers.log)
    assert reception.asked == 3


async def test_mails_numbered_anew_do_not_come_twice(servers: MailServers, database: Database, empty_box: str) -> None:
    account = box(servers)
    reception = MemoryReception(account)
    await post(servers, mail("first", message_id="<u1@cust.test>"), to=empty_box)
    async with watching(database, reception, account):
        await until(lambda: len(reception.receipts) == 1, why=servers.log)
    _number_anew(servers, empty_box)
    await post(servers, mail("second", message_id="<u2@cust.test>"), to=empty_box)
    await until(lambda: len(servers.mails(empty_box)) == 2, why=servers.log)
    async with watching(database, reception, account):
        await until(lambda: len(reception.receipts) == 2, why=servers.log)
    assert len(reception.receipts) == 2


def _number_anew(servers: MailServers, user: str) -> None:
    """Make Dovecot forget its numbers, as a mailbox moved to another server does."""
    folder = servers.folder / "maildir" / user
    for path in folder.glob("dovecot*"):
        path.unlink()
    with imap_tools.MailBoxUnencrypted("127.0.0.1", servers.imap, timeout=10).login(user, PASSWORD):
        pass


async def test_a_bad_mail_does_not_stop_the_mailbox(
    servers: MailServers, database: Database, empty_box: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onethread.adapters.channels.email.imap_session.MAX_MAIL", 20_000)
    account = box(servers)
    reception = MemoryReception(account)
    async with watching(database, reception, account):
        await post(servers, mail("x" * 30_000, message_id="<big@cust.test>"), to=empty_box)
        await post(servers, mail("small", message_id="<small@cust.test>"), to=empty_box)
        await until(lambda: len(reception.receipts) == 2, why=servers.log)
    assert sorted(reception.forms().values()) == ["mime", "refused"]


async def test_a_wrong_password_is_the_health_of_the_account(
    servers: MailServers, email: Email, database: Database
) -> None:
    account = box(servers, imap_password="wrong")
    reception = MemoryReception(account)
    async with watching(database, reception, account):
        await until(lambda: reception.healths, why=servers.log)
    assert not reception.healths[0].well
    assert "password" in reception.healths[0].what
    assert not (await email.check(replace(account, settings={**account.settings, "smtp_port": str(servers.mx)}))).well


# ---------------------------------------------------------------- out


async def test_an_answer_lands_signed_and_threaded(servers: MailServers, email: Email) -> None:
    answer = replace(
        outgoing(**fresh()),  # type: ignore[arg-type]
        unsubscribe_url="https://shop.test/u/1",
        content=Content(text="Es ist unterwegs. สวัสดี", html="<p>Es ist unterwegs. สวัสดี</p>", subject="My order"),
    )
    sent = await email.send(answer, shop(servers))
    assert isinstance(sent, Sent)
    (raw,) = await landed(servers, sent.external_id)
    assert dkim.verify(raw, dnsfunc=servers.public_key)
    assert not dkim.verify(raw.replace(b"Corner", b"C0rner"), dnsfunc=servers.public_key)
    assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= signed_fields(raw)
    assert b"In-Reply-To: <1@example.com>" in raw
    assert b"Reply-To: Bruno via Corner Shop <support+r.4tk7x9@shop.test>" in raw


async def test_opendkim_believes_our_own_signature(servers: MailServers, email: Email) -> None:
    account = shop(
        servers,
        smtp_port=str(servers.mx),
        dkim_selector="s1",
        dkim_domain="shop.test",
        dkim_private_key=servers.keys["shop.test"].read_text(),
    )
    answer = replace(outgoing(**fresh()), unsubscribe_url="https://shop.test/u/1")  # type: ignore[arg-type]
    sent = await email.send(answer, account)
    assert isinstance(sent, Sent)
    (raw,) = await landed(servers, sent.external_id)
    assert b"dkim=pass" in raw.partition(b"\r\n\r\n")[0]
    assert dkim.verify(raw, dnsfunc=servers.public_key)
    assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= signed_fields(raw)


async def test_one_login_serves_many_mails(servers: MailServers, email: Email) -> None:
    sent = [await email.send(outgoing(**fresh()), shop(servers)) for _ in range(5)]  # type: ignore[arg-type]
    assert all(isinstance(one, Sent) for one in sent)
    assert len({one.external_id for one in sent if isinstance(one, Sent)}) == 5


async def test_an_unknown_recipient_is_refused_at_once(servers: MailServers, email: Email) -> None:
    outcome = await email.send(outgoing(**fresh(to="nobody@cust.test")), shop(servers))  # type: ignore[arg-type]
    assert isinstance(outcome, Unreachable) and outcome.permanent
    assert "5.1.1" in outcome.reason


async def test_a_dead_server_is_tried_later(servers: MailServers, email: Email) -> None:
    account = shop(servers, smtp_port=str(servers.refusing))
    assert isinstance(await email.send(outgoing(**fresh()), account), TryLater)  # type: ignore[arg-type]


async def test_a_login_works_or_says_why_not(servers: MailServers, email: Email) -> None:
    assert (await email.check(box(servers, smtp_port=str(servers.submission)))).well
    health = await email.check(shop(servers, smtp_user="support", smtp_password="x"))
    assert not health.well and health.what


# ---------------------------------------------------------------- back


class Full:
    """A mail server whose every mailbox is full, which it says only after it has the mail."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return "552 5.2.2 Mailbox full"


async def test_a_real_bounce_marks_the_delivery_failed(servers: MailServers, email: Email) -> None:
    account = shop(servers)
    reception = MemoryReception(account)
    loop = asyncio.get_running_loop()
    full = await loop.create_server(lambda: SMTP(Full(), hostname="full", loop=loop), "127.0.0.1", servers.refusing)
    answer = outgoing(**fresh(to="ana@refuses.test"))  # type: ignore[arg-type]
    async with full, listening(servers, reception):
        sent = await email.send(answer, account)
        assert isinstance(sent, Sent)
        await until(lambda: reception.receipts, why=servers.log)
    (status,) = parsed(reception, account)
    assert isinstance(status, StatusCame)
    assert (status.status, status.permanent) == ("failed", False)
    assert status.external_id == sent.external_id
    assert status.delivery_id == answer.delivery_id
    assert "5.2.2" in status.reason


async def test_a_customers_answer_comes_back_into_its_thread(servers: MailServers, email: Email) -> None:
    account = shop(servers)
    reception = MemoryReception(account)
    sent = await email.send(outgoing(**fresh()), account)  # type: ignore[arg-type]
    assert isinstance(sent, Sent)
    (raw,) = await landed(servers, sent.external_id)
    reply = mail(
        "Thanks!\n\nOn Mon, 16 Nov 2026 at 12:00, Bruno <support@shop.test>\nwrote:\n\n> It is on its way.",
        sender=ANA,
        In_Reply_To=sent.external_id,
        References=f"<1@example.com> {sent.external_id}",
    )
    async with listening(servers, reception):
        await post(servers, reply, to=_field(raw, b"Reply-To").split("<")[1].strip(">"))
        await until(lambda: reception.receipts, why=servers.log)
    (message,) = parsed(reception, account)
    assert isinstance(message, MessageCame)
    assert message.content.text == "Thanks!"
    assert message.answers == (sent.external_id, "<1@example.com>")
    assert message.token == "4tk7x9"


async def test_a_farewell_to_the_list_address_opts_out(servers: MailServers, email: Email) -> None:
    account = shop(servers)
    reception = MemoryReception(account)
    answer = replace(outgoing(**fresh()), unsubscribe_url="https://shop.test/u/1")  # type: ignore[arg-type]
    sent = await email.send(answer, account)
    assert isinstance(sent, Sent)
    (raw,) = await landed(servers, sent.external_id)
    mailto = _field(raw, b"List-Unsubscribe").partition("mailto:")[2].partition("?")[0].replace("%2B", "+")
    async with listening(servers, reception):
        await post(servers, mail("unsubscribe", sender=ANA, to=mailto), to=mailto)
        await until(lambda: reception.receipts, why=servers.log)
    (left,) = parsed(reception, account)
    assert isinstance(left, OptedOut)
    assert left.sender.value == ANA


async def landed(servers: MailServers, message_id: str, *, user: str = ANA) -> list[bytes]:
    found: list[bytes] = []

    def look() -> list[bytes]:
        found[:] = [raw for raw in servers.mails(user) if message_id.encode() in raw]
        return found

    await until(look, why=servers.log)
    return [raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for raw in found]


def signed_fields(raw: bytes) -> set[bytes]:
    signature = raw[raw.index(b"DKIM-Signature:") :]
    names = re.search(rb"[;\s]h=([^;]+)", signature)
    assert names is not None
    return {name.strip().lower() for name in names[1].split(b":")}


def _field(raw: bytes, name: bytes) -> str:
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    return next(line for line in head.split(b"\r\n") if line.startswith(name + b":")).partition(b": ")[2].decode()
