"""A channel of our own making that obeys the contract: what the rooms are tested with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from onethread.channels.contract import (
    Account,
    Blob,
    Came,
    Capabilities,
    Channel,
    Claim,
    Content,
    Declaration,
    EditCame,
    Field,
    Forged,
    Handle,
    Health,
    Hook,
    HookAnswer,
    Ignored,
    KnownAs,
    Media,
    MessageCame,
    OptedOut,
    Outcome,
    Outgoing,
    ReactionCame,
    Receipt,
    ReceiptDraft,
    Sent,
    StatusCame,
    Unreadable,
    UnsendCame,
    reference_of,
)
from onethread.kernel.identifier import IdentifierKind

CAN_DO_ALL = frozenset({"text", "html", "media", "location", "choices", "reaction", "edit", "unsend"})


class Call(msgspec.Struct, omit_defaults=True):
    """What is said into the can."""

    id: str
    who: str
    what: str = "message"
    text: str = ""
    target: str = ""
    status: str = ""
    at: datetime | None = None
    answers: list[str] = []
    token: str | None = None
    claim: str | None = None
    claim_kind: str = "typed"
    name: str | None = None
    trust: str = "verified"
    automatic: bool = False
    permanent: bool = False
    complaint: bool = False
    media: list[str] = []


Answer = Callable[[Outgoing], Outcome]


def _sent(outgoing: Outgoing) -> Outcome:
    return Sent(reference_of(outgoing.delivery_id))


@dataclass
class TinCan:
    """Keeps what was sent; `answer` says what becomes of it."""

    name: str = "tincan"
    kind: IdentifierKind = "custom"
    idempotent: bool = False
    subject: bool = False
    per_second: float = 10_000.0
    window_hours: int | None = None
    answer: Answer = _sent
    sent: list[Outgoing] = field(default_factory=list)
    reconcile_seconds: int = 1

    @property
    def declaration(self) -> Declaration:
        return Declaration(
            name=self.name,
            title="Tin can",
            identifier_kinds=(self.kind,),
            settings=(Field("secret", "Secret", "secret", required=True), Field("colour", "Colour")),
            capabilities=Capabilities(
                says=CAN_DO_ALL,  # type: ignore[arg-type]
                hears=CAN_DO_ALL,  # type: ignore[arg-type]
                max_text=1000,
                max_media=1_000_000,
                confirms="read",
                idempotent=self.idempotent,
                per_second=self.per_second,
                subject=self.subject,
                window_hours=self.window_hours,
                reconcile_seconds=self.reconcile_seconds,
            ),
            honesty="L1",
        )

    def verify(self, hook: Hook, account: Account) -> HookAnswer | None:
        if hook.headers.get("x-secret") != account.setting("secret"):
            raise Forged("The secret is not the account's.")
        return None

    def split(self, hook: Hook, account: Account) -> Sequence[ReceiptDraft]:
        try:
            calls = msgspec.json.decode(hook.body, type=list[Call])
        except msgspec.MsgspecError as wrong:
            raise Unreadable(str(wrong)) from wrong
        return [draft_of(call) for call in calls]

    def parse(self, receipt: Receipt, account: Account) -> Sequence[Came]:
        call = msgspec.json.decode(receipt.body, type=Call)
        return [self._came(call, call.at or receipt.received_at)]

    def _came(self, call: Call, at: datetime) -> Came:
        who = Handle(self.kind, call.who, name=call.name)
        claims: tuple[Claim, ...] = ()
        if call.claim:
            kind, _, value = call.claim.partition(":")
            claims = (Claim(Handle(kind, value), call.claim_kind, "They said so."),)  # type: ignore[arg-type]
        match call.what:
            case "message":
                media = tuple(Media(f"part:{name}", name, "text/plain") for name in call.media)
                return MessageCame(
                    call.id,
                    who,
                    at,
                    Content(text=call.text, media=media),
                    answers=tuple(call.answers),
                    token=call.token,
                    claims=claims,
                    trust=call.trust,  # type: ignore[arg-type]
                    automatic=call.automatic,
                )
            case "known":
                return KnownAs(who, claims, at)
            case "status":
                return StatusCame(
                    call.status,  # type: ignore[arg-type]
                    at,
                    external_id=call.target,
                    reason=call.text,
                    permanent=call.permanent,
                    complaint=call.complaint,
                )
            case "reaction":
                return ReactionCame(who, call.target, call.text or None, at)
            case "edit":
                return EditCame(who, call.target, Content(text=call.text), at)
            case "unsend":
                return UnsendCame(who, call.target, at)
            case "stop":
                return OptedOut(who, "all", at, "They wrote STOP.")
            case "crash":
                raise ZeroDivisionError(call.text)
            case "nonsense":
                raise Unreadable(f"{call.text} makes no sense.")
            case _:
                return Ignored(f"a {call.what} is nothing to us")

    async def send(self, outgoing: Outgoing, account: Account) -> Outcome:
        outcome = self.answer(outgoing)
        self.sent.append(outgoing)
        return outcome

    async def fetch(self, receipt: Receipt, media: Media, account: Account) -> Blob:
        return Blob(f"the file {media.name}".encode(), "text/plain", media.name)

    async def check(self, account: Account) -> Health:
        return Health(True)


def draft_of(call: Call) -> ReceiptDraft:
    return ReceiptDraft(call.id, f"can:{call.who}", msgspec.json.encode(call))


_: Channel = TinCan()
