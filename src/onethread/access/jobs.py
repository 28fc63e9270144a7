"""Doors nobody knocks at: posting our letters, forgetting what has ended."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from onethread.access.actions.letters import opened
from onethread.access.store import records, sessions
from onethread.access.store.records import WaitingLetter
from onethread.kernel.errors import Unavailable
from onethread.platform.db import Database
from onethread.platform.postman import NotPosted, Postman
from onethread.platform.secrets import Secrets, Undecipherable

log = structlog.get_logger(__name__)

_BATCH: Final = 10
_ATTEMPTS: Final = 8
_KEPT: Final = timedelta(days=30)


async def post_letters(database: Database, secrets: Secrets, postman: Postman | None, *, now: datetime) -> int:
    """Post the letters that are due and return how many left; without a postman they are given up.

    Claimed in one transaction, sent outside any, marked in another: a crash between sends one twice
    rather than never.
    """
    async with database.transaction() as tx:
        letters = await records.claim_letters(tx, now=now, limit=_BATCH)
    posted = 0
    for letter in letters:
        posted += await _post(database, secrets, postman, letter, now)
    return posted


async def keep_posting(
    database: Database,
    secrets: Secrets,
    postman: Postman | None,
    *,
    clock: Callable[[], datetime],
    every: float = 2.0,
) -> None:
    """Post letters until cancelled, looking every so many seconds; outlives the database's absence."""
    while True:
        try:
            await post_letters(database, secrets, postman, now=clock())
        except Unavailable:
            log.warning("mail.database_unavailable")
        await asyncio.sleep(every)


async def forget_ended(database: Database, *, now: datetime) -> None:
    """Forget what ended: sessions and letters after a month, attempts after a day; for a nightly job."""
    async with database.transaction() as tx:
        await sessions.delete_ended(tx, now=now, before=now - _KEPT)


async def _post(
    database: Database, secrets: Secrets, postman: Postman | None, waiting: WaitingLetter, now: datetime
) -> bool:
    if postman is None:
        log.warning("mail.not_configured", letter=str(waiting.id))
        return await _give_up(database, waiting, "mail is not configured", now)
    try:
        letter = opened(secrets, waiting.sealed)
        await postman.send(waiting.address, letter.subject, letter.text, letter.html)
    except Undecipherable as lost:
        return await _give_up(database, waiting, str(lost), now)
    except NotPosted as refused:
        if refused.for_good or waiting.attempts >= _ATTEMPTS:
            return await _give_up(database, waiting, str(refused), now)
        async with database.transaction() as tx:
            await records.put_off(tx, waiting.id, str(refused), until=now + _pause(waiting.attempts))
        log.warning("mail.put_off", letter=str(waiting.id), attempts=waiting.attempts)
        return False
    async with database.transaction() as tx:
        await records.mark_posted(tx, waiting.id, now=now)
    log.info("mail.posted", letter=str(waiting.id))
    return True


async def _give_up(database: Database, waiting: WaitingLetter, why: str, now: datetime) -> bool:
    async with database.transaction() as tx:
        await records.mark_failed(tx, waiting.id, why, now=now)
    log.warning("mail.given_up", letter=str(waiting.id), attempts=waiting.attempts)
    return False


def _pause(attempts: int) -> timedelta:
    """Return how long to wait after the n-th attempt: half a minute, doubling up to an hour."""
    return min(timedelta(seconds=30 << (attempts - 1)), timedelta(hours=1))
