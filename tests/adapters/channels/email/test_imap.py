"""Mailboxes at servers that misbehave; how the real ones behave is tried with Dovecot."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from onethread.adapters.channels.email import imap
from onethread.channels.ports import Ports, Reception
from onethread.platform.db import Database
from tests.adapters.channels.email.offices import MemoryReception, account_of, mail
from tests.peers.mail import until

MAILS = {uid: mail(f"mail {uid}", message_id=f"<{uid}@example.com>").as_bytes() for uid in (1, 2, 3, 4)}


class Server:
    """Speaks just enough IMAP; some mails it refuses, at some it hangs up."""

    def __init__(self, *, refuses: int = 0, breaks_at: int = 0, capabilities: str = "IMAP4rev1") -> None:
        self.refuses = refuses
        self.breaks_at = breaks_at
        self.capabilities = capabilities
        self.connections = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"* OK ready\r\n")
        try:
            while line := await reader.readline():
                tag, _, command = line.decode().strip().partition(" ")
                answer = self._answer(command)
                if answer is None:
                    return
                writer.write(answer + f"{tag} OK done\r\n".encode())
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, command: str) -> bytes | None:
        if command.startswith("CAPABILITY"):
            return f"* CAPABILITY {self.capabilities}\r\n".encode()
        if command.startswith("STATUS"):
            return b'* STATUS "INBOX" (UIDVALIDITY 7 UIDNEXT 5)\r\n'
        if command.startswith("UID SEARCH"):
            return b"* SEARCH 1 2 3 4\r\n" if command.endswith("ALL") else b"* SEARCH 4\r\n"
        if fetch := re.match(r"UID fetch (\d+) \((\S+)\)", command, re.IGNORECASE):
            uid = int(fetch[1])
            if "SIZE" in fetch[2]:
                return f"* {uid} FETCH (UID {uid} RFC822.SIZE {len(MAILS[uid])})\r\n".encode()
            if uid == self.breaks_at:
                return None
            if uid == self.refuses:
                return b""
            return b"* %d FETCH (UID %d BODY[] {%d}\r\n%b)\r\n" % (uid, uid, len(MAILS[uid]), MAILS[uid])
        return b""


@asynccontextmanager
async def watched(server: Server, database: Database) -> AsyncIterator[MemoryReception]:
    door = await asyncio.start_server(server.converse, "127.0.0.1", 0)
    account = account_of(
        inbound="imap",
        imap_host="127.0.0.1",
        imap_port=str(door.sockets[0].getsockname()[1]),
        imap_security="none",
        imap_user="box",
        imap_password="secret",
        imap_backlog="all",
    )
    async with database.transaction() as tx:
        await tx.run(
            "INSERT INTO channels.account (id, channel, brand_id, name) VALUES (%s, 'email', %s, 'x')",
            [account.id, account.brand_id],
        )
    reception = MemoryReception(account)
    ports = Ports(cast("Reception", reception), database, None, None, None)  # type: ignore[arg-type]
    watch = asyncio.create_task(imap.watch_mailboxes(ports))
    try:
        async with door:
            yield reception
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "_RETRY", (0.01, 0.01))
    monkeypatch.setattr("onethread.adapters.channels.email.imap_session.POLL_SECONDS", 0.05)


async def test_a_mail_the_server_refuses_is_parked_and_the_others_come(database: Database) -> None:
    async with watched(Server(refuses=2), database) as reception:
        await until(lambda: len(reception.receipts) == 4)
    assert sorted(reception.forms().values()) == ["mime", "mime", "mime", "refused"]
    assert reception.forms()["imap:7:2"] == "refused"


async def test_a_mail_that_breaks_the_line_is_passed_over_after_some_tries(database: Database) -> None:
    server = Server(breaks_at=3)
    async with watched(server, database) as reception:
        await until(lambda: len(reception.receipts) == 4)
    assert reception.forms()["imap:7:3"] == "refused"
    assert server.connections == 4


async def test_a_mailbox_waits_while_nothing_can_be_kept(database: Database) -> None:
    server = Server()
    async with watched(server, database) as reception:
        reception.away = True
        await until(lambda: reception.asked)
        reception.away = False
        await until(lambda: len(reception.receipts) == 4)
    assert set(reception.forms().values()) == {"mime"}


async def test_an_account_that_goes_is_watched_no_more(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap, "LOOK_SECONDS", 0.05)
    async with watched(Server(), database) as reception:
        await until(lambda: len(reception.receipts) == 4)
        reception.here.clear()

        def gone() -> bool:
            return not any(task.get_name().startswith("email.imap:") for task in asyncio.all_tasks(loop))

        loop = asyncio.get_running_loop()
        await until(gone)
