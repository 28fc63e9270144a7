"""E-mail passes the suite of every channel."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, cast

from onethread.adapters.channels.email.channel import Email
from onethread.channels.contract import Account, Channel, Content, Handle, Hook, Media, Outcome, Outgoing
from onethread.channels.signing import sign_standard
from onethread.platform.files import Files
from onethread.platform.signing import new_secret
from tests.adapters.channels.email.offices import MemoryFiles, account_of, mail, with_picture
from tests.adapters.channels.email.test_sending import serving
from tests.cast import ana
from tests.kits.channel import NOW
from tests.kits.whole_channel import WholeChannelKit

SECRET = new_secret()


class OneLetterOffice(Email):
    """The channel, at a server that behaves as told and for one mail only."""

    def __init__(self, **answers: str | None) -> None:
        super().__init__(cast("Files", MemoryFiles(logo=b"\x89PNG")))
        self._answers = answers

    async def send(self, outgoing: Outgoing, account: Account) -> Outcome:
        async with serving(**self._answers) as (_, port):
            there = {**account.settings, "smtp_port": str(port)}
            outcome = await super().send(outgoing, Account(account.id, "email", account.brand_id, "x", there))
            await self.close()
        return outcome


class TestTheKit(WholeChannelKit):
    signature_headers: ClassVar[Sequence[str]] = ("webhook-id", "webhook-timestamp", "webhook-signature")
    never: ClassVar[Mapping[str, str]] = {
        "WindowClosed": "mail may be written at any time",
        "NeedsConsent": "mail servers do not know about consent; the conversations room asks",
    }

    def channel(self) -> Channel:
        return OneLetterOffice()

    def account(self) -> Account:
        return account_of(hook_secret=SECRET, smtp_user="support", smtp_password="secret")

    def hook_of_message(self, text: str, *, number: int = 1, sender: int = 1) -> Hook:
        written = mail(text, sender=f"customer{sender}@example.com", message_id=f"<{number}@example.com>")
        return self.signed(written.as_bytes())

    def signed(self, body: bytes, *, at: datetime = NOW) -> Hook:
        headers = sign_standard(SECRET, id_="msg_1", at=at, body=body)
        return Hook("POST", {"content-type": "message/rfc822", **headers}, "", body, at)

    def hook_of_file(self) -> Hook | None:
        return self.signed(with_picture().as_bytes())

    def unknown_bodies(self) -> Sequence[bytes]:
        return [
            b"From: a@b.test\r\nContent-Type: multipart/report; report-type=x; boundary=b\r\n\r\n--b\r\n\r\n--b--",
            b"Subject: from nobody\r\n\r\nhello",
        ]

    def recipient(self) -> Handle:
        return Handle("email", ana.email, name=ana.name)

    def stored_file(self) -> Media | None:
        return Media("file:logo", "logo.png", "image/png")

    def provoked(self) -> Mapping[str, Callable[[], Awaitable[Outcome]]]:
        def when(**answers: str | None) -> Callable[[], Awaitable[Outcome]]:
            return lambda: OneLetterOffice(**answers).send(self.outgoing(Content(text="Hi")), self.account())

        return {
            "TryLater": when(RCPT="451 4.7.1 greylisted"),
            "TryLater: gone before the mail": when(DATA=None),
            "Unreachable": when(RCPT="550 5.1.1 no such user"),
            "Unreachable: full": when(RCPT="552 5.2.2 full"),
            "NeedsAttention": when(AUTH="535 5.7.8 wrong password"),
            "Unknown": when(_=None),
        }
