"""The switch between what happens and the screens that watch: topics, bounded queues, passing signals."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from onethread.platform import metrics

_encode: Final = msgspec.json.Encoder().encode

QUEUE: Final = 1_000  # frames a screen may lag behind before it is cut off
COALESCE: Final = 3.0  # seconds in which the same signal is told once
_MOST_STANDING: Final = 20_000  # signals remembered for screens that join later


class Behind(Exception):
    """The screen missed frames that will not be repeated: it must load anew."""


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """What one event tells the screens of some topics, ready to be shown.

    An event has at most one frame per topic, and no subscription may hold two topics that get
    different frames of one event: `seq` alone says what a screen has already seen.
    """

    topics: tuple[str, ...]
    seq: int
    type: str
    data: Mapping[str, object]

    @property
    def text(self) -> str:
        """The frame as JSON: `{"seq":…,"type":…,"data":{…}}`."""
        return frame_text(self.seq, self.type, self.data)


def frame_text(seq: int | None, type_: str, data: Mapping[str, object]) -> str:
    """Return a frame as screens read it."""
    return _encode({"seq": seq, "type": type_, "data": data}).decode()


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that passes and is never stored: `who` is typing or looking, or no longer (`on` False).

    A signal that is `on` ends by itself after `seconds` unless it is given again.
    """

    topics: tuple[str, ...]
    type: str
    who: str
    on: bool
    seconds: float
    data: Mapping[str, object]

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        return (self.type, self.who, self.topics)


