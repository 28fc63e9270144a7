"""Posts our own letters (invitations, password resets) over SMTP; customers' mail has its own channel."""

from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from typing import Literal, Protocol

import aiosmtplib

from onethread.kernel.clock import utc_now

Security = Literal["tls", "starttls", "none"]


class NotPosted(Exception):
    """The letter was not taken. `for_good` tells that trying again would not help."""

    def __init__(self, why: str, *, for_good: bool) -> None:
        super().__init__(why)
        self.for_good = for_good


class Postman(Protocol):
    """Whoever takes letters away."""

    async def send(self, to: str, subject: str, text: str, html: str) -> None:
        """Hand the letter over; raises NotPosted."""


class SmtpPostman:
    """Hands letters to one SMTP server, a connection for each: they are few."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        sender: str,
        sender_name: str = "Onethread",
        username: str | None = None,
        password: str | None = None,
        security: Security = "starttls",
        timeout: float = 20.0,
    ) -> None:
        self.host = host
        self.port = port
        self._sender = sender
        self._sender_name = sender_name
        self._username = username
        self._password = password
        self._security = security
        self._timeout = timeout

    async def send(self, to: str, subject: str, text: str, html: str) -> None:
        """Hand the letter over; a 5xx answer is for good, everything else may pass."""
        try:
            await aiosmtplib.send(
                self._message(to, subject, text, html),
                sender=self._sender,
                recipients=[to],
                hostname=self.host,
                port=self.port,
                username=self._username,
                password=self._password,
                use_tls=self._security == "tls",
                start_tls=self._security == "starttls",
                timeout=self._timeout,
            )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            first = refused.recipients[0]
            raise NotPosted(f"{first.code} {first.message}", for_good=first.code >= 500) from refused
        except aiosmtplib.SMTPAuthenticationError as refused:
            # The operator will mend the password; the letter is not to blame.
            raise NotPosted(f"{refused.code} {refused.message}", for_good=False) from refused
        except aiosmtplib.SMTPResponseException as refused:
            raise NotPosted(f"{refused.code} {refused.message}", for_good=refused.code >= 500) from refused
        except (aiosmtplib.SMTPException, OSError) as lost:
            raise NotPosted(f"{type(lost).__name__}: {lost}", for_good=False) from lost

    def _message(self, to: str, subject: str, text: str, html: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = formataddr((self._sender_name, self._sender))
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = format_datetime(utc_now())
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2] or "localhost")
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        return message
