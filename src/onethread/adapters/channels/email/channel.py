"""The e-mail channel: what it declares, how it reads, how it sends, which doors it keeps."""

import asyncio
from collections.abc import Sequence

from onethread.adapters.channels.email.client import CannotBeSealed, SmtpLines, sealed
from onethread.adapters.channels.email.imap import check_login, watch_mailboxes
from onethread.adapters.channels.email.listener import Listener, listen
from onethread.adapters.channels.email.mailbox import DECLARATION, MAX_MAIL, mailbox_of
from onethread.adapters.channels.email.wire import compose, letters, mime, reading
from onethread.adapters.channels.email.wire.receipts import REFUSED, draft_of, reason_of
from onethread.channels.contract import (
    Account,
    Blob,
    Came,
    Declaration,
    Health,
    Hook,
    HookAnswer,
    Media,
    NeedsAttention,
    Outcome,
    Outgoing,
    Receipt,
    ReceiptDraft,
    TryLater,
    Unreachable,
    Unreadable,
)
from onethread.channels.ports import Ports
from onethread.channels.signing import verify_standard
from onethread.kernel.errors import NotFound, Refused, Unavailable
from onethread.platform.files import Files


class Email:
    """Mail by LMTP, SMTP, IMAP or a signed hook in, by SMTP out. `listener` says where mail servers hand it over."""

    def __init__(self, files: Files, listener: Listener | None = None) -> None:
        self._files = files
        self._listener = listener
        self._lines = SmtpLines()

    @property
    def declaration(self) -> Declaration:
        return DECLARATION

    # ------------------------------------------------------------ in

    def verify(self, hook: Hook, account: Account) -> HookAnswer | None:
        verify_standard(hook, mailbox_of(account).hook_secrets if account.settings else ())
        return None

    def split(self, hook: Hook, account: Account) -> Sequence[ReceiptDraft]:  # noqa: ARG002 - the contract
        """Take the body as one raw mail, as a mail server would pipe it."""
        if not hook.body.strip():
            raise Unreadable("The request holds no mail; post the raw message (RFC 5322) as its body.")
        if len(hook.body) > MAX_MAIL:
            raise Unreadable(f"The mail is larger than {MAX_MAIL >> 20} MiB.")
        return [draft_of(hook.body)]

    def parse(self, receipt: Receipt, account: Account) -> Sequence[Came]:
        if receipt.form == REFUSED:
            raise Unreadable(reason_of(receipt.body))
        return reading.read(
            receipt.body,
            external_id=receipt.external_id,
            received_at=receipt.received_at,
            ours=mailbox_of(account).ours,
        )

    async def fetch(self, receipt: Receipt, media: Media, account: Account) -> Blob:  # noqa: ARG002 - the contract
        """Return the part of the kept mail that a `part:` reference names. Raises NotFound, Unreadable."""
        part = mime.read(receipt.body).at(media.ref.removeprefix("part:"))
        if part is None or not media.ref.startswith("part:"):
            raise NotFound("The mail has no such part.")
        return Blob(part.body, part.media_type, letters.name_of(part))

    # ------------------------------------------------------------ out

    async def send(self, outgoing: Outgoing, account: Account) -> Outcome:
        if outgoing.act != "message":
            return Unreachable("A mail that was sent can be neither changed nor taken back.", permanent=False)
        mailbox = mailbox_of(account)
        try:
            enclosures = [
                compose.Enclosure(media, await self._files.read(media.ref)) for media in outgoing.content.media
            ]
        except Unavailable as away:
            return TryLater(30.0, away.detail)
        except Refused as missing:
            return Unreachable(f"An enclosure cannot be read: {missing.detail}", permanent=False)
        try:
            letter = await asyncio.to_thread(compose.write, outgoing, mailbox.identity, enclosures)
            if mailbox.seal is not None:
                letter = await sealed(letter, mailbox.seal)
        except compose.CannotBeWritten as impossible:
            return Unreachable(f"This mail cannot be written: {impossible}", permanent=False)
        except CannotBeSealed as broken:
            return NeedsAttention(str(broken))
        if len(letter.raw) > MAX_MAIL:
            return Unreachable(f"With its enclosures the mail is larger than {MAX_MAIL >> 20} MiB.", permanent=False)
        return await self._lines.hand_over(letter, mailbox.smtp)

    async def check(self, account: Account) -> Health:
        """Log in where mail goes out and, when it is fetched, where it comes in."""
        mailbox = mailbox_of(account)
        health = await self._lines.try_login(mailbox.smtp)
        if health.well and mailbox.imap is not None:
            return await check_login(mailbox.imap)
        return health

    # ------------------------------------------------------------ doors

    async def run(self, ports: Ports) -> None:
        """Listen for mail servers and watch the mailboxes that are fetched, until cancelled."""
        try:
            async with asyncio.TaskGroup() as doors:
                doors.create_task(watch_mailboxes(ports), name="email.imap")
                if self._listener is not None:
                    doors.create_task(listen(self._listener, ports.reception), name="email.listener")
        finally:
            await self.close()

    async def close(self) -> None:
        """Hang up the lines kept open to mail servers."""
        await self._lines.close()
