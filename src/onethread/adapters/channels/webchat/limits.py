"""How often a visitor or an address may do something: token buckets that forget whoever is quiet."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K")

_MOST_KEYS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second for long, and so many at once after a quiet while."""

    per_second: float
    at_once: int


class Buckets(Generic[K]):
    """One bucket per key, all of one rate. `now` is in seconds of a clock that never goes back."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def take(self, key: K, now: float) -> float:
        """Take one; return 0.0, or the seconds to wait when there is none."""
        left, at = self._buckets.pop(key, (float(self._rate.at_once), now))
        left = min(left + (now - at) * self._rate.per_second, float(self._rate.at_once))
        wait = 0.0 if left >= 1 else (1 - left) / self._rate.per_second
        self._buckets[key] = (left if wait else left - 1, now)
        if len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)  # the one longest quiet: its bucket is the fullest
        return wait


class Places(Generic[K]):
    """So many at the same time per key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[K] = Counter()

    @contextmanager
    def one(self, key: K) -> Iterator[bool]:
        """Hold a place while the block runs; False when all are taken."""
        if self._taken[key] >= self._most:
            yield False
            return
        self._taken[key] += 1
        try:
            yield True
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]


class Limits:
    """All limits of the web chat's doors, in one process."""

    def __init__(self) -> None:
        self.frames_of_visitor = Buckets[str](Rate(per_second=5, at_once=40))
        self.frames_of_address = Buckets[str](Rate(per_second=50, at_once=400))
        self.new_visitors = Buckets[str](Rate(per_second=2, at_once=60))  # an office shares one address
        self.uploads = Buckets[str](Rate(per_second=0.2, at_once=10))
        self.screens_of_visitor = Places[str](10)
        self.screens_of_address = Places[str](200)
