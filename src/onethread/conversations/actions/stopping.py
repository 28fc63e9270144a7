"""Stop writing to an address because its owner said so."""

from datetime import datetime

from onethread.conversations.events import AddressSuppressed
from onethread.conversations.store import messages as store
from onethread.conversations.unsubscribing import Unsubscribe
from onethread.platform.db import Tx
from onethread.platform.events import log as events
from onethread.platform.events.model import By, EventDraft


async def unsubscribe(tx: Tx, wish: Unsubscribe, now: datetime) -> None:
    """Send no more marketing to an address over a channel. Wishing it twice changes nothing."""
    reason = "The customer unsubscribed with the link in a message."
    if await store.suppress(tx, wish.identifier_id, wish.channel, "marketing", reason, at=now):
        fact = AddressSuppressed("marketing", reason)
        by = By("customer", wish.identifier_id)
        await events.append(tx, [EventDraft(fact, now, by, identifier_id=wish.identifier_id)])
