"""A mailbox of the corner shop, mails as people write them, and a reception that keeps receipts in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from uuid import UUID

from onethread.adapters.channels.email.mailbox import FIELDS
from onethread.adapters.channels.email.wire import reading
from onethread.channels.contract import Account, Came, Content, Handle, Health, MessageCame, Outgoing, ReceiptDraft
from onethread.kernel.errors import Unavailable
from onethread.kernel.ids import AccountId, BrandId, ConversationId, DeliveryId, MessageId, new_id
from tests.cast import ana, noon

ADDRESS = "support@shop.test"
DELIVERY = DeliveryId(UUID("01935f3e-0000-7000-8000-00000000c0de"))


def account_of(**settings: str) -> Account:
    """Return the shop's mailbox; without an SMTP server of its own nothing goes out."""
    defaults = {field.name: field.default for field in FIELDS}
    given = {"address": ADDRESS, "smtp_host": "127.0.0.1", "smtp_port": "9", "smtp_security": "none", **settings}
    return Account(AccountId(new_id()), "email", BrandId(new_id()), "Support", {**defaults, **given})


def mail(
    text: str = "Hello, where is my order?",
    *,
    sender: str = f"Ana Lima <{ana.email}>",
    to: str = ADDRESS,
    subject: str = "My order",
    message_id: str | None = "<1@example.com>",
    **fields: str,
) -> EmailMessage:
    """Return a mail as Ana's program would write it; `fields` are further headers, `_` for `-`."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = "Mon, 16 Nov 2026 11:58:00 +0000"
    if message_id is not None:
        message["Message-ID"] = message_id
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def with_picture() -> EmailMessage:
    """Return a mail of text and HTML with a picture inside and an invoice beside it."""
    written = mail("See the picture.")
    written.add_alternative(
        '<p>See the <b onclick="x()">picture</b>.</p><img src="cid:pic@x"><img src="https://spy.test/p.gif">'
        '<script>alert(1)</script><form action="https://evil.test"><input name=p></form>'
        '<a href="javascript:alert(1)">here</a> <a href="https://shop.test/1">there</a>',
        subtype="html",
    )
    html = written.get_payload()[1]  # type: ignore[index]
    html.add_related(b"\x89PNG pixels", "image", "png", cid="<pic@x>", filename="pic.png")  # type: ignore[union-attr]
    written.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="../../invoice.pdf")
    return written


OURS = reading.Ours(frozenset({ADDRESS}), "mx.shop.test")


def came(raw: bytes | EmailMessage) -> Sequence[Came]:
    """Read a mail that came to the shop at noon."""
    body = raw if isinstance(raw, bytes) else raw.as_bytes()
    return reading.read(body, external_id=reading.fingerprint(body), received_at=noon, ours=OURS)


def message_of(raw: bytes | EmailMessage) -> MessageCame:
    """Read a mail that is a message."""
    (one,) = came(raw)
    assert isinstance(one, MessageCame), one
    return one


def outgoing(text: str = "It is on its way.", **changes: object) -> Outgoing:
    """Return an answer of Bruno to Ana."""
    plain = Outgoing(
        delivery_id=DELIVERY,
        message_id=MessageId(new_id()),
        conversation_id=ConversationId(new_id()),
        act="message",
        to=Handle("email", ana.email, name=ana.name),
        content=Content(text=text, subject="My order"),
        sender_name="Bruno",
        brand_name="Corner Shop",
        locale="en",
        sent_at=noon - timedelta(minutes=1),
        answers=("<1@example.com>", "<0@example.com>"),
        token="4tk7x9",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class MemoryReception:
    """Keeps receipts as the real reception does: once, and not at all while `away`."""

    def __init__(self, *accounts: Account) -> None:
        self.here = list(accounts)
        self.receipts: dict[tuple[AccountId, str], ReceiptDraft] = {}
        self.healths: list[Health] = []
        self.asked = 0
        self.away = False

    async def receive(self, account_id: AccountId, drafts: Sequence[ReceiptDraft]) -> list[bool]:
        self.asked += 1
        if self.away:
            raise Unavailable("The database cannot be reached.", retry_after=1)
        new = []
        for draft in drafts:
            new.append((account_id, draft.external_id) not in self.receipts)
            self.receipts.setdefault((account_id, draft.external_id), draft)
        return new

    async def accounts(self, channel: str) -> Sequence[Account]:
        return [account for account in self.here if account.channel == channel]

    async def account(self, account_id: AccountId) -> Account | None:
        return next((account for account in self.here if account.id == account_id), None)

    async def note_health(self, account_id: AccountId, health: Health) -> None:
        self.healths.append(health)

    @property
    def bodies(self) -> list[bytes]:
        return [draft.body for draft in self.receipts.values()]

    def forms(self) -> Mapping[str, str]:
        return {draft.external_id: draft.form for draft in self.receipts.values()}


class MemoryFiles:
    """Files by reference, as the file store gives them."""

    def __init__(self, **files: bytes) -> None:
        self.files = {f"file:{name}": content for name, content in files.items()}

    async def read(self, ref: str) -> bytes:
        return self.files[ref]
