"""What is done to messages and addresses: statuses, reactions, edits, unsends, opt-outs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, assert_never

from onethread.channels.contract import (
    EditCame,
    OptedIn,
    OptedOut,
    ReactionCame,
    StatusCame,
    UnsendCame,
)
from onethread.conversations.events import (
    AddressSuppressed,
    DeliveryChanged,
    MessageEdited,
    MessageUnsent,
    ReactionChanged,
)
from onethread.conversations.model import preview_of
from onethread.conversations.queries import placing as queries
from onethread.conversations.queries.placing import Referred
from onethread.conversations.receiving.batch import ActCame
from onethread.conversations.receiving.placing import People
from onethread.conversations.store import deliveries as delivery_store
from onethread.conversations.store import messages as message_store
from onethread.conversations.store.deliveries import Meant, Moved, News
from onethread.customers.model import Recognised
from onethread.kernel.ids import AccountId, BrandId
from onethread.platform.db import Tx
from onethread.platform.events.model import BY_SYSTEM, By, EventDraft

TOO_EARLY: Final = "It speaks of a message that is not here (yet)."

Targets = Mapping[tuple[AccountId, str], Referred]


async def apply_acts(
    tx: Tx, came: Sequence[ActCame], people: People, now: datetime
) -> tuple[list[EventDraft], set[int]]:
    """Apply what was done; return the news, and the receipts whose target is not there (yet)."""
    statuses = [one for one in came if isinstance(one.act, StatusCame)]
    others = [one for one in came if not isinstance(one.act, StatusCame)]
    events, early = await _statuses(tx, statuses, now)
    targets = await _targets(tx, others)
    for one in others:
        assert one.sender is not None
        news = await _apply(tx, one, people[one.sender], targets, now)
        if news is None:
            early.add(one.receipt.seq)
        else:
            events += news
    return events, early


async def _statuses(tx: Tx, came: Sequence[ActCame], now: datetime) -> tuple[list[EventDraft], set[int]]:
    if not came:
        return [], set()
    said = [(one, one.act) for one in came if isinstance(one.act, StatusCame)]
    moved, meant = await delivery_store.write_news(
        tx,
        [
            News(one.account.id, status.external_id, status.delivery_id, status.status, status.reason or None)
            for one, status in said
        ],
    )
    events = delivery_news(moved, now)
    by_delivery = {one.id: one for one in moved}
    for place, (came_by, status) in enumerate(said):
        if status.permanent or status.complaint:
            for one in meant.get(place, ()):
                brand_id = came_by.account.brand_id
                events += await _stop_sending(tx, one, by_delivery.get(one.id), status, brand_id=brand_id, now=now)
    return events, {one.receipt.seq for place, (one, _) in enumerate(said) if place not in meant}


async def _stop_sending(
    tx: Tx, meant: Meant, moved: Moved | None, status: StatusCame, *, brand_id: BrandId, now: datetime
) -> list[EventDraft]:
    """An address that refused for good is not written to again; who complained gets no marketing."""
    if not status.complaint and (moved is None or moved.status != "failed"):
        return []  # refused after it had arrived: that says nothing of the address
    purpose = "marketing" if status.complaint else "all"
    reason = status.reason or "The address refused our message for good."
    if not await message_store.suppress(tx, meant.identifier_id, meant.channel, purpose, reason, at=now):
        return []
    conversation_id = moved.conversation_id if moved is not None else None
    fact = AddressSuppressed(purpose, reason)
    return [EventDraft(fact, now, BY_SYSTEM, meant.identifier_id, conversation_id, brand_id)]


def delivery_news(moved: Sequence[Moved], now: datetime) -> list[EventDraft]:
    """Return the events of deliveries that moved on."""
    return [
        EventDraft(
            DeliveryChanged(one.id, one.message_id, one.status, one.reason, one.repeated),
            occurred_at=now,
            by=BY_SYSTEM,
            identifier_id=one.identifier_id,
            conversation_id=one.conversation_id,
            brand_id=one.brand_id,
            channel=one.channel,
        )
        for one in moved
    ]


async def _targets(tx: Tx, came: Sequence[ActCame]) -> Targets:
    named = {one.act.target for one in came if isinstance(one.act, ReactionCame | EditCame | UnsendCame)}
    if not named:
        return {}
    accounts = {one.account.id for one in came}
    found = await queries.referred(tx, sorted(accounts), sorted(named))
    return {(one.account_id, one.external_id): one for one in found}


async def _apply(tx: Tx, came: ActCame, person: Recognised, targets: Targets, now: datetime) -> list[EventDraft] | None:
    """Apply one act; None when its message is not there, or is not theirs to touch."""
    match came.act:
        case ReactionCame() as act:
            target = _theirs(came, person, targets, act.target)
            if target is None:
                return None
            await message_store.set_reaction(
                tx, target.message_id, by_kind="customer", by_id=person.identifier_id, emoji=act.emoji, at=act.at
            )
            return [_told(came, ReactionChanged(target.message_id, act.emoji), person, target, act.at)]
        case EditCame() as act:
            target = _theirs(came, person, targets, act.target)
            if target is None or target.direction != "in":
                return None
            if not await message_store.replace_content(tx, target.message_id, act.content, at=act.at):
                return []
            await message_store.refresh_preview(tx, target.conversation_id, target.seq, preview_of(act.content))
            return [_told(came, MessageEdited(target.message_id), person, target, act.at)]
        case UnsendCame() as act:
            target = _theirs(came, person, targets, act.target)
            if target is None or target.direction != "in":
                return None
            if not await message_store.forget_content(tx, target.message_id, at=act.at):
                return []
            await message_store.refresh_preview(tx, target.conversation_id, target.seq, "")
            return [_told(came, MessageUnsent(target.message_id), person, target, act.at)]
        case OptedOut() as act:
            channel = came.account.channel
            if not await message_store.suppress(tx, person.identifier_id, channel, act.purpose, act.reason, at=act.at):
                return []
            fact = AddressSuppressed(act.purpose, act.reason)
            by = By("customer", person.identifier_id)
            return [EventDraft(fact, now, by, person.identifier_id, brand_id=came.account.brand_id)]
        case OptedIn() as act:
            await message_store.unsuppress(tx, person.identifier_id, came.account.channel, act.purpose)
            return []
        case StatusCame():
            return []
        case _:
            assert_never(came.act)


def _theirs(came: ActCame, person: Recognised, targets: Targets, external_id: str) -> Referred | None:
    target = targets.get((came.account.id, external_id))
    return target if target is not None and target.identifier_id == person.identifier_id else None


def _told(
    came: ActCame,
    fact: ReactionChanged | MessageEdited | MessageUnsent,
    person: Recognised,
    target: Referred,
    at: datetime,
) -> EventDraft:
    return EventDraft(
        fact,
        occurred_at=at,
        by=By("customer", person.identifier_id),
        identifier_id=person.identifier_id,
        conversation_id=target.conversation_id,
        brand_id=came.account.brand_id,
        channel=came.account.channel,
    )
