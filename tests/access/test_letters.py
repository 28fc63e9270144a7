"""Our own letters: their words, and their way from the outbox to the post."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from onethread.access.actions.letters import write_letter
from onethread.access.jobs import forget_ended, post_letters
from onethread.access.letters import LetterKind, written
from onethread.access.store import records
from onethread.platform.db import Database
from onethread.platform.postman import NotPosted
from onethread.platform.secrets import Secrets, new_key
from tests.cast import ana, everybody, maryam, noon

LINK = "https://shop.example/join#abc?x=1&y=2"


@dataclass(slots=True)
class Bag:
    """A postman who keeps what he is given, or refuses it."""

    refusing: NotPosted | None = None
    letters: list[tuple[str, str, str, str]] = field(default_factory=list)

    async def send(self, to: str, subject: str, text: str, html: str) -> None:
        if self.refusing:
            raise self.refusing
        self.letters.append((to, subject, text, html))


@pytest.mark.parametrize("kind", ["invitation", "password_reset", "password_changed"])
@pytest.mark.parametrize("locale", ["en", "th-TH", "fa", "ja", "de"])
def test_every_letter_is_written_in_every_language(kind: LetterKind, locale: str) -> None:
    link = None if kind == "password_changed" else LINK
    letter = written(kind, address=ana.email, name="Ana", organisation="Corner Shop", locale=locale, link=link)
    assert letter.subject.strip()
    assert "{" not in letter.subject + letter.text
    assert "Ana" in letter.text
    assert (LINK in letter.text) == (link is not None)
    assert ('dir="rtl"' in letter.html) == (locale == "fa")


def test_languages_differ() -> None:
    subjects = {
        written("password_reset", address="", name="", organisation="", locale=one.locale, link=None).subject
        for one in everybody
    }
    assert len(subjects) == 4


def test_names_are_text_not_markup_and_not_patterns() -> None:
    letter = written(
        "invitation", address="", name="<b>{link}</b>", organisation="A\r\nBcc: eve", locale="en", link=LINK
    )
    assert "<b>" not in letter.html
    assert "&lt;b&gt;{link}" in letter.html
    assert "\n" not in letter.subject
    assert "\r" not in letter.subject
    assert "abc?x=1&amp;y=2" in letter.html


async def _write(database: Database, secrets: Secrets) -> None:
    async with database.transaction() as tx:
        await write_letter(
            tx, secrets, "invitation", address=maryam.email, name=maryam.name, locale="fa", link=LINK, now=noon
        )


async def _state(database: Database) -> tuple[object, ...]:
    async with database.transaction() as tx:
        rows = await tx.tuples(
            """
            SELECT posted_at IS NOT NULL, failed_at IS NOT NULL, sealed IS NULL, attempts, error FROM access.letter
            """
        )
    return rows[0]


async def test_a_letter_is_posted_once_and_forgotten(database: Database, secrets: Secrets) -> None:
    await _write(database, secrets)
    bag = Bag()
    assert await post_letters(database, secrets, bag, now=noon) == 1
    assert await post_letters(database, secrets, bag, now=noon + timedelta(hours=1)) == 0
    to, subject, text, _ = bag.letters[0]
    assert (to, subject) == (maryam.email, "دعوت به Onethread در Onethread")
    assert LINK in text
    assert await _state(database) == (True, False, True, 1, None)


async def test_a_busy_server_is_tried_again(database: Database, secrets: Secrets) -> None:
    await _write(database, secrets)
    busy = Bag(NotPosted("451 later", for_good=False))
    assert await post_letters(database, secrets, busy, now=noon) == 0
    assert await post_letters(database, secrets, Bag(), now=noon + timedelta(seconds=29)) == 0
    assert await post_letters(database, secrets, Bag(), now=noon + timedelta(seconds=30)) == 1


async def test_nobody_is_tried_for_ever(database: Database, secrets: Secrets) -> None:
    await _write(database, secrets)
    busy = Bag(NotPosted("451 later", for_good=False))
    for hours in range(12):
        await post_letters(database, secrets, busy, now=noon + timedelta(hours=hours))
    assert await _state(database) == (False, True, True, 8, "451 later")


async def test_a_refusal_for_good_is_one(database: Database, secrets: Secrets) -> None:
    await _write(database, secrets)
    await post_letters(database, secrets, Bag(NotPosted("550 no such user", for_good=True)), now=noon)
    assert await _state(database) == (False, True, True, 1, "550 no such user")


async def test_without_a_postman_the_letter_is_given_up_and_its_link_forgotten(
    database: Database, secrets: Secrets
) -> None:
    await _write(database, secrets)
    await post_letters(database, secrets, None, now=noon)
    assert await _state(database) == (False, True, True, 1, "mail is not configured")


async def test_a_letter_nobody_can_open_does_not_hold_up_the_next(database: Database, secrets: Secrets) -> None:
    await _write(database, Secrets.from_text(new_key()))
    await _write(database, secrets)
    bag = Bag()
    assert await post_letters(database, secrets, bag, now=noon) == 1


async def test_two_posters_do_not_take_the_same_letter(database: Database, secrets: Secrets) -> None:
    await _write(database, secrets)
    bag = Bag()
    async with database.transaction() as tx:
        await tx.run("SELECT id FROM access.letter FOR UPDATE")
        assert await post_letters(database, secrets, bag, now=noon) == 0
    assert await post_letters(database, secrets, bag, now=noon) == 1


async def test_a_poster_that_died_is_followed_by_another(database: Database, secrets: Secrets) -> None:
    await _write(database, secrets)
    async with database.transaction() as tx:
        assert len(await records.claim_letters(tx, now=noon, limit=10)) == 1
    assert await post_letters(database, secrets, Bag(), now=noon + timedelta(minutes=4)) == 0
    assert await post_letters(database, secrets, Bag(), now=noon + timedelta(minutes=5)) == 1


async def test_posted_letters_are_cleared_away(database: Database, secrets: Secrets) -> None:
    await _write(database, secrets)
    await post_letters(database, secrets, Bag(), now=noon)
    await forget_ended(database, now=noon + timedelta(days=29))
    await _state(database)
    await forget_ended(database, now=noon + timedelta(days=31))
    async with database.transaction() as tx:
        assert await tx.value("SELECT count(*) FROM access.letter") == 0
