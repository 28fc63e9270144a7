"""Our door for mail servers: what it takes, what it refuses, and when it says 250."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeVar, cast

import pytest

from onethread.adapters.channels.email.listener import Listener, open_door
from onethread.channels.ports import Reception
from tests.adapters.channels.email.offices import MemoryReception, account_of, mail

T = TypeVar("T")
RAW = mail().as_bytes().replace(b"\n", b"\r\n")


@asynccontextmanager
async def door(reception: MemoryReception, protocol: Literal["lmtp", "smtp"] = "lmtp") -> AsyncIterator[int]:
    server = await open_door(Listener(protocol, "127.0.0.1", 0), cast("Reception", reception))
    async with server:
        yield server.sockets[0].getsockname()[1]


async def by_lmtp(port: int, act: Callable[[smtplib.LMTP], T]) -> T:
    """Talk to the door in a thread, as the standard library does."""

    def talk() -> T:
        with smtplib.LMTP("127.0.0.1", port, local_hostname="mx.test") as client:
            client.ehlo_or_helo_if_needed()
            return act(client)

    return await asyncio.to_thread(talk)


@pytest.fixture
def reception() -> MemoryReception:
    return MemoryReception(account_of(aliases="info@shop.test, @branch.test"))


def deliver(*recipients: str, raw: bytes = RAW) -> Callable[[smtplib.LMTP], tuple[int, bytes]]:
    def act(client: smtplib.LMTP) -> tuple[int, bytes]:
        client.mail("ana@example.com")
        for recipient in recipients:
            client.rcpt(recipient)
        return client.data(raw)

    return act


async def test_a_mail_is_kept_before_it_is_taken(reception: MemoryReception) -> None:
    async with door(reception) as port:
        code, _ = await by_lmtp(port, deliver("support+r.abc@shop.test"))
    assert code == 250
    (draft,) = reception.receipts.values()
    assert draft.body == b"Return-Path: <ana@example.com>\r\nDelivered-To: support+r.abc@shop.test\r\n" + RAW
    assert (draft.form, draft.sender) == ("mime", "ana@example.com")


async def test_what_cannot_be_kept_is_asked_for_again(reception: MemoryReception) -> None:
    reception.away = True
    async with door(reception) as port:
        code, words = await by_lmtp(port, deliver("support@shop.test"))
        assert (code, words[:5]) == (451, b"4.3.0")
        reception.away = False
        assert (await by_lmtp(port, deliver("support@shop.test")))[0] == 250
        assert (await by_lmtp(port, deliver("support@shop.test")))[0] == 250
    assert len(reception.receipts) == 1


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("support@shop.test", 250),
        ("Support@SHOP.test", 250),
        ("support+anything@shop.test", 250),
        ("info@shop.test", 250),
        ("whoever@branch.test", 250),
        ("nobody@shop.test", 550),
        ("support@elsewhere.test", 550),
        ("supporter@shop.test", 550),
        ("support@sub.shop.test", 550),
    ],
)
async def test_only_our_own_addresses_are_taken(recipient: str, code: int, reception: MemoryReception) -> None:
    async with door(reception) as port:
        answer = await by_lmtp(port, lambda client: (client.mail("ana@example.com"), client.rcpt(recipient))[1])
    assert answer[0] == code
    if code == 550:
        assert answer[1].startswith(b"5.1.1")


async def test_a_mailbox_that_is_fetched_is_not_handed_mail() -> None:
    async with door(MemoryReception(account_of(inbound="imap"))) as port:
        answer = await by_lmtp(port, lambda c: (c.mail("ana@example.com"), c.rcpt("support@shop.test"))[1])
    assert answer[0] == 550


async def test_every_recipient_has_an_answer_of_its_own(reception: MemoryReception) -> None:
    reception.here.append(account_of(address="sales@shop.test"))

    def act(client: smtplib.LMTP) -> list[tuple[int, bytes]]:
        first = deliver("support@shop.test", "info@shop.test", "sales@shop.test")(client)
        return [first, client.getreply(), client.getreply()]

    async with door(reception) as port:
        answers = await by_lmtp(port, act)
    assert [code for code, _ in answers] == [250, 250, 250]
    # One receipt for each mailbox, however many of its addresses were named.
    assert len(reception.receipts) == 2


async def test_plain_smtp_is_spoken_when_asked_for(reception: MemoryReception) -> None:
    def talk(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="mx.test") as client:
            client.sendmail("", ["support@shop.test", "info@shop.test"], RAW)

    async with door(reception, "smtp") as port:
        await asyncio.to_thread(talk, port)
    (draft,) = reception.receipts.values()
    trace = b"Return-Path: <>\r\nDelivered-To: support@shop.test\r\nDelivered-To: info@shop.test\r\n"
    assert draft.body == trace + RAW


async def test_a_mail_that_is_too_large_is_refused_with_the_right_code(
    reception: MemoryReception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onethread.adapters.channels.email.listener.MAX_MAIL", 100_000)
    async with door(reception) as port:
        announced = await by_lmtp(port, lambda client: client.docmd("MAIL FROM:<ana@example.com> SIZE=200000"))
        arrived = await by_lmtp(port, deliver("support@shop.test", raw=RAW + b"x" * 998 + b"\r\n" + b"y\r\n" * 50_000))
        after = await by_lmtp(port, deliver("support@shop.test"))
    assert (announced[0], announced[1][:5]) == (552, b"5.3.4")
    assert (arrived[0], arrived[1][:5]) == (552, b"5.3.4")
    assert after[0] == 250


async def test_fifty_megabytes_go_through(reception: MemoryReception) -> None:
    raw = RAW + (b"x" * 76 + b"\r\n") * 600_000
    async with door(reception) as port:
        code, _ = await by_lmtp(port, deliver("support@shop.test", raw=raw))
    assert code == 250
    assert len(reception.bodies[0]) > 45_000_000


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: \xff\xfe\x80 caf\xc3\xa9\r\n\r\n\x80\x81 invalid\r\n",
        b"Subject: x\r\n\r\n" + b"a long line " * 20_000 + b"\r\n",
        b"X-Huge: " + b"a" * 200_000 + b"\r\n\r\nx\r\n",
        b"From: a\x00b@example.com\r\n\r\nnull\x00\r\n",
        b"..\r\n.leading dots\r\n...\r\n",
        b"\r\n",
    ],
    ids=["invalid UTF-8", "long line", "huge header", "nulls", "dots", "empty"],
)
async def test_any_bytes_are_kept_as_they_are(raw: bytes, reception: MemoryReception) -> None:
    async with door(reception) as port:
        code, _ = await by_lmtp(port, deliver("support@shop.test", raw=raw))
    assert code == 250
    assert reception.bodies[0].endswith(raw)


@pytest.mark.parametrize(
    "junk",
    [b"\x00\xff\r\n", b"HELO x\r\n", b"A" * 5000 + b"\r\n", b"RCPT TO:<support@shop.test>\r\n", b"DATA\r\n", b"\r\n"],
)
async def test_junk_is_refused_and_the_next_is_served(junk: bytes, reception: MemoryReception) -> None:
    def shout(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
            stranger.recv(1000)
            stranger.sendall(junk)
            return stranger.recv(1000)

    async with door(reception) as port:
        assert (await asyncio.to_thread(shout, port))[:1] == b"5"
        assert (await by_lmtp(port, deliver("support@shop.test")))[0] == 250


async def test_a_sender_that_goes_away_leaves_nothing(reception: MemoryReception) -> None:
    def vanish(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
            stranger.recv(1000)
            for line in (b"LHLO x", b"MAIL FROM:<a@b.c>", b"RCPT TO:<support@shop.test>", b"DATA"):
                stranger.sendall(line + b"\r\n")
                stranger.recv(1000)
            stranger.sendall(b"Subject: half a ma")

    async with door(reception) as port:
        await asyncio.to_thread(vanish, port)
        assert (await by_lmtp(port, deliver("support@shop.test")))[0] == 250
    assert len(reception.receipts) == 1