class Frame:
    """A frame on its way to screens: written as JSON once, however many get it. `seq` None: a signal."""

    __slots__ = ("_text", "data", "seq", "type")

    def __init__(self, seq: int | None, type_: str, data: Mapping[str, object]) -> None:
        self.seq = seq
        self.type = type_
        self.data = data
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The frame as JSON: `{"seq":…,"type":…,"data":{…}}`."""
        if self._text is None:
            self._text = frame_text(self.seq, self.type, self.data)
        return self._text


class Subscription:
    """One screen's place at the switch. Close it when the screen is gone."""

    __slots__ = ("_behind", "_frames", "_hub", "_idle", "_limit", "_taken_at", "_timer", "_woken", "topics")

    def __init__(self, hub: "Hub", limit: int) -> None:
        self._hub = hub
        self._limit = limit
        self._frames: deque[Frame] = deque()
        self._woken = asyncio.Event()
        self._behind = False
        self._idle: float | None = None
        self._taken_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.topics: set[str] = set()

    def add(self, topics: Iterable[str]) -> None:
        """Hear these topics too, from now on."""
        self._hub.join(self, topics)

    def drop(self, topics: Iterable[str]) -> None:
        """Hear these topics no longer."""
        self._hub.leave(self, topics)

    def close(self) -> None:
        """Leave the switch; a `take` that waits goes on waiting."""
        if self._timer is not None:
            self._timer.cancel()
        self._hub.leave(self, tuple(self.topics))
        self._hub.forget(self)

    def offer(self, frame: Frame) -> None:
        """Queue a frame without ever waiting; a full queue cuts the screen off."""
        if self._behind:
            return
        if len(self._frames) >= self._limit:
            self.cut_off()
            return
        self._frames.append(frame)
        self._woken.set()

    def cut_off(self) -> None:
        """Give up on this screen: what it has not taken is dropped, and `take` says so."""
        self._behind = True
        self._frames.clear()
        self._woken.set()

    def beat_after(self, seconds: float) -> None:
        """Let `take` return nothing when nothing came for so long. One timer serves many takes: they are hot."""
        self._idle = seconds
        self._taken_at = asyncio.get_running_loop().time()
        self._watch(seconds)

    def _watch(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        assert self._idle is not None
        now = asyncio.get_running_loop().time()
        left = self._taken_at + self._idle - now
        if left <= 0:
            self._taken_at = now
            self._woken.set()
        self._watch(left if left > 0 else self._idle)

    async def take(self) -> list[Frame]:
        """Wait for frames and return all there are, in order. Raises Behind once when it was cut off."""
        await self._woken.wait()
        self._woken.clear()
        if self._behind:
            self._behind = False
            raise Behind
        frames = list(self._frames)
        self._frames.clear()
        if frames and self._idle is not None:
            self._taken_at = asyncio.get_running_loop().time()
        return frames


Carry = Callable[[Signal], None]


class Hub:
    """Topics and who hears them, in this process. Everything here happens at once: nothing waits.

    `position` is the place in the event log up to which everything was published; a screen that
    subscribes and then reads the log up to `position` misses nothing and sees nothing twice.
    """

    def __init__(self) -> None:
        self._topics: dict[str, set[Subscription]] = {}
        self._subscriptions: set[Subscription] = set()
        self._told: dict[tuple[str, str, tuple[str, ...]], tuple[float, bool]] = {}
        self._standing: dict[str, dict[tuple[str, str], tuple[float, Frame]]] = {}
        self._ready = asyncio.Event()
        self.carry: Carry | None = None  # takes signals to the other processes
        self.position = 0

    @property
    def watched(self) -> bool:
        """Whether anybody is listening at all."""
        return bool(self._topics)

    def __len__(self) -> int:
        return len(self._subscriptions)

    def reached(self, position: int) -> None:
        """Say that everything in the log up to `position` was published."""
        self.position = position
        self._ready.set()

    async def ready(self) -> None:
        """Wait until the position is known."""
        await self._ready.wait()

    def subscribe(self, topics: Iterable[str] = (), *, limit: int = QUEUE) -> Subscription:
        subscription = Subscription(self, limit)
        self._subscriptions.add(subscription)
        metrics.live_subscriptions.set(len(self._subscriptions))
        self.join(subscription, topics)
        return subscription

    def join(self, subscription: Subscription, topics: Iterable[str]) -> None:
        for topic in topics:
            subscription.topics.add(topic)
            self._topics.setdefault(topic, set()).add(subscription)

    def leave(self, subscription: Subscription, topics: Iterable[str]) -> None:
        for topic in topics:
            subscription.topics.discard(topic)
            hearers = self._topics.get(topic)
            if hearers is not None:
                hearers.discard(subscription)
                if not hearers:
                    del self._topics[topic]

    def forget(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        metrics.live_subscriptions.set(len(self._subscriptions))

    def publish(self, live: LiveFrame) -> None:
        """Give the frame to every subscription of its topics, once to each."""
        hearers = self._hearers(live.topics)
        if hearers:
            frame = Frame(live.seq, live.type, live.data)
            for subscription in hearers:
                subscription.offer(frame)

    def signal(self, signal: Signal) -> None:
        """Tell a passing signal here and, once every few seconds at the most, in the other processes."""
        now = asyncio.get_running_loop().time()
        told_at, was_on = self._told.get(signal.key, (float("-inf"), False))
        if was_on is signal.on and (not signal.on or now - told_at < COALESCE):
            return
        _make_room(self._told, now)
        self._told[signal.key] = (now, signal.on)
        self.hear(signal)
        if self.carry is not None:
            self.carry(signal)

    def hear(self, signal: Signal) -> None:
        """Tell a signal in this process only, and keep it for screens that join while it lasts."""
        frame = Frame(None, signal.type, {**signal.data, "who": signal.who, "on": signal.on, "for": signal.seconds})
        for topic in signal.topics:
            self._stand(topic, signal, frame)
        for subscription in self._hearers(signal.topics):
            subscription.offer(frame)

    def standing(self, topics: Collection[str]) -> list[Frame]:
        """Return the signals that last on these topics: who is typing and looking at this moment."""
        now = asyncio.get_running_loop().time()
        found: dict[int, Frame] = {}
        for topic in topics:
            for until, frame in self._standing.get(topic, {}).values():
                if until > now:
                    found[id(frame)] = frame
        return list(found.values())

    def _hearers(self, topics: Collection[str]) -> Collection[Subscription]:
        groups = [hearers for topic in topics if (hearers := self._topics.get(topic))]
        return groups[0] if len(groups) == 1 else set().union(*groups)

    def _stand(self, topic: str, signal: Signal, frame: Frame) -> None:
        here = self._standing.get(topic, {})
        here.pop((signal.type, signal.who), None)
        if signal.on:
            if len(self._standing) >= _MOST_STANDING:
                self._sweep()
            until = asyncio.get_running_loop().time() + signal.seconds
            self._standing.setdefault(topic, here)[(signal.type, signal.who)] = (until, frame)
        elif not here:
            self._standing.pop(topic, None)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for topic, signals in list(self._standing.items()):
            if all(until <= now for until, _ in signals.values()):
                del self._standing[topic]
        if len(self._standing) >= _MOST_STANDING:  # whoever makes so many is not typing
            self._standing.clear()


def _make_room(told: dict[tuple[str, str, tuple[str, ...]], tuple[float, bool]], now: float) -> None:
    if len(told) >= _MOST_STANDING:
        for key in [key for key, (at, _) in told.items() if now - at > COALESCE]:
            del told[key]
