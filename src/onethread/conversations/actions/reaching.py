"""Where a conversation's customer can be reached now, and which way the next answer goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.channels.contract import Account, Capabilities
from onethread.conversations.model import Address, CannotSend, Purpose, Reach, reach
from onethread.conversations.queries import addresses as queries
from onethread.conversations.queries.addresses import Desired, Known
from onethread.conversations.receiving.batch import Desk
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import AccountId, BrandId, CustomerId, IdentifierId
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a customer. `claimed`: they said the address is theirs, nothing proves it yet."""

    reach: Reach
    claimed: bool
    identifier: Known
    account: Account


async def ways_to(
    tx: Tx, desk: Desk, customer_id: CustomerId, brand_id: BrandId, now: datetime, *, purpose: Purpose = "service"
) -> list[Way]:
    """Return every way to a customer over the brand's accounts, those last heard first."""
    known = await queries.known_addresses(tx, customer_id)
    suppressed = {
        (one.identifier_id, one.channel): one.reason
        for one in await queries.suppressions(tx, [one.id for one in known])
        if one.purpose in {"all", purpose}
    }
    ways = []
    for identifier in known:
        if identifier.blocked:
            continue
        for account in _accounts(desk, identifier, brand_id):
            address = Address(
                identifier_id=identifier.id,
                identifier=str(Identifier(identifier.kind, identifier.value, identifier.scope)),
                account_id=account.id,
                channel=account.channel,
                last_heard_at=identifier.heard_at if identifier.heard_account_id == account.id else None,
                suppressed=suppressed.get((identifier.id, account.channel)),
            )
            ways.append(Way(reach(address, _capabilities(desk, account), now), identifier.claimed, identifier, account))
    return sorted(ways, key=_recency, reverse=True)


def _accounts(desk: Desk, identifier: Known, brand_id: BrandId) -> list[Account]:
    """Return the accounts that can reach an identifier: the one it wrote to where ids are scoped by it."""
    fitting = [
        account
        for account in desk.accounts.values()
        if account.enabled
        and account.brand_id == brand_id
        and (channel := desk.channels.get(account.channel)) is not None
        and identifier.kind in channel.declaration.identifier_kinds
    ]
    heard = [account for account in fitting if account.id == identifier.heard_account_id]
    if identifier.kind in {"email", "phone"}:
        return heard + [account for account in fitting if account not in heard]
    return heard


def _capabilities(desk: Desk, account: Account) -> Capabilities | None:
    channel = desk.channels.get(account.channel)
    return None if channel is None else channel.declaration.capabilities


def _recency(way: Way) -> tuple[bool, float]:
    heard = way.reach.address.last_heard_at
    return not way.claimed, heard.timestamp() if heard else 0.0


def choose_way(ways: Sequence[Way], desired: Desired, *, to: IdentifierId | None, over: AccountId | None) -> Way:
    """Return the way that was asked for, else the one the customer used last.

    Raises CannotSend, saying which ways there are, when there is none.
    """
    fitting = [
        way for way in ways if (to is None or way.identifier.id == to) and (over is None or way.account.id == over)
    ]
    if to is None and over is None:
        last = [
            way
            for way in fitting
            if way.identifier.id == desired.answer_identifier_id and way.account.id == desired.answer_account_id
        ]
        proven = [way for way in fitting if not way.claimed]
        fitting = last or [way for way in proven if way.reach.open] or proven
    if not fitting:
        there = ", ".join(sorted({way.reach.address.identifier for way in ways if way.reach.open})) or "none"
        raise CannotSend(f"The customer cannot be reached this way. Ways that are open: {there}.")
    return fitting[0]
