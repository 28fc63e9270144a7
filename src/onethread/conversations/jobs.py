"""Background doors of the room: snoozes that end, and what a search can find."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

from onethread.conversations import actions
from onethread.conversations.store import messages as store
from onethread.kernel.errors import Unavailable
from onethread.kernel.ids import MessageId
from onethread.platform.db import Database, Tx
from onethread.platform.events.model import Event

_EVERY: Final = 5.0  # seconds between looks at snoozes

# Events after which a message reads differently; the subscriber `search` hears only these.
SEARCH_HEARS: Final = frozenset({"MessageReceived", "MessageSent", "NoteAdded", "MessageEdited"})


async def end_snoozes(database: Database, clock: Callable[[], datetime]) -> None:
    """Bring snoozed conversations back when their time has come, until cancelled."""
    while True:
        with suppress(Unavailable):
            async with database.transaction() as tx:
                await actions.wake_due(tx, clock())
        await asyncio.sleep(_EVERY)


async def index_words(tx: Tx, batch: list[Event]) -> None:
    """Write what a search can find, in sets, behind the log."""
    await store.write_found(tx, [MessageId(UUID(str(event.payload["message_id"]))) for event in batch])
