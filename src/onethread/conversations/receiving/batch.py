"""A batch of receipts, parsed and sorted by what is to be done. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from onethread.channels.contract import (
    Account,
    Call,
    CallCame,
    Came,
    Channel,
    Claim,
    Content,
    EditCame,
    Handle,
    Ignored,
    KnownAs,
    MessageCame,
    OptedIn,
    OptedOut,
    ReactionCame,
    Receipt,
    StatusCame,
    Unreadable,
    UnsendCame,
)
from onethread.channels.model import KeptReceipt, Settled, fitting
from onethread.conversations.unsubscribing import UnsubscribeLinks
from onethread.customers.model import Sighting
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import AccountId, BrandId
from onethread.kernel.normal import NotAnIdentifier, normalise


@dataclass(frozen=True, slots=True)
class BrandRules:
    """What the receiver needs of a brand."""

    default_country: str
    reopen: timedelta


DEFAULT_RULES: Final = BrandRules(default_country="US", reopen=timedelta(days=14))


@dataclass(frozen=True, slots=True)
class Desk:
    """What the receiver and the sender work with. `token_key` is the key of our reply tokens."""

    channels: Mapping[str, Channel]
    accounts: Mapping[AccountId, Account]
    brands: Mapping[BrandId, BrandRules]
    token_key: bytes
    unsubscribe: UnsubscribeLinks

    def rules(self, brand_id: BrandId) -> BrandRules:
        return self.brands.get(brand_id, DEFAULT_RULES)


Act = StatusCame | ReactionCame | EditCame | UnsendCame | OptedOut | OptedIn


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message on its way in."""

    receipt: KeptReceipt
    account: Account
    came: MessageCame
    sender: Identifier


@dataclass(frozen=True, slots=True)
class ActCame:
    """Something done to a message or an address. `sender` None: it speaks of a delivery."""

    receipt: KeptReceipt
    account: Account
    act: Act
    sender: Identifier | None


@dataclass(frozen=True, slots=True)
class ClaimCame:
    """The sender is said to be somebody else too."""

    receipt: KeptReceipt
    account: Account
    sender: Identifier
    claimed: Identifier
    claim: Claim


@dataclass(slots=True)
class Batch:
    """Receipts sorted out, in the order they came; `settled` holds those that are done with already."""

    messages: list[Incoming] = field(default_factory=list)
    acts: list[ActCame] = field(default_factory=list)
    claims: list[ClaimCame] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    settled: dict[int, Settled] = field(default_factory=dict)


def sort_out(desk: Desk, receipts: Sequence[KeptReceipt]) -> Batch:
    """Parse every receipt; park those that cannot be read, with the reason."""
    batch = Batch()
    for receipt in receipts:
        account = desk.accounts.get(receipt.account_id)
        channel = desk.channels.get(account.channel) if account is not None else None
        if account is None or channel is None:
            batch.settled[receipt.seq] = Settled(receipt.seq, "parked", "Its account is not there any more.")
            continue
        try:
            came = channel.parse(_as_seen_by_channel(receipt), account)
            part = _read(desk, receipt, account, came)
        except (Unreadable, NotAnIdentifier) as unreadable:
            batch.settled[receipt.seq] = Settled(receipt.seq, "parked", unreadable.detail)
            continue
        batch.messages += part.messages
        batch.acts += part.acts
        batch.claims += part.claims
        batch.sightings += part.sightings
        batch.settled.update(part.settled)
    return batch


def _as_seen_by_channel(receipt: KeptReceipt) -> Receipt:
    return Receipt(receipt.external_id, receipt.sender, receipt.body, receipt.form, receipt.received_at)


def _read(desk: Desk, receipt: KeptReceipt, account: Account, came: Sequence[Came]) -> Batch:
    """Take apart what one receipt says: all of it, or (raising) nothing."""
    part = Batch()
    country = desk.rules(account.brand_id).default_country
    for one in came:
        match one:
            case MessageCame() | CallCame():
                message = one if isinstance(one, MessageCame) else _as_message(one)
                if (id_ := fitting(message.external_id)) != message.external_id:
                    message = replace(message, external_id=id_)
                sender = _sighted(part, message.sender, message.at, country)
                part.messages.append(Incoming(receipt, account, message, sender))
                _claimed(part, receipt, account, sender, message.claims, message.at, country)
            case KnownAs():
                sender = _sighted(part, one.sender, one.at, country)
                _claimed(part, receipt, account, sender, one.claims, one.at, country)
            case StatusCame():
                part.acts.append(ActCame(receipt, account, one, None))
            case ReactionCame() | EditCame() | UnsendCame() | OptedOut() | OptedIn():
                sender = _sighted(part, one.sender, one.at, country)
                part.acts.append(ActCame(receipt, account, one, sender))
            case Ignored():
                part.settled[receipt.seq] = Settled(receipt.seq, "applied", f"ignored: {one.why}")
    return part


def _as_message(call: CallCame) -> MessageCame:
    content = Content(call=Call(call.seconds, call.answered))
    return MessageCame(call.external_id, call.sender, call.at, content)


def _sighted(part: Batch, handle: Handle, at: datetime, country: str) -> Identifier:
    identifier = normalise(handle.kind, handle.value, country, scope=handle.scope)
    part.sightings.append(Sighting(identifier, handle.name, handle.locale, at))
    return identifier


def _claimed(
    part: Batch,
    receipt: KeptReceipt,
    account: Account,
    sender: Identifier,
    claims: Sequence[Claim],
    at: datetime,
    country: str,
) -> None:
    """Note the claims; one that names nobody (`test@test.com`) is left out, what was said still counts."""
    for claim in claims:
        try:
            claimed = _sighted(part, claim.handle, at, country)
        except NotAnIdentifier as nobody:
            remark = f"a claim was left out: {nobody.detail}"
            part.settled[receipt.seq] = Settled(receipt.seq, "applied", remark)
            continue
        if claimed != sender:
            part.claims.append(ClaimCame(receipt, account, sender, claimed, claim))
