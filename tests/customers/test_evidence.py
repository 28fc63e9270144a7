"""Joining is believing evidence; parting is taking it back. Both are exact."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from onethread.customers import actions
from onethread.customers.matching import customer_born_with
from onethread.customers.model import EvidenceKind, Sighting
from onethread.customers.rebuild import differences
from onethread.kernel.errors import Conflict, NotFound
from onethread.kernel.identifier import Identifier
from onethread.kernel.ids import EvidenceId, IdentifierId
from onethread.platform.db import Database, Tx
from tests.cast import noon
from tests.customers.people import (
    AGENT,
    ANA,
    ANAS_PHONE,
    BROWSER,
    BRUNO,
    OTHER_BROWSER,
    SOMCHAI,
    announced,
    come,
    customer_of,
    say,
    seen,
    statement,
    unknown_id,
)


@pytest.mark.parametrize("kind", ["agent_confirmed", "verified", "same_paid_order", "token_link", "identify"])
async def test_strong_evidence_joins(tx: Tx, kind: EvidenceKind) -> None:
    mail, phone = await come(tx, ANA, ANAS_PHONE)
    result = await say(tx, mail, phone, kind)
    assert result.customer_of == {mail: customer_born_with(mail), phone: customer_born_with(mail)}
    assert await announced(tx) == ["EvidenceAdded", "CustomersMerged"]
    assert await differences(tx) == []


@pytest.mark.parametrize("kind", ["typed", "same_device"])
async def test_bruno_types_anas_address_and_is_not_ana(tx: Tx, kind: EvidenceKind) -> None:
    browser, mail = await come(tx, BROWSER, ANA)
    await say(tx, browser, mail, kind)
    assert await customer_of(tx, browser) != await customer_of(tx, mail)
    assert await announced(tx) == ["EvidenceAdded", "SuggestionMade"]


async def test_a_customer_is_called_after_the_identifier_a_company_gave(tx: Tx) -> None:
    browser, mail, number = await come(tx, BROWSER, ANA, Identifier("external", "42", "shop"))
    assert (await say(tx, browser, mail)).customer_of[browser] == customer_born_with(mail)
    await say(tx, mail, number)
    assert await customer_of(tx, browser) == customer_born_with(number)
    now = await actions.lock_customers(tx, [customer_born_with(browser), customer_born_with(mail)])
    assert set(now.values()) == {customer_born_with(number)}
    assert await differences(tx) == []


async def test_the_same_said_again_changes_nothing(tx: Tx) -> None:
    mail, phone = await come(tx, ANA, ANAS_PHONE)
    assert (await say(tx, mail, phone, ref="order-1")).added
    assert not (await say(tx, phone, mail, ref="order-1")).added
    assert await announced(tx) == ["EvidenceAdded", "CustomersMerged"]


async def test_joining_somebody_with_themselves_changes_nothing(tx: Tx) -> None:
    (mail,) = await come(tx, ANA)
    assert (await say(tx, mail, mail)).customer_of == {mail: customer_born_with(mail)}
    assert await announced(tx) == []


async def test_revoking_gives_each_side_back_its_own(tx: Tx) -> None:
    mail, phone, browser = await come(tx, ANA, ANAS_PHONE, BROWSER)
    await say(tx, phone, browser)
    before = await tx.tuples("SELECT id, customer_id FROM customers.identifier ORDER BY id")
    [joined] = (await say(tx, mail, phone)).added
    assert await customer_of(tx, browser) == customer_born_with(mail)
    await actions.revoke_evidence(tx, [joined], reason="It was her sister.", by=AGENT, now=noon)
    assert await tx.tuples("SELECT id, customer_id FROM customers.identifier ORDER BY id") == before
    assert (await announced(tx))[-2:] == ["EvidenceRevoked", "CustomerSplit"]
    assert await differences(tx) == []


async def test_what_was_revoked_stays_so_when_it_is_said_again(tx: Tx) -> None:
    mail, phone = await come(tx, ANA, ANAS_PHONE)
    [joined] = (await say(tx, mail, phone, ref="order-1")).added
    await actions.revoke_evidence(tx, [joined], reason="Wrong.", by=AGENT, now=noon)
    await actions.revoke_evidence(tx, [joined], reason="Wrong again.", by=AGENT, now=noon)
    await say(tx, mail, phone, ref="order-1")
    assert await customer_of(tx, mail) != await customer_of(tx, phone)


async def test_two_reasons_to_join_need_two_revocations(tx: Tx) -> None:
    mail, phone = await come(tx, ANA, ANAS_PHONE)
    [first] = (await say(tx, mail, phone)).added
    [second] = (await say(tx, mail, phone, "token_link")).added
    await actions.revoke_evidence(tx, [first], reason="Wrong.", by=AGENT, now=noon)
    assert await customer_of(tx, mail) == await customer_of(tx, phone)
    await actions.revoke_evidence(tx, [second], reason="Wrong.", by=AGENT, now=noon)
    assert await customer_of(tx, mail) != await customer_of(tx, phone)


async def test_a_mark_keeps_apart_until_it_is_lifted(tx: Tx) -> None:
    mail, phone, browser = await come(tx, ANA, ANAS_PHONE, BROWSER)
    await say(tx, mail, browser)
    await say(tx, browser, phone, "token_link")
    assert await customer_of(tx, mail) == await customer_of(tx, phone)
    mark = await actions.mark_not_same(tx, mail, phone, reason="Mother and daughter.", by=AGENT, now=noon)
    assert await actions.mark_not_same(tx, phone, mail, reason="Said twice.", by=AGENT, now=noon) == mark
    assert await customer_of(tx, mail) != await customer_of(tx, phone)
    assert await customer_of(tx, mail) == await customer_of(tx, browser)
    assert await differences(tx) == []
    await actions.unmark(tx, [mark], by=AGENT, now=noon)
    await actions.unmark(tx, [mark], by=AGENT, now=noon)
    assert await customer_of(tx, mail) == await customer_of(tx, phone)
    assert await differences(tx) == []


async def test_one_person_has_one_loyalty_card(tx: Tx) -> None:
    mail, first, second = await come(tx, ANA, Identifier("card", "111"), Identifier("card", "222"))
    await say(tx, mail, first, "agent_confirmed")
    [refused] = (await say(tx, mail, second)).added
    assert await customer_of(tx, second) == customer_born_with(second)
    why = await tx.value("SELECT suppressed FROM customers.evidence WHERE id = %s", (refused,))
    assert why == "Together they would have more than 1 card."


async def test_a_family_phone_joins_nobody_once_it_is_known_to_be_one(tx: Tx) -> None:
    family = [Identifier("email", f"member{n}@example.com") for n in range(6)]
    phone, *mails = await come(tx, SOMCHAI, *family)
    for n, mail in enumerate(mails, start=1):
        [last] = (await say(tx, phone, mail)).added
        together = {await customer_of(tx, id_) for id_ in (phone, *mails[:n])}
        assert len(together) == (1 if n <= 5 else 7)
        assert await differences(tx) == []
    await actions.revoke_evidence(tx, [last], reason="A mistake.", by=AGENT, now=noon)
    assert len({await customer_of(tx, id_) for id_ in (phone, *mails[:5])}) == 1
    assert await differences(tx) == []


async def test_a_value_the_company_blocks_joins_nobody(tx: Tx) -> None:
    till = Identifier("external", "Walk-In", "till")
    nobody, mail, phone = await come(tx, till, ANA, ANAS_PHONE)
    await actions.assert_evidence(tx, [statement(nobody, mail), statement(nobody, phone)])
    assert await customer_of(tx, mail) == await customer_of(tx, phone)
    await actions.block_value(tx, "external", "walk-in", reason="Whoever pays cash.", by=AGENT, now=noon)
    assert len({await customer_of(tx, id_) for id_ in (nobody, mail, phone)}) == 3
    assert await differences(tx) == []
    new = Identifier("external", "WALK-IN", "other till")
    assert (await seen(tx, new))[new].blocked
    await actions.unblock_value(tx, "external", "walk-in", by=AGENT, now=noon)
    assert await customer_of(tx, mail) == await customer_of(tx, phone)
    assert not (await seen(tx, new))[new].blocked
    assert await differences(tx) == []


async def test_six_channels_of_one_person_are_not_a_crowd(tx: Tx) -> None:
    channels = [Identifier(kind, "7", "us") for kind in ("line", "messenger", "whatsapp", "telegram", "instagram")]
    number, *others = await come(tx, Identifier("external", "42", "shop"), ANA, ANAS_PHONE, *channels)
    await actions.assert_evidence(tx, [statement(number, other) for other in others])
    assert {await customer_of(tx, other) for other in others} == {customer_born_with(number)}


async def test_the_newest_name_goes_to_whoever_has_it_now(tx: Tx) -> None:
    known = await actions.recognise(
        tx, [Sighting(ANA, "Ana Lima", "pt", noon), Sighting(ANAS_PHONE, "Mum", None, noon.replace(hour=13))]
    )
    mail, phone = known[ANA].identifier_id, known[ANAS_PHONE].identifier_id
    [joined] = (await say(tx, mail, phone)).added
    name = "SELECT name, locale FROM customers.customer WHERE id = %s"
    assert await tx.tuples(name, (customer_born_with(mail),)) == [("Mum", "pt")]
    await actions.revoke_evidence(tx, [joined], reason="Wrong.", by=AGENT, now=noon)
    assert await tx.tuples(name, (customer_born_with(mail),)) == [("Ana Lima", "pt")]
    assert await tx.tuples(name, (customer_born_with(phone),)) == [("Mum", None)]


async def test_the_log_of_merges_says_why_and_who(tx: Tx) -> None:
    mail, phone = await come(tx, ANA, ANAS_PHONE)
    draft = replace(statement(mail, phone, "agent_confirmed"), by=AGENT, reason="She told me on the phone.")
    await actions.assert_evidence(tx, [draft])
    rows = await tx.tuples("SELECT act, before, after, cause, causes, actor FROM customers.merge_log")
    before = sorted([customer_born_with(mail), customer_born_with(phone)])
    assert rows == [
        ("merged", before, [customer_born_with(mail)], "She told me on the phone.", [draft.id], f"agent:{AGENT.id}")
    ]


async def test_what_is_not_there_is_refused(tx: Tx) -> None:
    (mail,) = await come(tx, ANA)
    nobody = IdentifierId(unknown_id())
    with pytest.raises(NotFound):
        await say(tx, mail, nobody)
    with pytest.raises(NotFound):
        await actions.mark_not_same(tx, mail, nobody, reason="?", by=AGENT, now=noon)
    with pytest.raises(Conflict):
        await actions.mark_not_same(tx, mail, mail, reason="?", by=AGENT, now=noon)
    with pytest.raises(NotFound):
        await actions.unmark(tx, [unknown_id()], by=AGENT, now=noon)
    with pytest.raises(NotFound):
        await actions.unblock_value(tx, "email", "nobody@example.com", by=AGENT, now=noon)
    with pytest.raises(NotFound):
        await actions.revoke_evidence(tx, [EvidenceId(unknown_id())], reason="?", by=AGENT, now=noon)


# --- browsers several people use ------------------------------------------------------------------


async def test_who_signs_in_first_keeps_what_was_done_before(tx: Tx) -> None:
    browser, mail = await come(tx, BROWSER, ANA)
    result = await say(tx, browser, mail, "identify")
    assert result.epoch_of == {}
    assert result.customer_of[browser] == customer_born_with(mail)


async def test_the_next_person_on_a_browser_starts_afresh(tx: Tx) -> None:
    browser, anas, brunos = await come(tx, BROWSER, ANA, BRUNO)
    await say(tx, browser, anas)
    result = await say(tx, browser, brunos)
    assert await customer_of(tx, browser) == customer_born_with(anas)
    assert result.customer_of[result.epoch_of[browser]] == customer_born_with(brunos)
    again = (await seen(tx, BROWSER))[BROWSER]
    assert (again.identifier_id, again.epoch) == (result.epoch_of[browser], 1)
    back = await say(tx, again.identifier_id, anas)
    assert back.customer_of[back.epoch_of[again.identifier_id]] == customer_born_with(anas)
    assert await differences(tx) == []


async def test_the_same_sign_in_told_late_opens_nothing(tx: Tx) -> None:
    browser, anas, brunos = await come(tx, BROWSER, ANA, BRUNO)
    await say(tx, browser, anas, ref="session-1")
    newest = (await say(tx, browser, brunos, ref="session-2")).epoch_of[browser]
    late = await say(tx, newest, anas, ref="session-1")
    assert not late.added
    assert (await seen(tx, BROWSER))[BROWSER].identifier_id == newest


async def test_more_proof_of_the_same_person_stays_in_the_epoch(tx: Tx) -> None:
    browser, mail, phone, number = await come(tx, BROWSER, ANA, ANAS_PHONE, Identifier("external", "42", "shop"))
    await actions.assert_evidence(tx, [statement(browser, number, "identify"), statement(mail, number, "identify")])
    assert (await say(tx, browser, mail)).epoch_of == {}
    # A channel proved by a token says who holds the browser; it is no sign-in.
    assert (await say(tx, browser, phone, "token_link")).epoch_of == {}
    assert len({await customer_of(tx, id_) for id_ in (browser, mail, phone, number)}) == 1


async def test_two_sign_ins_in_one_set_are_told_apart(tx: Tx) -> None:
    browser, anas, brunos = await come(tx, BROWSER, ANA, BRUNO)
    result = await actions.assert_evidence(tx, [statement(browser, anas), statement(browser, brunos)])
    assert result.customer_of[browser] == customer_born_with(anas)
    assert result.customer_of[result.epoch_of[browser]] == customer_born_with(brunos)


async def test_signing_out_begins_an_epoch(tx: Tx) -> None:
    browser, mail = await come(tx, BROWSER, ANA)
    await say(tx, browser, mail)
    fresh = await actions.open_epoch(tx, browser, at=noon)
    assert (await seen(tx, BROWSER))[BROWSER].identifier_id == fresh
    assert await customer_of(tx, fresh) == customer_born_with(fresh)


# --- at the same time -----------------------------------------------------------------------------


async def test_a_chain_told_link_by_link_at_once_is_one_customer(database: Database) -> None:
    people = [Identifier("email", f"p{n}@example.com") for n in range(12)]
    async with database.transaction() as tx:
        ids = await come(tx, *people)

    async def tell(a: IdentifierId, b: IdentifierId) -> None:
        async with database.transaction() as tx:
            await say(tx, a, b)

    await asyncio.gather(*(tell(a, b) for a, b in itertools.pairwise(ids)))
    async with database.transaction() as tx:
        assert len({await customer_of(tx, id_) for id_ in ids}) == 1
        assert await differences(tx) == []


async def test_two_people_signing_in_at_once_on_one_browser_stay_two(database: Database) -> None:
    async with database.transaction() as tx:
        browser, anas, brunos = await come(tx, BROWSER, ANA, BRUNO)

    async def sign_in(person: IdentifierId) -> None:
        async with database.transaction() as tx:
            await say(tx, browser, person)

    await asyncio.gather(sign_in(anas), sign_in(brunos))
    async with database.transaction() as tx:
        assert await customer_of(tx, anas) != await customer_of(tx, brunos)
        assert await tx.value("SELECT max(epoch) FROM customers.identifier") == 1
        assert await differences(tx) == []


async def test_a_customer_superseded_while_waiting_is_held_as_the_new_one(database: Database) -> None:
    async with database.transaction() as tx:
        mail, browser = await come(tx, ANA, OTHER_BROWSER)
        old = await customer_of(tx, browser)
    started = asyncio.Event()

    async def hold() -> object:
        async with database.transaction() as tx:
            started.set()
            return await actions.lock_customers(tx, [old])

    async with database.transaction() as tx:
        await say(tx, mail, browser)
        waiting = asyncio.create_task(hold())
        await started.wait()
    assert await waiting == {old: customer_born_with(mail)}
