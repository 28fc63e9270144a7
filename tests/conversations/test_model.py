"""The decisions of the room, as laws."""

from datetime import timedelta
from random import Random
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.channels.contract import (
    Capabilities,
    Choice,
    Content,
    Declaration,
    Location,
    Media,
    id_of_reference,
    reference_of,
)
from onethread.channels.model import LANES, lane_of
from onethread.conversations.model import (
    Address,
    Candidate,
    CannotSend,
    Continue,
    DeliveryStatus,
    OpenNew,
    choose_conversation,
    climbs,
    decide_send,
    next_pause,
    pack,
    preview_of,
    reach,
    read_reply_token,
    reply_token,
    unpack,
)
from onethread.kernel.errors import Invalid
from onethread.kernel.ids import AccountId, BrandId, ConversationId, IdentifierId
from tests.cast import noon

BRAND, OTHER = BrandId(UUID(int=1)), BrandId(UUID(int=2))
KEY = b"k" * 32
STATUSES = get_args(DeliveryStatus)

ids = st.integers(min_value=1, max_value=2**128 - 1).map(lambda value: ConversationId(UUID(int=value)))
hours = st.integers(min_value=0, max_value=24 * 60).map(lambda value: noon - timedelta(hours=value))


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    status = draw(st.sampled_from(["open", "snoozed", "closed"]))
    said = draw(hours)
    closed_at = min(noon, said + timedelta(hours=1)) if status == "closed" else None
    return Candidate(draw(ids), draw(st.sampled_from([BRAND, OTHER])), status, closed_at, said)


@given(st.lists(candidates(), max_size=6, unique_by=lambda one: one.id), st.booleans(), st.data())
def test_a_message_answers_before_it_continues_and_continues_before_it_opens(
    there: list[Candidate], automatic: bool, data: st.DataObject
) -> None:
    answered = data.draw(st.sampled_from([None, *(one.id for one in there)]))
    reopen = timedelta(days=14)
    chosen = choose_conversation(there, brand_id=BRAND, answered=answered, automatic=automatic, reopen=reopen, now=noon)
    here = [one for one in there if one.brand_id == BRAND]
    if isinstance(chosen, Continue):
        into = next(one for one in there if one.id == chosen.conversation_id)
        assert answered is None or into.id == answered
        assert chosen.wakes == (into.status != "open" and not automatic)
        if answered is None:
            assert into.brand_id == BRAND
            if into.status == "closed":
                assert all(one.status == "closed" for one in here)
                assert into.closed_at is not None
                assert into.closed_at > noon - reopen
    else:
        assert answered is None
        assert all(one.status == "closed" and one.closed_at <= noon - reopen for one in here if one.closed_at)
        assert all(one.status == "closed" for one in here)
        assert isinstance(chosen, OpenNew)
        assert chosen.closed == automatic


@given(st.lists(candidates(), max_size=6, unique_by=lambda one: one.id), st.randoms())
def test_the_order_of_candidates_does_not_matter(there: list[Candidate], random: Random) -> None:
    shuffled = list(there)
    random.shuffle(shuffled)
    chosen = [
        choose_conversation(some, brand_id=BRAND, answered=None, automatic=False, reopen=timedelta(days=14), now=noon)
        for some in (there, shuffled)
    ]
    assert chosen[0] == chosen[1]


@given(st.lists(st.sampled_from(STATUSES), max_size=8))
def test_a_status_never_comes_back_down(news: list[DeliveryStatus]) -> None:
    status: DeliveryStatus = "queued"
    best = 0
    order = ["queued", "sending", "unknown", "sent", "delivered", "read"]
    for new in news:
        if climbs(status, new):
            status = new
        if status in order:
            assert order.index(status) >= best
            best = order.index(status)


@given(ids, st.emails(), st.emails())
def test_a_reply_token_opens_only_for_the_address_it_was_given_to(id_: ConversationId, to: str, other: str) -> None:
    token = reply_token(KEY, id_, to)
    assert token.isalnum()
    assert len(token) == 42
    assert read_reply_token(KEY, token, to) == id_
    assert read_reply_token(KEY, token.upper(), to.upper()) == id_
    if other.casefold() != to.casefold():
        assert read_reply_token(KEY, token, other) is None
    assert read_reply_token(b"another key", token, to) is None


@given(st.text(max_size=60))
def test_any_text_is_a_token_or_none(text: str) -> None:
    assert read_reply_token(KEY, text, "ana@example.com") is None
    assert id_of_reference(text) is None or len(text) == 26


@given(ids)
def test_a_reference_leads_back_to_its_id(id_: ConversationId) -> None:
    assert id_of_reference(reference_of(id_)) == id_


words = st.text(max_size=40)
contents = st.builds(
    Content,
    text=words,
    html=st.none() | words,
    subject=st.none() | words,
    media=st.lists(st.builds(Media, ref=words, name=words, media_type=words, size=st.none() | st.integers(0, 9))).map(
        tuple
    ),
    location=st.none() | st.builds(Location, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180), title=words),
    choices=st.lists(st.builds(Choice, label=words, value=words), max_size=3).map(tuple),
    chosen=st.none() | words,
    quoted=st.none() | words,
)


@given(contents)
def test_a_content_comes_back_as_it_was_packed(content: Content) -> None:
    assert unpack(pack(content)) == content
    assert len(preview_of(content)) <= 160


@given(st.text())
def test_every_sender_has_one_lane(sender: str) -> None:
    assert lane_of(sender) == lane_of(sender)
    assert 0 <= lane_of(sender) < LANES


def _declared(**more: object) -> Declaration:
    capabilities = Capabilities(
        says=frozenset({"text", "media"}),
        hears=frozenset({"text"}),
        max_text=10,
        max_media=100,
        confirms="sent",
        idempotent=False,
        per_second=1.0,
        **more,  # type: ignore[arg-type]
    )
    return Declaration("can", "Tin can", ("custom",), (), capabilities, "L1")


def _address(**more: object) -> Address:
    return Address(IdentifierId(UUID(int=3)), "custom:ana", AccountId(UUID(int=4)), "can", noon, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Content(text="far too long for it"), "takes 10 characters at the most; this has 19"),
        (Content(location=Location(1, 2)), "cannot carry: location"),
        (Content(media=(Media("file:x", "big.pdf", "application/pdf", 101),)), "big.pdf is larger"),
    ],
)
def test_what_cannot_be_carried_is_refused_in_words(content: Content, said: str) -> None:
    declaration = _declared()
    with pytest.raises(CannotSend, match=said):
        decide_send(content, reach(_address(), declaration.capabilities, noon), declaration)


def test_nothing_at_all_is_not_a_message() -> None:
    declaration = _declared()
    with pytest.raises(Invalid):
        decide_send(Content(text="  "), reach(_address(), declaration.capabilities, noon), declaration)


def test_a_closed_window_says_so_before_anybody_types() -> None:
    day = _declared(window_hours=24).capabilities
    assert reach(_address(), day, noon + timedelta(hours=23)).open
    assert reach(_address(), day, noon + timedelta(hours=25)).why == (
        "The customer has not written here in the last 24 hours."
    )
    assert reach(_address(suppressed="They wrote STOP."), day, noon).why == "They wrote STOP."


def test_retries_get_slower_and_end() -> None:
    pauses = [next_pause(attempts, 0.0) for attempts in range(1, 10)]
    known = [pause for pause in pauses if pause is not None]
    assert known == sorted(known)
    assert pauses[-1] is None
    assert next_pause(1, 90.0) == 90.0
