"""Where a conversation's customer can be reached now, and which way the next answer goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from onethread.channels.contract import Account, Capabilities
from onethread.conversations.model import Address, CannotSend, Purpose, Reach, reach
from onethread.conversations.queries import addresses as queries
from onethread.conversations.queries.addresses import Desired, Known
from onethread.conversations.receiving.batch import Desk
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import AccountId, BrandId, CustomerId, IdentifierId
from onethread.platform.db import Tx

# Kinds whose identifiers any account of a fitting channel reaches; the others are known to one account only.
_WORDS: Final[Mapping[str, str]] = {"email": "email addresses", "phone": "phone numbers"}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a customer. `claimed`: they said the address is theirs, nothing proves it yet."""

    reach: Reach
    claimed: bool
    identifier: Known
    account: Account

    @property
    def open(self) -> bool:
        return self.reach.open


async def ways_to(
    tx: Tx, desk: Desk, customer_id: CustomerId, brand_id: BrandId, now: datetime, *, purpose: Purpose = "service"
) -> list[Way]:
    """Return every way to a customer over the brand's accounts, those last heard first.

    A way the customer used and that is shut now is among them, with what stands in the way.
    """
    known = await queries.known_addresses(tx, customer_id)
    suppressed = {
        (one.identifier_id, one.channel): one.reason
        for one in await queries.suppressions(tx, [one.id for one in known])
        if one.purpose in {"all", purpose}
    }
    ways = []
    for identifier in known:
        for account in _accounts(desk, identifier, brand_id):
            address = Address(
                identifier_id=identifier.id,
                identifier=str(Identifier(identifier.kind, identifier.value, identifier.scope)),
                account_id=account.id,
                channel=account.channel,
                last_heard_at=identifier.heard_at if identifier.heard_account_id == account.id else None,
                suppressed=suppressed.get((identifier.id, account.channel)),
                account_fault=_fault(identifier, account),
            )
            ways.append(Way(reach(address, _capabilities(desk, account), now), identifier.claimed, identifier, account))
    return sorted(ways, key=_recency, reverse=True)


def _accounts(desk: Desk, identifier: Known, brand_id: BrandId) -> list[Account]:
    """Return the accounts that could reach an identifier: the one it wrote to where ids are scoped by it."""
    fitting = _speaking(desk, identifier.kind, brand_id)
    heard = [account for account in fitting if account.id == identifier.heard_account_id]
    if identifier.kind in _WORDS:
        return heard + [account for account in fitting if account.enabled and account not in heard]
    return heard


def _speaking(desk: Desk, kind: IdentifierKind, brand_id: BrandId) -> list[Account]:
    """Return the brand's accounts, switched on or off, whose channel speaks to identifiers of a kind."""
    return [
        account
        for account in desk.accounts.values()
        if account.brand_id == brand_id
        and (channel := desk.channels.get(account.channel)) is not None
        and kind in channel.declaration.identifier_kinds
    ]


def _fault(identifier: Known, account: Account) -> str | None:
    if identifier.blocked:
        return "This address is blocked."
    return None if account.enabled else f"The account {account.name} is switched off."


def require_speaker(desk: Desk, kind: IdentifierKind, brand_id: BrandId) -> None:
    """Raise CannotSend when no account of a brand writes to identifiers of this kind at all."""
    if not any(account.enabled for account in _speaking(desk, kind, brand_id)):
        words = _WORDS.get(kind, f"identifiers of the kind {kind}")
        raise CannotSend(f"No account of this brand sends to {words}.")


def _capabilities(desk: Desk, account: Account) -> Capabilities | None:
    channel = desk.channels.get(account.channel)
    return None if channel is None else channel.declaration.capabilities


def _recency(way: Way) -> tuple[bool, float]:
    heard = way.reach.address.last_heard_at
    return not way.claimed, heard.timestamp() if heard else 0.0


def choose_way(ways: Sequence[Way], desired: Desired, *, to: IdentifierId | None, over: AccountId | None) -> Way:
    """Return the way that was asked for, else the one the customer used last.

    Raises CannotSend, saying what stands in the way and which ways are open, when it cannot be used.
    """
    if to is None and over is None:
        fitting = _last(ways, desired) if desired.answer_identifier_id else [way for way in ways if not way.claimed]
    else:
        fitting = [
            way for way in ways if (to is None or way.identifier.id == to) and (over is None or way.account.id == over)
        ]
    for way in fitting:
        if way.open:
            return way
    why = fitting[0].reach.why if fitting else "The customer cannot be reached this way."
    there = ", ".join(sorted({f"{way.reach.address.identifier} over {way.account.name}" for way in ways if way.open}))
    raise CannotSend(f"{why} Ways that are open: {there or 'none'}.")


def _last(ways: Sequence[Way], desired: Desired) -> list[Way]:
    """Return the way the customer used last. Another is never taken instead: they may not look there."""
    return [
        way
        for way in ways
        if way.identifier.id == desired.answer_identifier_id and way.account.id == desired.answer_account_id
    ]
