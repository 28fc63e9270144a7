"""Hearers that fail: they try again, the event is parked, the others go on; a replay brings it back."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

import pytest

from onethread.kernel.clock import utc_now
from onethread.kernel.errors import NotFound
from onethread.platform.db import Database, Tx
from onethread.platform.events import log as events
from onethread.platform.events import store
from onethread.platform.events.log import Log
from onethread.platform.events.model import DeadLetter, Event, EventDraft
from onethread.platform.events.subscribers import Subscriber, Subscribers


@dataclass(frozen=True, slots=True)
class LetterPosted:
    number: int


class Illegible(Exception):
    """What a hearer says of an event it cannot take."""


@dataclass
class Clerk:
    """Writes down numbers in its transaction; `refuses` says which it cannot take at the moment."""

    refuses: Callable[[int], bool] = lambda number: False
    asked: list[list[int]] = field(default_factory=list)

    async def hear(self, tx: Tx, heard: list[Event]) -> None:
        numbers = [int(str(event.payload["number"])) for event in heard]
        self.asked.append(numbers)
        for number in numbers:
            await tx.run("INSERT INTO noted VALUES (%s)", (number,))
            if self.refuses(number):
                raise Illegible(f"number {number}")


@dataclass
class Office:
    """A log and its hearers, driven by hand."""

    database: Database
    log: Log
    subscribers: Subscribers

    async def post(self, *numbers: int) -> None:
        async with self.database.transaction() as tx:
            await events.append(tx, [EventDraft(LetterPosted(number), utc_now()) for number in numbers])
            end = await store.last_seq(tx)
        self.log.horizon = end  # nothing else is being written

    async def work(self, name: str = "clerk", *, times: int = 50) -> None:
        """Let a hearer have its turns; its pauses are over at once."""
        for _ in range(times):
            async with self.database.transaction() as tx:
                await tx.run("UPDATE platform.cursor SET retry_at = now() WHERE retry_at IS NOT NULL")
            if not await self.subscribers.step(self.subscribers.by_name[name]):
                return

    async def noted(self) -> list[int]:
        async with self.database.transaction() as tx:
            return await tx.values("SELECT number FROM noted ORDER BY place")

    async def parked(self) -> list[DeadLetter]:
        async with self.database.transaction() as tx:
            return await store.dead_letters(tx, subscriber=None, before=None, limit=50)


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


@pytest.fixture
async def office(database: Database, clerk: Clerk) -> AsyncIterator[Office]:
    async with database.transaction() as tx:
        await tx.run("CREATE TABLE noted (number int, place bigint GENERATED ALWAYS AS IDENTITY)")
    yield await open_office(database, Subscriber("clerk", clerk.hear))


async def open_office(database: Database, *hearers: Subscriber) -> Office:
    log = Log(database)
    subscribers = Subscribers(database, log, hearers)
    await subscribers.prepare()
    return Office(database, log, subscribers)


async def test_a_hearer_hears_a_batch_at_once_and_each_event_once(office: Office, clerk: Clerk) -> None:
    await office.post(1, 2, 3)
    await office.work()
    await office.work()
    assert clerk.asked == [[1, 2, 3]]
    assert await office.noted() == [1, 2, 3]


async def test_a_passing_failure_loses_nothing_and_doubles_nothing(office: Office, clerk: Clerk) -> None:
    failures = iter([True, True, True])
    clerk.refuses = lambda number: number == 3 and next(failures, False)
    await office.post(1, 2, 3, 4, 5)
    await office.work()
    assert await office.noted() == [1, 2, 3, 4, 5]
    assert await office.parked() == []


async def test_an_event_that_is_never_taken_is_parked_with_its_reason_and_the_rest_goes_on(
    office: Office, clerk: Clerk
) -> None:
    clerk.refuses = lambda number: number in {2, 4}
    await office.post(1, 2, 3, 4, 5)
    await office.work()
    assert await office.noted() == [1, 3, 5]
    letters = await office.parked()
    assert [(letter.event_type, letter.error) for letter in letters] == [
        ("LetterPosted", "Illegible: number 4"),
        ("LetterPosted", "Illegible: number 2"),
    ]
    assert [letter.attempts for letter in letters] == [5, 5]
    await office.post(6)
    await office.work()
    assert await office.noted() == [1, 3, 5, 6]


async def test_a_failing_hearer_does_not_hold_up_the_others(database: Database, office: Office, clerk: Clerk) -> None:
    other = Clerk()
    office = await open_office(database, Subscriber("clerk", clerk.hear), Subscriber("other", other.hear))
    clerk.refuses = lambda number: True
    await office.post(1, 2)
    await office.work("clerk", times=1)
    await office.work("other")
    assert other.asked == [[1, 2]]


async def test_a_failing_hearer_waits_longer_each_time(office: Office, clerk: Clerk) -> None:
    clerk.refuses = lambda number: True
    await office.post(1)
    pauses = []
    for _ in range(4):
        await office.work(times=1)
        async with office.database.transaction() as tx:
            pauses.append(
                float(await tx.value("SELECT extract(epoch FROM retry_at - now()) FROM platform.cursor")).__round__(1)
            )
    assert pauses == sorted(pauses)
    assert pauses[-1] > pauses[0]
    assert not await office.subscribers.step(office.subscribers.by_name["clerk"]), "it is not asked before its time"


async def test_a_replay_brings_a_parked_event_back_once(office: Office, clerk: Clerk) -> None:
    clerk.refuses = lambda number: number == 1
    await office.post(1, 2)
    await office.work()
    [letter] = await office.parked()
    with pytest.raises(Illegible):
        await office.subscribers.replay(letter.id)
    [again] = await office.parked()
    assert again.attempts == letter.attempts + 1
    assert await office.noted() == [2]
    clerk.refuses = lambda number: False
    await office.subscribers.replay(letter.id)
    assert await office.noted() == [2, 1]
    assert await office.parked() == []
    with pytest.raises(NotFound):
        await office.subscribers.replay(letter.id)


@pytest.mark.parametrize(("start", "hears"), [("beginning", [1, 2]), ("now", [2])])
async def test_a_new_hearer_begins_where_it_says(
    database: Database, office: Office, start: Literal["beginning", "now"], hears: list[int]
) -> None:
    await office.post(1)
    late = Clerk()
    office = await open_office(database, Subscriber("late", late.hear, start=start))
    await office.post(2)
    await office.work("late")
    assert late.asked == [hears]


async def test_a_hearer_of_some_types_passes_over_the_rest(database: Database, office: Office) -> None:
    deaf = Clerk()
    office = await open_office(database, Subscriber("deaf", deaf.hear, types=frozenset({"BellRang"})))
    await office.post(1, 2)
    await office.work("deaf")
    assert deaf.asked == []
    async with database.transaction() as tx:
        assert await tx.value("SELECT seq FROM platform.cursor WHERE name = 'deaf'") == office.log.horizon


def test_two_hearers_cannot_share_a_name(database: Database) -> None:
    with pytest.raises(ValueError, match="clerk"):
        Subscribers(database, Log(database), [Subscriber("clerk", Clerk().hear), Subscriber("clerk", Clerk().hear)])
