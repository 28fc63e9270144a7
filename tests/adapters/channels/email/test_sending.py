"""What becomes of a mail at servers that behave in every way servers do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from onethread.adapters.channels.email.channel import Email
from onethread.channels.contract import (
    Content,
    Handle,
    Media,
    NeedsAttention,
    Outcome,
    Sent,
    TryLater,
    Unknown,
    Unreachable,
)
from onethread.kernel.errors import NotFound
from onethread.platform.files import Files
from tests.adapters.channels.email.offices import MemoryFiles, account_of, outgoing

Answers = dict[str, str | None]
GOOD: Answers = {
    "greeting": "220 mx ready",
    "EHLO": "250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 SMTPUTF8",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    ".": "250 2.0.0 queued",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


class Server:
    """Answers by the table; None hangs up instead. Remembers what it was told."""

    def __init__(self, answers: Answers) -> None:
        self.answers = {**GOOD, **answers}
        self.heard: list[str] = []
        self.mails: list[bytes] = []
        self.connections = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if await self._say(writer, "greeting"):
                while line := await reader.readline():
                    verb = line.split()[0].decode().upper() if line.split() else ""
                    self.heard.append(line.decode().strip())
                    if not await self._say(writer, verb):
                        return
                    if verb == "DATA" and (self.answers["DATA"] or "").startswith("354"):
                        self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                        if not await self._say(writer, "."):
                            return
                    if verb == "QUIT":
                        return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, verb: str) -> bool:
        answer = self.answers.get(verb, "500 what?")
        if answer is None:
            return False
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def serving(**answers: str | None) -> AsyncIterator[tuple[Server, int]]:
    server = Server({verb.replace("_", "."): answer for verb, answer in answers.items()})
    door = await asyncio.start_server(server.converse, "127.0.0.1", 0)
    async with door:
        yield server, door.sockets[0].getsockname()[1]


@pytest.fixture
async def post() -> AsyncIterator[Callable[..., Awaitable[Outcome]]]:
    channel = Email(cast("Files", MemoryFiles(logo=b"\x89PNG")))

    async def post(port: int, **settings: str) -> Outcome:
        return await channel.send(outgoing(), account_of(smtp_port=str(port), **settings))

    yield post
    await channel.close()


Post = Callable[..., Awaitable[Outcome]]


async def test_a_mail_is_handed_over(post: Post) -> None:
    async with serving() as (server, port):
        outcome = await post(port)
    assert isinstance(outcome, Sent)
    assert outcome.external_id.encode() in server.mails[0]
    assert any(line.startswith("MAIL FROM:<support+b.") for line in server.heard)


async def test_one_line_serves_the_next_mail(post: Post) -> None:
    async with serving() as (server, port):
        assert [type(await post(port)) for _ in range(3)] == [Sent, Sent, Sent]
    assert server.connections == 1


async def test_a_line_that_was_hung_up_is_opened_again(post: Post) -> None:
    async with serving(RSET=None) as (server, port):
        assert [type(await post(port)) for _ in range(2)] == [Sent, Sent]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"greeting": "421 4.3.2 too busy"}, TryLater),
        ({"greeting": "554 5.7.1 go away"}, NeedsAttention),
        ({"greeting": None}, TryLater),
        ({"AUTH": "535 5.7.8 bad credentials"}, NeedsAttention),
        ({"AUTH": "454 4.7.0 temporary failure"}, TryLater),
        ({"AUTH": None}, TryLater),
        ({"EHLO": "250 mx"}, NeedsAttention),  # no way to log in
        ({"MAIL": "550 5.7.1 sender address rejected"}, NeedsAttention),
        ({"MAIL": "530 5.7.0 authentication required"}, NeedsAttention),
        ({"MAIL": "451 4.3.0 later"}, TryLater),
        ({"MAIL": None}, TryLater),
        ({"RCPT": "450 4.2.0 greylisted"}, TryLater),
        ({"RCPT": "452 4.2.2 full"}, TryLater),
        ({"RCPT": None}, TryLater),
        ({"DATA": None}, TryLater),
        ({"DATA": "451 4.3.0 no"}, TryLater),
        ({"DATA": "554 5.5.1 no valid recipients"}, Unreachable),
        ({"_": "451 4.3.0 disk"}, TryLater),
        ({"_": "554 5.7.1 spam"}, Unreachable),
        ({"_": "552 5.3.4 too big"}, Unreachable),
        ({"_": "550 5.7.1 relaying denied"}, NeedsAttention),
        ({"_": None}, Unknown),
        ({"_": "hello?"}, Unknown),
    ],
    ids=str,
)
async def test_every_answer_has_its_outcome(answers: Answers, outcome: type, post: Post) -> None:
    async with serving(**answers) as (_, port):
        became = await post(port, smtp_user="support", smtp_password="secret")
    assert type(became) is outcome, became
    words = getattr(became, "reason", "") or getattr(became, "what", "")
    assert words and "secret" not in words


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [
        ("550 5.1.1 no such user", True),
        ("550 5.1.10 null mx", True),
        ("550 No such user here", True),
        ("550 5.2.2 mailbox full", False),
        ("550 5.7.1 your mail looks like spam", False),
        ("554 transaction failed", False),
    ],
)
async def test_only_a_dead_address_is_given_up(answer: str, permanent: bool, post: Post) -> None:
    async with serving(RCPT=answer) as (_, port):
        outcome = await post(port)
    assert isinstance(outcome, Unreachable)
    assert outcome.permanent is permanent


async def test_nobody_there_is_tried_later(post: Post) -> None:
    async with serving() as (_, port):
        pass
    assert isinstance(await post(port), TryLater)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_server_without_tls_needs_attention(security: str, post: Post) -> None:
    async with serving() as (_, port):
        assert isinstance(await post(port, smtp_security=security), NeedsAttention)


async def test_an_unusable_key_needs_attention(post: Post) -> None:
    async with serving() as (server, port):
        assert isinstance(await post(port, dkim_selector="s1", dkim_private_key="none"), NeedsAttention)
    assert not server.mails


class NoFiles(MemoryFiles):
    async def read(self, ref: str) -> bytes:
        raise NotFound("There is no such file.")


async def test_a_lost_enclosure_is_told() -> None:
    channel = Email(cast("Files", NoFiles()))
    content = Content(text="x", media=(Media("file:0", "x.pdf", "application/pdf"),))
    outcome = await channel.send(outgoing(content=content), account_of())
    assert isinstance(outcome, Unreachable) and not outcome.permanent


async def test_a_mail_that_was_sent_is_not_taken_back() -> None:
    outcome = await Email(cast("Files", MemoryFiles())).send(outgoing(act="unsend"), account_of())
    assert isinstance(outcome, Unreachable) and not outcome.permanent


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it(post: Post) -> None:
    channel = Email(cast("Files", MemoryFiles()))
    to = Handle("email", "สมชาย@example.co.th")
    async with serving() as (server, port):
        assert isinstance(await channel.send(outgoing(to=to), account_of(smtp_port=str(port))), Sent)
    assert any("SMTPUTF8" in line for line in server.heard)
    await channel.close()
    async with serving(EHLO="250 mx") as (_, port):
        assert isinstance(await channel.send(outgoing(to=to), account_of(smtp_port=str(port))), Unreachable)
    await channel.close()
