"""Servers behind TLS: trusted ones are spoken to, others get neither a mail nor a password."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from onethread.adapters.channels.email.channel import Email
from onethread.adapters.channels.email.imap import check_login
from onethread.adapters.channels.email.mailbox import mailbox_of
from onethread.channels.contract import Health, NeedsAttention, Outcome, Sent
from onethread.platform.files import Files
from tests.adapters.channels.email.certificates import make_certificate
from tests.adapters.channels.email.offices import MemoryFiles, account_of, outgoing
from tests.adapters.channels.email.test_imap import Server


class Takes:
    """Takes every mail and remembers whether it came in secret."""

    def __init__(self) -> None:
        self.secret: list[bool] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        transport = server.transport
        assert transport is not None
        self.secret.append(transport.get_extra_info("ssl_object") is not None)
        return "250 ok"


@asynccontextmanager
async def smtp(security: str, context: ssl.SSLContext) -> AsyncIterator[tuple[Takes, int]]:
    loop = asyncio.get_running_loop()
    takes = Takes()
    starttls = {"tls_context": context} if security == "starttls" else {}
    door = await loop.create_server(
        lambda: SMTP(takes, hostname="mx", loop=loop, **starttls),
        "127.0.0.1",
        0,
        ssl=context if security == "tls" else None,
    )
    async with door:
        yield takes, door.sockets[0].getsockname()[1]


async def send(port: int, security: str) -> Outcome:
    channel = Email(cast("Files", MemoryFiles()))
    try:
        return await channel.send(outgoing(), account_of(smtp_port=str(port), smtp_security=security))
    finally:
        await channel.close()


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_trusted_server_gets_the_mail_in_secret(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with smtp(security, context) as (takes, port):
        assert isinstance(await send(port, security), Sent)
    assert takes.secret == [True]


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_an_untrusted_server_gets_nothing(security: str, tmp_path: Path) -> None:
    context, _ = make_certificate(tmp_path)
    async with smtp(security, context) as (takes, port):
        outcome = await send(port, security)
    assert isinstance(outcome, NeedsAttention) and "certificate" in outcome.what
    assert not takes.secret


async def login(context: ssl.SSLContext) -> Health:
    server = Server()
    door = await asyncio.start_server(server.converse, "127.0.0.1", 0, ssl=context)
    async with door:
        port = str(door.sockets[0].getsockname()[1])
        account = account_of(inbound="imap", imap_host="127.0.0.1", imap_port=port, imap_user="box", imap_password="x")
        imap = mailbox_of(account).imap
        assert imap is not None
        return await check_login(imap)


async def test_a_trusted_mailbox_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    assert await login(context) == Health(True)


async def test_an_untrusted_mailbox_never_hears_the_password(tmp_path: Path) -> None:
    context, _ = make_certificate(tmp_path)
    health = await login(context)
    assert not health.well and "certificate" in health.what
