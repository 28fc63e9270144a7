"""Customers are found by any writing, explain themselves, and have one thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.customers import actions, queries, queries_evidence
from onethread.customers.matching import customer_born_with
from onethread.customers.model import Sighting
from onethread.customers.queries import parse_identifier
from onethread.kernel.errors import Invalid, Refused
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import BrandId, CustomerId, IdentifierId, new_id
from onethread.kernel.normal import NotAnIdentifier
from onethread.platform.db import Tx
from onethread.platform.events.log import append
from onethread.platform.events.model import EventDraft
from tests.cast import ana, bruno, noon, somchai
from tests.customers.people import AGENT, ANA, ANAS_PHONE, BROWSER, BRUNO, SOMCHAI, come, say, statement


@pytest.mark.parametrize(
    ("written", "identifier"),
    [
        ("email:Ana@Example.com", Identifier("email", "ana@example.com")),
        (" ana@example.com ", Identifier("email", "ana@example.com")),
        ("phone:081 234 5678", Identifier("phone", "+66812345678")),
        ("๐๘๑-๒๓๔-๕๖๗๘", Identifier("phone", "+66812345678")),
        ("+66 81 234 5678", Identifier("phone", "+66812345678")),
        ("external@crm:A:42", Identifier("external", "A:42", "crm")),
        ("line:U4af", Identifier("line", "U4af")),
    ],
)
def test_an_identifier_is_read_in_any_writing(written: str, identifier: Identifier) -> None:
    assert parse_identifier(written, "TH") == identifier


@pytest.mark.parametrize(("written", "refusal"), [("fax:1", Invalid), ("", Invalid), ("email:null", NotAnIdentifier)])
def test_what_is_no_identifier_is_refused(written: str, refusal: type[Invalid]) -> None:
    with pytest.raises(refusal):
        parse_identifier(written, "TH")


@given(st.one_of(st.text(), st.from_regex(r"(email|phone|line|external@?.?):.{0,9}", fullmatch=True)))
def test_whatever_is_written_is_an_identifier_or_refused(written: str) -> None:
    try:
        identifier = parse_identifier(written, "TH")
    except Refused:
        return
    at = f"@{identifier.scope}" if identifier.scope else ""
    assert parse_identifier(f"{identifier.kind}{at}:{identifier.value}", "TH") == identifier


async def test_a_customer_is_found_by_each_writing_of_a_number(tx: Tx) -> None:
    await come(tx, Identifier("phone", "+5511987654321"), Identifier("phone", "+541123456789"))
    for written in ("+55 11 98765-4321", "+55 11 8765-4321"):
        [found] = await queries.customers_with(tx, parse_identifier(written))
        assert [one.value for one in found.identifiers] == ["+5511987654321"]
    [found] = await queries.customers_with(tx, parse_identifier("+54 9 11 2345-6789"))
    assert [one.value for one in found.identifiers] == ["+541123456789"]


async def test_without_a_scope_every_scope_is_looked_in(tx: Tx) -> None:
    await come(tx, Identifier("messenger", "77", "page-1"), Identifier("messenger", "77", "page-2"))
    assert len(await queries.customers_with(tx, parse_identifier("messenger:77"))) == 2
    assert len(await queries.customers_with(tx, parse_identifier("messenger@page-2:77"))) == 1


async def test_customers_are_listed_newest_first_in_pages(tx: Tx) -> None:
    everyone = [Sighting(Identifier("line", f"U{n}"), None, None, noon + timedelta(minutes=n)) for n in range(5)]
    await actions.recognise(tx, everyone)
    first = await queries.customers(tx, before=None, limit=3)
    rest = await queries.customers(tx, before=(first[-1].created_at, first[-1].id), limit=3)
    values = [line.identifiers[0].value for line in [*first, *rest]]
    assert values == ["U4", "U3", "U2", "U1", "U0"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("lima", [ana.name]),
        ("ใจดี", [somchai.name]),
        ("BRUNO@", [bruno.name]),
        ("+66812", [somchai.name]),
        ("%", []),
        ("nobody", []),
    ],
)
async def test_customers_are_found_by_name_or_the_beginning_of_an_address(tx: Tx, words: str, names: list[str]) -> None:
    people = [(ANA, ana), (BRUNO, bruno), (SOMCHAI, somchai)]
    await actions.recognise(tx, [Sighting(i, person.name, person.locale, noon) for i, person in people])
    found = await queries.customers_like(tx, words, before=None, limit=10)
    assert [line.name for line in found] == names


async def test_an_old_id_shows_who_it_is_now(tx: Tx) -> None:
    browser, mail, phone = await come(tx, BROWSER, ANA, ANAS_PHONE)
    await say(tx, browser, phone)
    await say(tx, phone, mail)
    line = await queries.customer(tx, customer_born_with(browser))
    assert line is not None
    assert line.id == customer_born_with(mail)
    assert {one.id for one in line.identifiers} == {browser, mail, phone}
    assert await queries.current_id(tx, customer_born_with(phone)) == line.id
    assert await queries.customer(tx, CustomerId(new_id())) is None


async def test_a_customer_says_why(tx: Tx) -> None:
    browser, mail, phone = await come(tx, BROWSER, ANA, ANAS_PHONE)
    proof = statement(browser, mail, "token_link", at=noon)
    await actions.assert_evidence(tx, [proof, statement(browser, phone, "typed")])
    customer = customer_born_with(mail)
    verified = {one.id: one.verified_at for one in await queries.identifiers(tx, [customer])}
    assert verified == {browser: noon, mail: noon}
    lines = await queries_evidence.evidence_of(tx, customer)
    said = {(line.identifier_id, line.other_identifier_id): (line.reason, line.not_joined) for line in lines}
    assert said == {
        (browser, mail): ("token_link said so.", None),
        (mail, browser): ("token_link said so.", None),
        (browser, phone): ("typed said so.", "Alone it is too weak to join them."),
    }


async def test_a_suggestion_stays_until_it_is_rejected(tx: Tx) -> None:
    browser, mail = await come(tx, BROWSER, ANA)
    [typed] = (await say(tx, browser, mail, "typed")).added
    [seen_from_ana] = await queries_evidence.suggestions(tx, customer_born_with(mail), limit=10)
    [seen_from_browser] = await queries_evidence.suggestions(tx, customer_born_with(browser), limit=10)
    assert seen_from_ana.evidence_id == seen_from_browser.evidence_id == typed
    assert seen_from_browser.other_customer_id == customer_born_with(mail)
    mark = await actions.mark_not_same(tx, browser, mail, reason="Bruno.", by=AGENT, now=noon)
    await say(tx, browser, mail, "typed")
    assert await queries_evidence.suggestions(tx, customer_born_with(mail), limit=10) == []
    [line] = await queries_evidence.marks(tx, customer_born_with(mail))
    assert (line.id, line.reason) == (mark, "Bruno.")
    await actions.unmark(tx, [mark], by=AGENT, now=noon)
    assert len(await queries_evidence.suggestions(tx, customer_born_with(mail), limit=10)) == 2


async def test_what_a_limit_kept_apart_is_suggested_with_the_reason(tx: Tx) -> None:
    mail, first, second = await come(tx, ANA, Identifier("card", "1"), Identifier("card", "2"))
    await say(tx, mail, first, "agent_confirmed")
    await say(tx, mail, second)
    [suggestion] = await queries_evidence.suggestions(tx, customer_born_with(first), limit=10)
    assert suggestion.not_joined == "Together they would have more than 1 card."


# --- the thread -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    text: str


def said(text: str, identifier: IdentifierId, minutes: int, brand: BrandId | None = None) -> EventDraft:
    return EventDraft(
        Said(text), noon + timedelta(minutes=minutes), identifier_id=identifier, brand_id=brand, channel="test"
    )


async def words_of(tx: Tx, customer: CustomerId, **options: object) -> Sequence[object]:
    options = {"before": None, "limit": 50, **options}
    events = await queries.thread(tx, customer, **options)
    return [event.payload["text"] for event in events if event.type == "Said"]


async def test_the_thread_runs_through_every_identifier_newest_first(tx: Tx) -> None:
    mail, phone, others = await come(tx, ANA, ANAS_PHONE, BRUNO)
    await append(tx, [said("1", mail, 1), said("4", mail, 4), said("2", phone, 2), said("x", others, 3)])
    [joined] = (await say(tx, mail, phone)).added
    await append(tx, [said("3", phone, 3)])
    assert await words_of(tx, customer_born_with(mail)) == ["4", "3", "2", "1"]
    await actions.revoke_evidence(tx, [joined], reason="Two people.", by=AGENT, now=noon)
    assert await words_of(tx, customer_born_with(mail)) == ["4", "1"]
    assert await words_of(tx, customer_born_with(phone)) == ["3", "2"]


async def test_the_pages_of_a_thread_meet_without_gap_or_repetition(tx: Tx) -> None:
    ids = await come(tx, ANA, ANAS_PHONE, BROWSER)
    await append(tx, [said(str(n), ids[n % 3], n // 4) for n in range(40)])  # four in each minute
    await actions.assert_evidence(tx, [statement(ids[0], other, "agent_confirmed") for other in ids[1:]])
    customer = customer_born_with(ids[0])
    whole = [event.id for event in await queries.thread(tx, customer, before=None, limit=200)]
    paged: list[UUID] = []
    place: tuple[datetime, UUID] | None = None
    while page := await queries.thread(tx, customer, before=place, limit=7):
        paged += [event.id for event in page]
        place = (page[-1].occurred_at, page[-1].id)
    assert paged == whole
    assert len(whole) == 40 + len(await tx.values("SELECT id FROM platform.event WHERE type <> 'Said'"))


async def test_another_brands_part_of_the_thread_can_be_left_out(tx: Tx) -> None:
    (mail,) = await come(tx, ANA)
    shop, cafe = BrandId(new_id()), BrandId(new_id())
    await append(tx, [said("shop", mail, 1, shop), said("café", mail, 2, cafe), said("both", mail, 3)])
    assert await words_of(tx, customer_born_with(mail), brands=[shop]) == ["both", "shop"]
    assert await words_of(tx, customer_born_with(mail)) == ["both", "café", "shop"]


async def test_a_page_of_the_thread_reads_a_page_and_not_the_thread(tx: Tx) -> None:
    ids = await come(tx, ANA, ANAS_PHONE)
    await say(tx, *ids)
    await append(tx, [said(str(n), ids[n % 2], n) for n in range(4000)])
    await tx.run("ANALYZE platform.event")
    before = await _events_read(tx)
    for place in (None, (noon + timedelta(minutes=2000), new_id())):
        await queries.thread(tx, customer_born_with(ids[0]), before=place, limit=50)
    assert await _events_read(tx) - before <= 2 * len(ids) * 55


async def _events_read(tx: Tx) -> int:
    """Return how many rows of the log this transaction has read so far."""
    return int(
        await tx.value(
            """
            SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))
              FROM pg_stat_xact_user_tables
             WHERE schemaname = 'platform' AND relname LIKE 'event%'
            """
        )
    )
