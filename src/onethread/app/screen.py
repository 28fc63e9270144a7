"""One open screen of an agent: what it may watch, what it has missed, what it is told."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

from onethread.access.model import Actor
from onethread.conversations.queries import inbox
from onethread.kernel.errors import NotAllowed
from onethread.kernel.ids import AgentId, BrandId, ConversationId, TeamId, new_id
from onethread.platform.broadcast import Broadcaster
from onethread.platform.db import Database
from onethread.platform.live import Behind, Frame, Hub, LiveFrame, Signal, frame_text

MOST_TOPICS: Final = 200
_TYPING_FOR: Final = 6.0  # seconds
_LOOKING_FOR: Final = 40.0  # seconds; a screen says it again every half of it

Send = Callable[[str], Awaitable[None]]


class House(Protocol):
    """What a screen needs of the house."""

    @property
    def database(self) -> Database: ...
    @property
    def hub(self) -> Hub: ...
    @property
    def broadcaster(self) -> Broadcaster: ...


class Screen:
    """What one tab watches. Nothing reaches it that its agent may not see at that moment."""

    def __init__(self, house: House, actor: Actor) -> None:
        self._house = house
        self._subscription = house.hub.subscribe()
        self._joined: dict[str, int] = {}  # by topic, the position from which frames come live
        self._has = -1  # the position up to which the screen says it has everything
        self._signalled: dict[tuple[str, UUID], Signal] = {}
        self._name = f"{actor.kind}:{actor.id}/{new_id().hex[-12:]}"
        self.actor = actor

    @property
    def position(self) -> int:
        return self._house.hub.position

    def close(self) -> None:
        """Leave; whoever watched the same conversations sees that nobody is looking any more."""
        self._subscription.close()
        for signal in self._signalled.values():
            self._house.hub.signal(_ended(signal))

    # ------------------------------------------------------------ topics

    async def watch(self, topics: Collection[str]) -> dict[str, str]:
        """Watch topics from now on; return, in words, why not, for each that was refused."""
        new = [topic for topic in dict.fromkeys(topics) if topic not in self._joined]
        refused = await self._refused(new)
        for topic in new:
            if topic in refused:
                continue
            if len(self._joined) >= MOST_TOPICS:
                refused[topic] = f"A screen watches {MOST_TOPICS} topics at the most."
                continue
            self._joined[topic] = self.position
            self._subscription.add([topic])
        return refused

    def leave(self, topics: Collection[str]) -> None:
        self._subscription.drop(topics)
        for topic in topics:
            self._joined.pop(topic, None)

    async def still_allowed(self, actor: Actor) -> Collection[str]:
        """Take over what the agent may do now; return the topics that are not theirs any more."""
        self.actor = actor
        refused = await self._refused(list(self._joined))
        self.leave(list(refused))
        return list(refused)

    async def _refused(self, topics: Sequence[str]) -> dict[str, str]:
        asked = {topic: _parts(topic) for topic in topics}
        conversations = [ConversationId(id_) for kind, id_ in asked.values() if kind == "conversation" and id_]
        seen = await self._seen(conversations) if conversations else frozenset[UUID]()
        return {
            topic: "There is no such topic, or it is not yours to watch."
            for topic, (kind, id_) in asked.items()
            if not _may_watch(self.actor, kind, id_, seen)
        }

    async def _seen(self, ids: Sequence[ConversationId]) -> frozenset[UUID]:
        async with self._house.database.transaction() as tx:
            rows = await inbox.rows(tx, ids)
        return frozenset(row.id for row in rows if self.actor.sees(row.brand_id, row.team_id, row.assignee_id))

    # ------------------------------------------------------------ frames

    async def gap(self, after: int) -> list[str]:
        """Return what was missed on the topics since a position, once. Raises Behind when it is too much."""
        upto = max(self._joined.values(), default=after)
        joined = dict(self._joined)
        self._joined = dict.fromkeys(joined, min(after, upto))
        if not joined:
            return []
        found = await self._house.broadcaster.replay(joined.keys(), after=after, upto=upto)
        self._has = max(self._has, after)
        return [text for live in found if _was_missed(live, joined) and (text := self._told(live)) is not None]

    async def frames(self, idle: float) -> AsyncIterator[Sequence[str]]:
        """Yield frames as they come, for ever; after `idle` seconds without any a `beat` with the position.

        A `behind` stands in the place of what was dropped because the screen was too slow.
        """
        self._subscription.beat_after(idle)
        while True:
            try:
                frames = await self._subscription.take()
            except Behind:
                yield [self.behind()]
                continue
            if frames:
                yield [text for frame in frames if (text := self._told(frame)) is not None]
            else:
                # Nothing waits, so up to this position the screen has everything.
                yield [frame_text(self.position, "beat", {})]

    def behind(self) -> str:
        """Return the frame that tells the screen to load anew; from there it goes on live."""
        return frame_text(self.position, "behind", {})

    def present(self, topics: Collection[str]) -> list[str]:
        """Return who is typing and looking at the moment."""
        return [frame.text for frame in self._house.hub.standing(topics)]

    def _told(self, frame: Frame | LiveFrame) -> str | None:
        """Return the frame; of a conversation that is not the agent's (any more) only that it is gone."""
        if frame.seq is not None and frame.seq <= self._has:
            return None  # another process, a little ahead of us, has told it already
        row = frame.data.get("conversation")
        if isinstance(row, Mapping) and not _may_see(self.actor, row):
            return frame_text(frame.seq, "gone", {"conversation_id": row.get("id")})
        rows = frame.data.get("conversations")
        if not isinstance(rows, list) or all(_may_see(self.actor, one) for one in rows):
            return frame.text
        # Of several rows each agent hears of their own.
        theirs = [one for one in rows if _may_see(self.actor, one)]
        gone = [one["id"] for one in rows if one not in theirs]
        return frame_text(frame.seq, frame.type, {**frame.data, "conversations": theirs, "gone": gone})

    # ------------------------------------------------------------ what passes

    def typing(self, conversation: UUID, *, on: bool, to_customer: bool) -> None:
        """Tell that the agent is typing; to the customer too unless it is a note. Raises NotAllowed."""
        self._require(conversation)
        topics = [f"conversation:{conversation}"]
        if to_customer:
            self.actor.require("conversations.reply")
            topics.append(f"public:{conversation}")
        self._signal("typing", conversation, tuple(topics), on=on, seconds=_TYPING_FOR)

    def looking(self, conversation: UUID, *, on: bool) -> None:
        """Tell that the agent has the conversation open. Raises NotAllowed."""
        self._require(conversation)
        self._signal("looking", conversation, (f"conversation:{conversation}",), on=on, seconds=_LOOKING_FOR)

    def _require(self, conversation: UUID) -> None:
        if f"conversation:{conversation}" not in self._joined:
            raise NotAllowed("Watch the conversation first.")

    def _signal(self, type_: str, conversation: UUID, topics: tuple[str, ...], *, on: bool, seconds: float) -> None:
        data = {"conversation": str(conversation), "agent": str(self.actor.id), "name": self.actor.name}
        signal = Signal(topics, type_, self._name, on, seconds, data)
        if on:
            self._signalled[type_, conversation] = signal
        else:
            self._signalled.pop((type_, conversation), None)
        self._house.hub.signal(signal)


