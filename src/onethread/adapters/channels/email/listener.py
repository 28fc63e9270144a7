"""The door for mail servers: LMTP (or plain SMTP) in our own loop, 250 only after the commit.

The mail server in front of us stays the durable queue: while we cannot keep a mail it gets 451 and comes again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from onethread.adapters.channels.email.mailbox import DECLARATION, MAX_MAIL, mailbox_of
from onethread.adapters.channels.email.wire.receipts import draft_of, trace_of
from onethread.channels.contract import Account
from onethread.channels.ports import Reception
from onethread.kernel.errors import Unavailable

_log = structlog.get_logger(__name__)

MAX_LINE: Final = 1024 * 1024  # bytes; some programs write a whole page of HTML on one line
MAX_RECIPIENTS: Final = 100
_BUSY: Final = "451 4.3.0 The mail cannot be kept at the moment; come again"
_KEPT: Final = "250 2.0.0 Kept"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where mail servers hand mail over. It asks nobody for a password: keep it on a private address."""

    protocol: Literal["lmtp", "smtp"] = "lmtp"
    host: str = "127.0.0.1"
    port: int = 2424


async def listen(listener: Listener, reception: Reception) -> None:
    """Serve mail servers until cancelled."""
    server = await open_door(listener, reception)
    host, port = server.sockets[0].getsockname()[:2]
    _log.info("email.listening", protocol=listener.protocol, host=host, port=port)
    async with server:
        await server.serve_forever()


async def open_door(listener: Listener, reception: Reception) -> asyncio.Server:
    """Open the door and return at once; port 0 takes a free one."""
    loop = asyncio.get_running_loop()
    door = _Door(reception, one_answer_each=listener.protocol == "lmtp")
    speaks = _Lmtp if listener.protocol == "lmtp" else _Smtp

    def conversation() -> SMTP:
        return speaks(
            door,
            data_size_limit=MAX_MAIL,
            enable_SMTPUTF8=True,
            hostname="onethread",
            ident="Onethread",
            timeout=300,
            loop=loop,
        )

    return await loop.create_server(conversation, listener.host, listener.port)


class _Words:
    """Gives aiosmtpd's own refusals their enhanced codes, so that mail servers bounce with the right words."""

    async def push(self, status: str | bytes) -> None:
        if isinstance(status, str):
            for plain, enhanced in _ENHANCED.items():
                if status.startswith(plain):
                    status = status.replace(plain, enhanced, 1)
        await super().push(status)  # type: ignore[misc]


_ENHANCED: Final = {
    "552 Error: ": "552 5.3.4 The mail is too large: ",
    "500 Line too long": "554 5.6.0 A line of the mail is too long",
}


class _Lmtp(_Words, LMTP):
    line_length_limit = MAX_LINE


class _Smtp(_Words, SMTP):
    line_length_limit = MAX_LINE


class _Door:
    """What a conversation asks us: whether a recipient is ours, and to keep the mail."""

    def __init__(self, reception: Reception, *, one_answer_each: bool) -> None:
        self._reception = reception
        self._one_answer_each = one_answer_each

    async def handle_RCPT(  # noqa: N802 - the library names it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients at once"
        try:
            known = any(mailbox_of(account).takes(address) for account in await self._accounts())
        except Unavailable:
            return _BUSY
        if not known:
            return "550 5.1.1 Nobody has this address here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode("utf-8", "surrogateescape")
        answers = await self._keep(raw, envelope.mail_from or "", envelope.rcpt_tos)
        if self._one_answer_each:
            return "\r\n".join(answers[recipient] for recipient in envelope.rcpt_tos)
        return next((answer for answer in answers.values() if answer != _KEPT), _KEPT)

    async def handle_exception(self, error: Exception) -> str:
        _log.error("email.listener_failed", exc_info=error)
        return _BUSY

    async def _accounts(self) -> Sequence[Account]:
        accounts = await self._reception.accounts(DECLARATION.name)
        return [account for account in accounts if mailbox_of(account).inbound == "lmtp"]

    async def _keep(self, raw: bytes, mail_from: str, recipients: Sequence[str]) -> dict[str, str]:
        """Keep the mail once for every mailbox it is for; return the answer for every recipient."""
        answers = dict.fromkeys(recipients, _BUSY)
        try:
            accounts = await self._accounts()
        except Unavailable:
            return answers
        rest = list(dict.fromkeys(recipients))
        for account in accounts:
            mailbox = mailbox_of(account)
            mine = [recipient for recipient in rest if mailbox.takes(recipient)]
            if not mine:
                continue
            rest = [recipient for recipient in rest if recipient not in mine]
            draft = await asyncio.to_thread(draft_of, raw, trace_of(mail_from, mine))
            try:
                await self._reception.receive(account.id, [draft])
            except Unavailable:
                continue
            answers.update(dict.fromkeys(mine, _KEPT))
        return answers
