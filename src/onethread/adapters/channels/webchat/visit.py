"""One open screen of a visitor: it catches up from the database and then goes on live."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final
from uuid import UUID

from onethread.adapters.channels.webchat.showing import Link, shown_live, shown_message
from onethread.adapters.channels.webchat.wire.frames import Last
from onethread.adapters.channels.webchat.wire.replies import BEAT, RESET, Reply, written
from onethread.conversations.queries.messages import visitor_messages
from onethread.conversations.queries.screens import identifier_id
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import AccountId, ConversationId, IdentifierId
from onethread.platform.db import Database
from onethread.platform.live import Behind, Frame, Hub, Signal

_PAGE: Final = 200  # messages read at once
_MOST: Final = 1_000  # messages one screen is given to catch up
_OVERLAP: Final = 20  # messages before the last one seen: some may have left late, or changed meanwhile
_REMEMBERED: Final = 500  # messages of which a screen's version is remembered
_MOST_CONVERSATIONS: Final = 50  # whose typing a screen hears

_LOOKED_FOR: Final = 20.0  # seconds
# Seconds between looks for somebody who has just said their first word: it is being applied.
_PAUSES: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 10.0)


def spoke(account_id: AccountId, visitor: UUID) -> Signal:
    """Say to the visitor's screens that somebody may be known by now."""
    topics = (_own_topic(account_id, visitor),)
    return Signal(topics, "spoke", str(visitor), on=True, seconds=_LOOKED_FOR, data={})


def identified(account_id: AccountId, visitor: UUID, client_id: str) -> Signal:
    """Say to the visitor's screens that they may be somebody else by now; each such frame is told."""
    topics = (_own_topic(account_id, visitor),)
    return Signal(topics, "identified", f"{visitor}/{client_id}", on=True, seconds=_LOOKED_FOR, data={})


def _own_topic(account_id: AccountId, visitor: UUID) -> str:
    return f"webchat:{account_id}:{visitor}"


class Visit:
    """What one screen has seen and is to be told. Close it when the screen is gone."""

    def __init__(
        self, database: Database, hub: Hub, link: Link, account_id: AccountId, visitor: UUID, last: Last | None
    ) -> None:
        self._database = database
        self._hub = hub
        self._link = link
        self._account_id = account_id
        self._visitor = visitor
        self._identifier: IdentifierId | None = None
        self._last = (ConversationId(last.conv), last.seq) if last is not None else None
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._conversations: set[UUID] = set()
        self._pauses: Iterator[float] = iter(())
        self._until_other = False  # look on although somebody is known: they may become somebody else
        self._own = _own_topic(account_id, visitor)
        self._subscription = hub.subscribe([self._own])

    @property
    def known(self) -> bool:
        """Whether the visitor has said something that was applied."""
        return self._identifier is not None

    def takes_part(self, conversation: UUID) -> bool:
        """Whether the visitor was shown something of this conversation."""
        return conversation in self._conversations

    def close(self) -> None:
        self._subscription.close()

    async def replies(self, idle: float) -> AsyncIterator[Sequence[Reply]]:
        """Yield what to show, for ever; a beat when nothing came for `idle` seconds."""
        for frame in self._hub.standing([self._own]):
            self._heard_of_oneself(frame)
        replies = await self._look()
        while True:
            if replies:
                yield replies
            pause = next(self._pauses, None)
            try:
                async with asyncio.timeout(idle if pause is None else pause):
                    frames = await self._subscription.take()
            except TimeoutError:
                replies = [BEAT] if pause is None else await self._look()
            except Behind:
                replies = await self._catch_up()
            else:
                replies = [reply for frame in frames for reply in self._shown(frame)]

    # ------------------------------------------------------------ who it is

    def _heard_of_oneself(self, frame: Frame) -> None:
        if frame.type == "identified" or not self.known:
            self._until_other = frame.type == "identified"
            self._pauses = iter(_PAUSES)

    async def _look(self) -> Sequence[Reply]:
        """Find out who the visitor is to us, and catch up when that is new."""
        async with self._database.transaction() as tx:
            found = await identifier_id(tx, Identifier("visitor", str(self._visitor), str(self._account_id)))
        if found is None or found == self._identifier:
            return []
        before, self._identifier = self._identifier, found
        if not self._until_other:
            self._pauses = iter(())
        if before is not None:
            # Somebody else signed in at this browser: what was shown belongs to the one before.
            self._subscription.drop(self._subscription.topics - {self._own})
            self._conversations.clear()
            self._versions.clear()
            self._last = None
        self._subscription.add([f"visitor:{found}"])
        caught = await self._catch_up()
        return caught if before is None else [RESET, *caught]

    # ------------------------------------------------------------ what was said

    async def _catch_up(self) -> Sequence[Reply]:
        """Return what the screen missed, and what may have changed since."""
        if self._identifier is None:
            return []
        newest: deque[Reply] = deque(maxlen=_MOST)
        left_out = False
        last = self._last
        after = (last[0], max(0, last[1] - _OVERLAP)) if last is not None else None
        while True:
            async with self._database.transaction() as tx:
                page = await visitor_messages(
                    tx, account_id=self._account_id, identifier_id=self._identifier, after=after, limit=_PAGE
                )
            for message in page:
                seen = last is not None and (message.conversation_id, message.seq) <= last
                changed = message.edited_at is not None or message.unsent_at is not None
                reply = shown_message(message, self._visitor, self._link)
                self._note(reply)
                # Ours in the overlap go again: one that waited to be sent may have come after its place.
                if not seen or changed or message.direction == "out":
                    left_out |= len(newest) == _MOST
                    newest.append(reply)
            if len(page) < _PAGE:
                return [RESET, *newest] if left_out else newest
            after = (page[-1].conversation_id, page[-1].seq)

    def _shown(self, frame: Frame) -> Sequence[Reply]:
        if frame.type in {"spoke", "identified"}:
            self._heard_of_oneself(frame)
            return ()
        reply = shown_live(frame, self._visitor, self._link)
        if reply is None or (reply.type == "message" and not self._note(reply)):
            return ()
        return (reply,)

    def _note(self, reply: Reply) -> bool:
        """Remember what the screen has; tell whether this is news to it."""
        assert reply.id is not None and reply.conv is not None and reply.seq is not None
        if reply.conv not in self._conversations and len(self._conversations) < _MOST_CONVERSATIONS:
            self._conversations.add(reply.conv)
            self._subscription.add([f"public:{reply.conv}"])
        place = (ConversationId(reply.conv), reply.seq)
        self._last = max(self._last, place) if self._last is not None else place
        version = hash(written(reply))
        if self._versions.get(reply.id) == version:
            return False
        self._versions[reply.id] = version
        if len(self._versions) > _REMEMBERED:
            self._versions.popitem(last=False)
        return True