def _ended(signal: Signal) -> Signal:
    return Signal(signal.topics, signal.type, signal.who, False, signal.seconds, signal.data)


def _was_missed(live: LiveFrame, joined: Mapping[str, int]) -> bool:
    """Tell whether no topic of the frame was being watched already when it was published."""
    return all(live.seq <= joined[topic] for topic in live.topics if topic in joined)


def _parts(topic: str) -> tuple[str, UUID | None]:
    kind, _, written = topic.partition(":")
    try:
        return kind, UUID(written) if written else None
    except ValueError:
        return "", None


def _may_watch(actor: Actor, kind: str, id_: UUID | None, conversations: frozenset[UUID]) -> bool:
    if kind == "organisation":
        return id_ is None and actor.teams is None
    if id_ is None or not actor.may("conversations.read"):
        return False
    match kind:
        case "brand":
            return actor.sees_brand(BrandId(id_)) and actor.teams is None
        case "team":
            return actor.teams is None or TeamId(id_) in actor.teams
        case "agent":
            return actor.teams is None or AgentId(id_) == actor.agent_id
        case "conversation":
            return id_ in conversations
        case _:
            return False


def _may_see(actor: Actor, row: Mapping[object, object]) -> bool:
    """Tell whether an inbox row is within the actor's limits; most actors have none."""
    if actor.brands is None and actor.teams is None:
        return True
    try:
        return actor.sees(
            BrandId(UUID(str(row["brand_id"]))),
            TeamId(UUID(str(row["team_id"]))) if row["team_id"] else None,
            AgentId(UUID(str(row["assignee_id"]))) if row["assignee_id"] else None,
        )
    except (KeyError, ValueError):
        return False
