from onethread.app import housekeeping
from onethread.kernel.clock import utc_now
from onethread.platform.db import Database
from onethread.platform.jobs import Jobs


async def test_there_is_room_for_the_events_of_the_coming_months(database: Database) -> None:
    await housekeeping.make_room(database)
    async with database.transaction() as tx:
        months = await tx.value(
            """
            SELECT count(*)
              FROM pg_inherits
             WHERE inhparent = 'platform.event'::regclass
               AND inhrelid::regclass::text ~ '^platform.event_[0-9]{4}_[0-9]{2}$'
            """
        )
    assert months >= 4


async def test_forgetting_twice_is_the_same_as_once(database: Database) -> None:
    await housekeeping.forget(database, now=utc_now())
    await housekeeping.forget(database, now=utc_now())


def test_everything_is_on_the_timetable(database: Database) -> None:
    jobs = Jobs(database.conninfo)
    housekeeping.schedule(jobs, database, utc_now)
    assert {"house.make_room", "house.forget"} <= jobs.names
