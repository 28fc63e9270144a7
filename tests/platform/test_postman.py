"""Letters over real SMTP, to a server on loopback that takes or refuses them."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from onethread.platform.postman import NotPosted, SmtpPostman
from tests.cast import maryam, somchai


@dataclass(slots=True)
class Box:
    """What the server's handler does: keeps letters, or answers with a refusal."""

    to_recipient: str = "250 OK"
    to_letter: str = "250 OK"
    letters: list[EmailMessage] = field(default_factory=list)
    senders: list[str | None] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.to_recipient.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.to_letter.startswith("2"):
            assert isinstance(envelope.content, bytes)
            letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(letter, EmailMessage)
            self.letters.append(letter)
            self.senders.append(envelope.mail_from)
        return self.to_letter


@asynccontextmanager
async def office(box: Box) -> AsyncIterator[SmtpPostman]:
    """Run the server and return a postman who knows the way."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, hostname="mx.example", loop=loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield SmtpPostman("127.0.0.1", port, sender="noreply@cornershop.example", security="none", timeout=5)
    finally:
        server.close()


async def test_a_letter_arrives_as_it_was_written() -> None:
    box = Box()
    async with office(box) as postman:
        await postman.send(somchai.email, "คำเชิญ", "สวัสดี\n", "<p>สวัสดี</p>")
    (letter,) = box.letters
    assert (letter["To"], letter["Subject"]) == (somchai.email, "คำเชิญ")
    assert letter["From"] == "Onethread <noreply@cornershop.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"].endswith("@cornershop.example>")
    plain, html = letter.get_body(("plain",)), letter.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert (plain.get_content().strip(), html.get_content().strip()) == ("สวัสดี", "<p>สวัสดี</p>")
    assert box.senders == ["noreply@cornershop.example"]


@pytest.mark.parametrize(
    ("box", "for_good"),
    [
        (Box(to_recipient="550 5.1.1 no such user"), True),
        (Box(to_recipient="450 4.2.1 try later"), False),
        (Box(to_letter="554 5.7.1 spam"), True),
        (Box(to_letter="451 4.3.0 disk full"), False),
    ],
    ids=["unknown", "greylisted", "spam", "full"],
)
async def test_a_refusal_says_whether_it_is_for_good(box: Box, for_good: bool) -> None:
    async with office(box) as postman:
        with pytest.raises(NotPosted) as refused:
            await postman.send(maryam.email, "s", "t", "<p>t</p>")
    assert refused.value.for_good is for_good


async def test_nobody_at_home_may_pass() -> None:
    async with office(Box()) as postman:
        pass
    with pytest.raises(NotPosted) as refused:
        await postman.send(maryam.email, "s", "t", "h")
    assert refused.value.for_good is False


async def test_without_the_encryption_asked_for_nothing_is_sent() -> None:
    box = Box()
    async with office(box) as plain:
        careful = SmtpPostman("127.0.0.1", plain.port, sender="noreply@cornershop.example", timeout=5)
        with pytest.raises(NotPosted):
            await careful.send(maryam.email, "s", "t", "h")
    assert not box.letters
