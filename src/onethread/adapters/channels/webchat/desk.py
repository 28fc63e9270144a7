"""What the web chat's doors do for visitors: admit them, take their frames, keep their files."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import msgspec
import structlog

from onethread.adapters.channels.webchat.limits import Limits
from onethread.adapters.channels.webchat.origins import allows
from onethread.adapters.channels.webchat.showing import Link
from onethread.adapters.channels.webchat.tokens import Tokens, VisitorToken
from onethread.adapters.channels.webchat.visit import Visit, identified, spoke
from onethread.adapters.channels.webchat.wire.frames import (
    MAX_FRAME,
    Form,
    Identify,
    Kept,
    Last,
    Message,
    Ping,
    Typing,
    read_frame,
)
from onethread.adapters.channels.webchat.wire.reading import FROM_SCREEN, parse_receipt, receipt_of
from onethread.adapters.channels.webchat.wire.replies import Reply, ack, refused
from onethread.channels.contract import Account, Media, Receipt, ReceiptDraft
from onethread.channels.ports import Ports
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import NotAllowed, NotFound, NotSignedIn, Refused, TooMany, Unavailable
from onethread.kernel.ids import AccountId
from onethread.platform.live import Signal

log = structlog.get_logger(__name__)

MAX_FILE: Final = 25 * 1024 * 1024  # bytes
_TYPING_FOR: Final = 6.0  # seconds a visitor is taken to be typing after each word of it


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is at the door: a visitor of an account, from a network address."""

    account: Account
    id: UUID
    address: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    media: Media
    proof: str


