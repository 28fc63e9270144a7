"""Handing mail to an SMTP server: open lines that are used again, and an outcome for whatever happens."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import dkim
from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import PERIOD_REGEX

from onethread.adapters.channels.email.wire.compose import SIGNED, Letter
from onethread.adapters.channels.email.wire.outcomes import Stage, refused, unreached
from onethread.channels.contract import Health, NeedsAttention, Outcome, Sent, Unknown, Unreachable

Security = Literal["tls", "starttls", "none"]

CONNECT_SECONDS: Final = 20.0
COMMAND_SECONDS: Final = 60.0
CONTENT_SECONDS: Final = 600.0  # RFC 5321, 4.5.3.2.6: a server may take ten minutes to judge a mail
IDLE_SECONDS: Final = 30.0  # how long a line is kept open without a mail
MOST_MAILS: Final = 100  # on one line; servers end longer ones


@dataclass(frozen=True, slots=True)
class Server:
    """Where and as whom mail is handed over."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Seal:
    """A DKIM key: its domain, its selector and the RSA key in PEM."""

    domain: str
    selector: str
    private_key: str = field(repr=False)


class CannotBeSealed(ValueError):
    """The DKIM key is not one."""


@dataclass(slots=True)
class _Line:
    """A connection after its greeting and login."""

    smtp: SMTP
    mails: int
    idle_since: float


