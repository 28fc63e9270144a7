"""Who hears which event: the nervous system on one page."""

from collections.abc import Mapping, Sequence
from typing import Final

from onethread.conversations import queries as conversations
from onethread.conversations.jobs import SEARCH_HEARS, index_words
from onethread.platform.db import Tx
from onethread.platform.events.model import Event
from onethread.platform.events.subscribers import Subscriber
from onethread.platform.live import LiveFrame
from onethread.platform.webhooks.sender import Sender as Webhooks

# The names of their cursors, for who looks at them from outside.
HEARERS: Final = frozenset({"webhooks", "search"})


def subscribers(*, webhooks: Webhooks) -> Sequence[Subscriber]:
    """Return every hearer of the log."""
    return [
        # Outgoing webhooks: what happens from now on, to whoever subscribed.
        webhooks.subscriber(),
        # What a search can find, written behind the log.
        Subscriber("search", index_words, types=SEARCH_HEARS),
    ]


async def frames(tx: Tx, events: Sequence[Event]) -> list[LiveFrame]:
    """Return what screens are shown of events: the broadcaster reads the log without a cursor of its own."""
    return await conversations.frames(tx, events)


async def details(tx: Tx, events: list[Event]) -> Mapping[int, Mapping[str, object]]:
    """Return what webhooks get beyond the bare event, by its seq: the same an agent's screen is shown."""
    return {frame.seq: frame.data for frame in await frames(tx, events) if not _for_visitors(frame)}


def _for_visitors(frame: LiveFrame) -> bool:
    return all(topic.startswith("visitor:") for topic in frame.topics)