class Desk:
    """Everything the doors share in one process."""

    def __init__(self, ports: Ports, tokens: Tokens, link: Link) -> None:
        self.ports = ports
        self.limits = Limits()
        self._tokens = tokens
        self._link = link

    # ------------------------------------------------------------ who may come in

    async def account(self, written: str, *, origin: str | None, host: str) -> Account:
        """Return the account of an address. Raises NotFound, and NotAllowed for other websites."""
        try:
            account = await self.ports.reception.account(AccountId(UUID(written)))
        except ValueError:
            account = None
        if account is None or account.channel != "webchat":
            raise NotFound("There is no chat with this address.")
        if not allows(account.setting("allowed_domains"), origin, host):
            raise NotAllowed("This website may not open this chat; allow it in the account's settings.")
        return account

    def admit(self, account: Account, token: str, *, address: str) -> Visitor:
        """Return whose token it is. Raises NotSignedIn."""
        visitor = self._tokens.visitor_of(account.id, token, utc_now())
        if visitor is None:
            raise NotSignedIn("This visitor's token is not valid any more; ask for a new one.")
        return Visitor(account, visitor, address)

    def token(self, account: Account, old: str | None, *, address: str) -> VisitorToken:
        """Return a token: a fresh one for the same visitor, or a new visitor's. Raises TooMany."""
        now = utc_now()
        known = self._tokens.visitor_of(account.id, old, now) if old else None
        if known is None:
            wait = self.limits.new_visitors.take(address, _clock())
            if wait:
                raise TooMany("Too many new visitors come from this address.", retry_after=_whole(wait))
        return self._tokens.give(account.id, known or uuid4(), now)

    def renewed(self, account: Account, token: str) -> VisitorToken | None:
        return self._tokens.renewed(account.id, token, utc_now())

    def visit(self, visitor: Visitor, last: Last | None) -> Visit:
        return Visit(self.ports.database, self.ports.hub, self._link, visitor.account.id, visitor.id, last)

    # ------------------------------------------------------------ what they send

    async def take(self, visitor: Visitor, frames: Sequence[bytes], visit: Visit | None = None) -> list[Reply]:
        """Keep frames, in order, and answer each; nothing is acknowledged before it is durable."""
        replies: list[Reply | None] = []
        kept: list[tuple[int, Kept, ReceiptDraft]] = []
        for raw in frames:
            try:
                frame = self._read(visitor, raw)
                if isinstance(frame, Ping):
                    replies.append(Reply("pong", id=frame.id))
                elif isinstance(frame, Typing):
                    self._pass_on(visitor, frame, visit)
                else:
                    draft = self._checked(visitor, frame, raw, utc_now())
                    kept.append((len(replies), frame, draft))
                    replies.append(None)
            except Refused as refusal:
                replies.append(_refusal(_id_in(raw), refusal))
        if kept:
            await self._keep(visitor, kept, replies, visit)
        return [reply for reply in replies if reply is not None]

    def _read(self, visitor: Visitor, raw: bytes) -> Kept | Typing | Ping:
        now = _clock()
        wait = self.limits.frames_of_address.take(visitor.address, now)
        wait = wait or self.limits.frames_of_visitor.take(str(visitor.id), now)
        if wait:
            raise TooMany("This is too fast; go on in a moment.", retry_after=_whole(wait))
        if len(raw) > MAX_FRAME:
            raise FrameTooLarge(f"A frame may have {MAX_FRAME:,} bytes at the most.")
        return read_frame(raw)

    def _checked(self, visitor: Visitor, frame: Kept, raw: bytes, now: datetime) -> ReceiptDraft:
        """Read the frame as the receiver will, so that what it would park is refused here."""
        draft = receipt_of(visitor.id, frame.id, raw)
        receipt = Receipt(draft.external_id, draft.sender, draft.body, FROM_SCREEN, now)
        parse_receipt(receipt, visitor.account, self._tokens)
        return draft

    async def _keep(
        self,
        visitor: Visitor,
        kept: Sequence[tuple[int, Kept, ReceiptDraft]],
        replies: list[Reply | None],
        visit: Visit | None,
    ) -> None:
        try:
            fresh = await self.ports.reception.receive(visitor.account.id, [draft for _, _, draft in kept])
        except Unavailable as unavailable:
            for place, frame, _ in kept:
                replies[place] = _refusal(frame.id, unavailable)
            return
        for (place, frame, _), is_new in zip(kept, fresh, strict=True):
            replies[place] = ack(frame.id, fresh=is_new)
            if isinstance(frame, Identify):
                self.ports.hub.signal(identified(visitor.account.id, visitor.id, frame.id))
            elif isinstance(frame, Message | Form) and (visit is None or not visit.known):
                self.ports.hub.signal(spoke(visitor.account.id, visitor.id))

    def _pass_on(self, visitor: Visitor, frame: Typing, visit: Visit | None) -> None:
        """Let agents see that the visitor types; only in a conversation that is the visitor's."""
        if frame.conv is None or visit is None or not visit.takes_part(frame.conv):
            return
        topics = (f"conversation:{frame.conv}",)
        who = f"visitor:{visitor.id}"
        data = {"conversation": str(frame.conv)}
        self.ports.hub.signal(Signal(topics, "typing", who, frame.body.on, _TYPING_FOR, data))

    # ------------------------------------------------------------ their files

    def may_upload(self, visitor: Visitor) -> None:
        """Raise TooMany when the visitor has uploaded enough for the moment."""
        wait = self.limits.uploads.take(str(visitor.id), _clock())
        if wait:
            raise TooMany("This is too many files at once.", retry_after=_whole(wait))

    def uploaded(self, visitor: Visitor, media: Media) -> Uploaded:
        """Return our word that the visitor has uploaded the file, to be shown with the message."""
        return Uploaded(media, self._tokens.prove(visitor.account.id, visitor.id, media, utc_now()))


class FrameTooLarge(Refused):
    code = "too_large"
    status = 413
    title = "This is too large"


class _Numbered(msgspec.Struct):
    id: str


_numbered: Final = msgspec.json.Decoder(_Numbered).decode


def _id_in(raw: bytes) -> str | None:
    """Return the id of a frame that cannot be read otherwise, so that its sender knows which it was."""
    try:
        return _numbered(raw[: 4 * MAX_FRAME]).id[:64]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _refusal(client_id: str | None, refusal: Refused) -> Reply:
    after = refusal.fields.get("retry_after")
    return refused(client_id, refusal.code, refusal.detail, after if isinstance(after, int | float) else None)


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _whole(seconds: float) -> int:
    return max(1, round(seconds + 0.5))