class _Refusal(Exception):
    """An outcome that ends the dialogue early."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class SmtpLines:
    """Keeps lines to SMTP servers open for a while, so that a login serves many mails."""

    def __init__(self) -> None:
        self._idle: dict[Server, list[_Line]] = {}

    async def hand_over(self, letter: Letter, server: Server) -> Outcome:
        """Hand one mail over. Raises nothing for what the server or the network does."""
        try:
            async with self._line(server) as line:
                return await _dialogue(line.smtp, letter, server)
        except _Refusal as refusal:
            return refusal.outcome

    async def try_login(self, server: Server) -> Health:
        """Connect and log in without sending anything."""
        try:
            line = await _open(server)
        except _Refusal as refusal:
            outcome = refusal.outcome
            return Health(False, str(getattr(outcome, "what", "") or getattr(outcome, "reason", "")))
        await _hang_up(line)
        return Health(True)

    async def close(self) -> None:
        """Hang up everywhere."""
        lines = [line for kept in self._idle.values() for line in kept]
        self._idle.clear()
        for line in lines:
            await _hang_up(line)

    @asynccontextmanager
    async def _line(self, server: Server) -> AsyncIterator[_Line]:
        line = await self._waiting(server) or await _open(server)
        usable = False
        try:
            yield line
            usable = True
        finally:
            line.mails += 1
            line.idle_since = time.monotonic()
            if usable and line.mails < MOST_MAILS and line.smtp.is_connected:
                self._idle.setdefault(server, []).append(line)
            else:
                line.smtp.close()
            self._drop_stale()

    def _drop_stale(self) -> None:
        """Close lines nobody has used for a while: those of settings that were changed, for instance."""
        oldest = time.monotonic() - IDLE_SECONDS
        for server, kept in list(self._idle.items()):
            for line in [line for line in kept if line.idle_since < oldest]:
                line.smtp.close()
                kept.remove(line)
            if not kept:
                del self._idle[server]

    async def _waiting(self, server: Server) -> _Line | None:
        """Return an open line that still answers."""
        self._drop_stale()
        while kept := self._idle.get(server):
            line = kept.pop()
            try:
                # The server may have hung up meanwhile; better found out before a mail is on the way.
                await line.smtp.rset(timeout=CONNECT_SECONDS)
            except SMTPException:
                line.smtp.close()
            else:
                return line
        return None


async def _open(server: Server) -> _Line:
    smtp = SMTP(
        hostname=server.host,
        port=server.port,
        timeout=CONNECT_SECONDS,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        validate_certs=True,
    )
    try:
        await smtp.connect()
    except SMTPResponseException as answer:
        smtp.close()
        raise _Refusal(refused("greeting", answer.code, answer.message, server=server.host)) from answer
    except ssl.SSLError as insecure:
        smtp.close()
        raise _Refusal(_insecure(server, insecure)) from insecure
    except (SMTPException, OSError) as lost:
        smtp.close()
        if isinstance(lost.__cause__, ssl.SSLError):
            raise _Refusal(_insecure(server, lost.__cause__)) from lost
        if _is_unsupported(lost):
            raise _Refusal(NeedsAttention(f"{server.host} offers no STARTTLS. Choose another security.")) from lost
        raise _Refusal(unreached(f"{server.host}:{server.port} cannot be reached.")) from lost
    if server.user:
        await _log_in(smtp, server)
    return _Line(smtp, 0, time.monotonic())


def _is_unsupported(lost: Exception) -> bool:
    """Tell a server that lacks what we ask for from one that went away; the library says it in words only."""
    return isinstance(lost, SMTPException) and "not supported" in str(lost)


def _insecure(server: Server, error: ssl.SSLError) -> Outcome:
    if isinstance(error, ssl.SSLCertVerificationError):
        return NeedsAttention(f"The certificate of {server.host} does not hold: {error.verify_message}.")
    return NeedsAttention(f"{server.host}:{server.port} does not speak TLS as set up. Choose another security.")


async def _log_in(smtp: SMTP, server: Server) -> None:
    try:
        await smtp.login(server.user, server.password, timeout=COMMAND_SECONDS)
    except SMTPResponseException as answer:
        smtp.close()
        outcome = refused("login", answer.code, answer.message, server=server.host, user=server.user)
        raise _Refusal(outcome) from answer
    except SMTPException as lost:
        smtp.close()
        if _is_unsupported(lost):
            what = f"{server.host} offers no login that we know. Leave the user name empty or choose another security."
            raise _Refusal(NeedsAttention(what)) from lost
        raise _Refusal(unreached(f"{server.host} went away during the login.")) from lost


async def _dialogue(smtp: SMTP, letter: Letter, server: Server) -> Outcome:
    """Speak MAIL, RCPT and DATA. Until the final dot nothing has been sent; after it only an answer tells."""
    options = ["SMTPUTF8", "BODY=8BITMIME"] if letter.needs_utf8 else []
    encoding = "utf-8" if letter.needs_utf8 else "ascii"
    stage: Stage = "greeting"
    try:
        if smtp.is_ehlo_or_helo_needed:
            await smtp.ehlo(timeout=COMMAND_SECONDS)
        if letter.needs_utf8 and not smtp.supports_extension("smtputf8"):
            return Unreachable(f"{server.host} cannot send to addresses with letters beyond ASCII.")
        stage = "sender"
        await smtp.mail(letter.envelope_sender, options=options, encoding=encoding, timeout=COMMAND_SECONDS)
        stage = "recipient"
        await smtp.rcpt(letter.recipient, encoding=encoding, timeout=COMMAND_SECONDS)
        stage = "content"
        ready = await smtp.execute_command(b"DATA", timeout=COMMAND_SECONDS)
        if ready.code != 354:
            raise SMTPResponseException(ready.code, ready.message)
    except SMTPResponseException as answer:
        return refused(stage, answer.code, answer.message, server=server.host, user=server.user)
    except (SMTPException, OSError, UnicodeError, ValueError) as lost:
        smtp.close()
        if isinstance(lost, (UnicodeError, ValueError)):
            return Unreachable("This is not an address that mail can be sent to.")
        return unreached(f"{server.host} went away before the mail was handed over.")
    return await _content(smtp, letter, server)


async def _content(smtp: SMTP, letter: Letter, server: Server) -> Outcome:
    protocol = smtp.protocol
    assert protocol is not None
    body = letter.raw if letter.raw.endswith(b"\r\n") else letter.raw + b"\r\n"
    try:
        protocol.write(PERIOD_REGEX.sub(b"..", body) + b".\r\n")
    except SMTPException:
        return unreached(f"{server.host} went away before the mail was handed over.")
    try:
        answer = await protocol.read_response(timeout=CONTENT_SECONDS)
    except SMTPServerDisconnected:
        return Unknown(f"{server.host} went away without saying whether it took the mail.")
    except asyncio.CancelledError:
        smtp.close()
        raise
    except (SMTPException, OSError):
        smtp.close()
        return Unknown(f"{server.host} did not say whether it took the mail.")
    if answer.code != 250:
        return refused("content", answer.code, answer.message, server=server.host, user=server.user)
    return Sent(letter.external_id)


async def _hang_up(line: _Line) -> None:
    try:
        await line.smtp.quit(timeout=5.0)
    except SMTPException:
        line.smtp.close()


async def sealed(letter: Letter, seal: Seal) -> Letter:
    """Sign a mail by DKIM, in a thread: the arithmetic takes tens of milliseconds. Raises CannotBeSealed."""
    raw = await asyncio.to_thread(sign, letter.raw, seal)
    return Letter(letter.external_id, letter.envelope_sender, letter.recipient, raw, letter.needs_utf8)


def sign(raw: bytes, seal: Seal) -> bytes:
    """Put a DKIM-Signature above a mail that covers the List-Unsubscribe fields too. Raises CannotBeSealed."""
    try:
        signature = dkim.sign(
            raw,
            seal.selector.encode("idna"),
            seal.domain.encode("idna"),
            seal.private_key.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=_signed_fields(raw),
        )
    except (dkim.DKIMException, ValueError, IndexError, TypeError) as broken:
        raise CannotBeSealed("The DKIM key is not an RSA private key in PEM.") from broken
    return bytes(signature) + raw


def _signed_fields(raw: bytes) -> list[bytes]:
    """Return the fields to sign: of the list those that are there, and From once more than it is there."""
    head = raw.partition(b"\r\n\r\n")[0]
    there = {line.partition(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in b" \t"}
    return [b"from", *(name for name in SIGNED if name in there)]
