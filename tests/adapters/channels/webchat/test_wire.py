"""What frames mean, and what is refused by which name."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.adapters.channels.webchat.wire import frames
from onethread.adapters.channels.webchat.wire.identity import identity_hash
from onethread.adapters.channels.webchat.wire.reading import FROM_SCREEN, receipt_of
from onethread.adapters.channels.webchat.wire.replies import Reply, read_place, refused, written
from onethread.channels.contract import (
    Came,
    Claim,
    EditCame,
    Handle,
    KnownAs,
    Location,
    MessageCame,
    ReactionCame,
    Receipt,
    StatusCame,
    Unreadable,
    UnsendCame,
    reference_of,
)
from onethread.kernel.errors import Malformed
from tests.adapters.channels.webchat.payloads import (
    IDENTIFY_SECRET,
    account,
    anas_browser,
    brunos_browser,
    channel,
    event,
    frame,
    photo,
    signed,
)
from tests.cast import ana, noon

OURS = UUID("018f3a00-0000-7000-8000-0000000000aa")


def from_screen(framed: dict[str, Any], visitor: UUID = anas_browser) -> Came:
    draft = receipt_of(visitor, str(framed["id"]), json.dumps(framed).encode())
    (came,) = channel().parse(Receipt(draft.external_id, draft.sender, draft.body, draft.form, noon), account)
    return came


def from_company(framed: dict[str, Any]) -> Came:
    (draft,) = channel().split(signed(event(anas_browser, framed)), account)
    (came,) = channel().parse(Receipt(draft.external_id, draft.sender, draft.body, draft.form, noon), account)
    return came


def why(framed: dict[str, Any]) -> str:
    with pytest.raises(Unreadable) as refusal:
        from_screen(framed)
    return refusal.value.detail


ME = Handle("visitor", str(anas_browser), scope=str(account.id))


def test_a_message_with_everything() -> None:
    body = {
        "text": "These?",
        "files": [photo(anas_browser)],
        "location": {"latitude": 13.75, "longitude": 100.5, "title": "บ้าน"},
        "answers": str(OURS),
        "name": "Ana",
        "locale": "en",
    }
    came = from_screen(frame("message", "m1", **body))
    assert isinstance(came, MessageCame)
    assert came.external_id == f"{anas_browser}:m1"
    assert came.sender == replace(ME, name="Ana", locale="en")
    assert came.content.text == "These?"
    assert came.content.media[0].media_type == "image/jpeg"
    assert came.content.location == Location(13.75, 100.5, "บ้าน")
    assert came.answers == (reference_of(OURS),)
    assert came.trust == "unverified"


def test_a_message_written_offline_keeps_its_time_and_no_clock_rules_the_future() -> None:
    for ts, at in (
        (noon - timedelta(hours=2), noon - timedelta(hours=2)),
        (noon + timedelta(hours=2), noon),
        (noon - timedelta(days=30), noon),
    ):
        came = from_screen(frame("message", text="Hello") | {"ts": ts.isoformat()})
        assert isinstance(came, MessageCame)
        assert came.at == at


def test_a_choice_is_readable_alone() -> None:
    came = from_screen(frame("message", chosen="track my order"))
    assert isinstance(came, MessageCame)
    assert (came.content.text, came.content.chosen) == ("track my order", "track my order")


def test_status_reaction_edit_and_unsend() -> None:
    assert from_screen(frame("read", messages=[str(OURS)])) == StatusCame("read", noon, external_id=reference_of(OURS))
    assert from_screen(frame("delivered", messages=[str(OURS)])) == StatusCame(
        "delivered", noon, external_id=reference_of(OURS)
    )
    assert from_screen(frame("reaction", message=str(OURS), emoji="👍")) == ReactionCame(
        ME, reference_of(OURS), "👍", noon
    )
    assert from_screen(frame("reaction", own="m1", emoji=None)) == ReactionCame(ME, f"{anas_browser}:m1", None, noon)
    edited = from_screen(frame("edit", own="m1", text="Hello"))
    assert isinstance(edited, EditCame)
    assert (edited.target, edited.content.text) == (f"{anas_browser}:m1", "Hello")
    assert from_screen(frame("unsend", own="m1")) == UnsendCame(ME, f"{anas_browser}:m1", noon)


# ---------------------------------------------------------------- who somebody is


def claims(came: Came) -> dict[str, str]:
    assert isinstance(came, KnownAs)
    return {f"{claim.handle.kind}:{claim.handle.value}": claim.kind for claim in came.claims}


def user(**facts: object) -> dict[str, str]:
    text = json.dumps({"user_id": "u-1", **facts}, ensure_ascii=False)
    return {"user": text, "hash": identity_hash(IDENTIFY_SECRET, text)}


def test_what_the_site_signed_is_identified() -> None:
    came = from_screen(frame("identify", **user(email=ana.email, phone=ana.phone, name="Ana Lima")))
    assert claims(came) == {
        "external:u-1": "identify",
        f"email:{ana.email}": "identify",
        f"phone:{ana.phone}": "identify",
    }
    assert isinstance(came, KnownAs)
    assert came.sender.name == "Ana Lima"
    assert came.claims[0].handle.scope == str(account.brand_id)


def test_only_the_user_id_is_proved_when_only_it_is_signed() -> None:
    hash_ = identity_hash(IDENTIFY_SECRET, "u-1")
    came = from_screen(frame("identify", user_id="u-1", hash=hash_, email=ana.email))
    assert claims(came) == {"external:u-1": "identify", f"email:{ana.email}": "typed"}


def test_what_is_typed_proves_nothing() -> None:
    came = from_screen(frame("form", email=ana.email, name="Bruno"))
    assert claims(came) == {f"email:{ana.email}": "typed"}
    assert isinstance(came, KnownAs)
    assert isinstance(came.claims[0], Claim)


def test_a_request_the_company_signed_needs_no_hash() -> None:
    came = from_company(frame("identify", user_id="u-1", email=ana.email))
    assert claims(came) == {"external:u-1": "identify", f"email:{ana.email}": "identify"}


def test_a_wrong_hash_is_wrong_even_in_a_signed_request() -> None:
    with pytest.raises(Unreadable, match="hash does not fit"):
        from_company(frame("identify", user_id="u-1", hash="0" * 64))


def test_a_signed_user_may_expire() -> None:
    good = user(exp=noon.timestamp() + 60)
    assert claims(from_screen(frame("identify", **good))) == {"external:u-1": "identify"}
    assert "exp has passed" in why(frame("identify", **user(exp=noon.timestamp() - 1)))


def test_every_identification_without_proof_is_refused() -> None:
    good = user(email=ana.email)
    assert "hash" in why(frame("identify", user=good["user"]))
    assert "hash does not fit" in why(frame("identify", user=good["user"] + " ", hash=good["hash"]))
    assert "hash does not fit" in why(frame("identify", user_id="u-2", hash=identity_hash(IDENTIFY_SECRET, "u-1")))
    assert "hash" in why(frame("identify", user=good["user"], hash=good["hash"][:-1]))
    assert "hash" in why(frame("identify", user=good["user"], hash=""))
    assert "user" in why(frame("identify", hash=good["hash"]))


def test_an_account_without_a_secret_identifies_nobody() -> None:
    body = json.dumps(event(anas_browser, frame("identify", **user()))).encode()
    bare = replace(account, settings={})
    with pytest.raises(Unreadable, match="no identify secret"):
        channel().parse(Receipt("1", "visitor:1", body, FROM_SCREEN, noon), bare)


# ---------------------------------------------------------------- refusals name the field


@pytest.mark.parametrize(
    ("framed", "field"),
    [
        (frame("message", text=5), "body.text"),
        (frame("message", text="a" * 10_001), "body.text"),
        (frame("message", text="  "), "body.text"),
        (frame("message", text="a\0b"), "null"),
        (frame("message", text="a", name="\0"), "null"),
        (frame("message", text="a", location={"latitude": 91, "longitude": 0}), "body.location.latitude"),
        (frame("message", text="a", files=[{"ref": "file:1", "proof": "x", "name": "x"}]), "body.files[0].ref"),
        (frame("message", text="a", files=[photo(brunos_browser)]), "body.files[0].proof"),
        (frame("message", text="a", answers="1"), "body.answers"),
        (frame("message", text="a", locale="x" * 40), "body.locale"),
        (frame("message", ""), "id"),
        (frame("message", "with space", text="a"), "id"),
        (frame("message", "x" * 65, text="a"), "id"),
        (frame("message", text="a") | {"v": 2}, "v"),
        (frame("message", text="a") | {"ts": "2026-11-16T12:00:00"}, "ts"),
        (frame("message", text="a") | {"conv": "mine"}, "conv"),
        (frame("read", messages=[]), "body.messages"),
        (frame("read", messages=["1"]), "body.messages"),
        (frame("reaction", emoji="👍"), "body.message"),
        (frame("reaction", emoji="👍" * 20, own="m1"), "body.emoji"),
        (frame("edit", own="m1", text=" "), "body.text"),
        (frame("form"), "body"),
        (frame("dance"), "type"),
    ],
)
def test_a_refusal_names_the_field(framed: dict[str, Any], field: str) -> None:
    assert field in why({"body": {}, **framed})


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"', b"\xff\xfe", b'{"id":"\\ud800"}', b"[" * 100_000, b'{"a":' * 50_000, b"\x00"],
)
def test_what_is_no_json_is_refused_in_words(raw: bytes) -> None:
    for read in (frames.read_frame, frames.read_hello, frames.read_envelope, frames.read_address, frames.read_request):
        with pytest.raises(Unreadable) as refusal:
            read(raw)
        assert refusal.value.detail


def test_six_honest_characters_are_no_null() -> None:
    came = from_screen(frame("message", text="write \\u0000 for null"))
    assert isinstance(came, MessageCame)
    assert came.content.text == "write \\u0000 for null"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_readers(raw: bytes) -> None:
    for read in (frames.read_frame, frames.read_hello, frames.read_envelope, frames.read_request):
        try:
            read(raw)
        except Unreadable as refusal:
            assert refusal.detail


# ---------------------------------------------------------------- signed requests


def test_several_events_become_several_receipts_and_a_bad_one_stands_alone() -> None:
    events = [
        event(anas_browser, frame("message", "m1", text="one")),
        {"visitor": "nobody", "frame": {}},
        event(brunos_browser, frame("message", "m1", text="two")),
    ]
    drafts = channel().split(signed({"events": events}), account)
    assert [draft.external_id.partition(":")[0] for draft in drafts] == [
        str(anas_browser),
        "unreadable",
        str(brunos_browser),
    ]
    texts = []
    for draft in drafts:
        receipt = Receipt(draft.external_id, draft.sender, draft.body, draft.form, noon)
        try:
            texts += [came.content.text for came in channel().parse(receipt, account) if isinstance(came, MessageCame)]
        except Unreadable as refusal:
            assert "visitor" in refusal.detail
    assert texts == ["one", "two"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "visitor"), ({"visitor": str(anas_browser)}, "frame"), ({"events": []}, "events"), ({"events": 1}, "events")],
)
def test_a_request_without_an_event_says_what_is_missing(body: object, field: str) -> None:
    with pytest.raises(Unreadable, match=field):
        channel().split(signed(body), account)


def test_a_request_that_is_too_large_is_not_even_cut() -> None:
    with pytest.raises(Malformed):
        channel().split(signed(b" " * (frames.MAX_REQUEST + 1)), account)


def test_an_event_padded_with_junk_is_parked() -> None:
    padded = event(anas_browser, frame("message", text="a")) | {"junk": "x" * frames.MAX_FRAME * 2}
    (draft,) = channel().split(signed(padded), account)
    with pytest.raises(Unreadable, match="bytes"):
        channel().parse(Receipt(draft.external_id, draft.sender, draft.body, draft.form, noon), account)


# ---------------------------------------------------------------- what we send


def test_our_frames_are_plain() -> None:
    reply = Reply("message", id="a", conv=OURS, seq=3, ts=noon, body={"text": "سلام"})
    assert json.loads(written(reply)) == {
        "v": 1,
        "type": "message",
        "id": "a",
        "conv": str(OURS),
        "seq": 3,
        "ts": "2026-11-16T12:00:00Z",
        "body": {"text": "سلام"},
    }
    assert reply.place == f"{OURS}:3"
    assert json.loads(written(refused(None, "too_many", "Slow down.", 2))) == {
        "v": 1,
        "type": "refused",
        "body": {"code": "too_many", "detail": "Slow down.", "retry_after": 2},
    }


def test_a_place_is_read_back_and_nonsense_is_none() -> None:
    assert read_place(f"{OURS}:3") == (OURS, 3)
    for nonsense in ("", "1", f"{OURS}", f"{OURS}:", f"{OURS}:-1", f"{OURS}:٣", "x:3", f"{OURS}:99999999999"):
        assert read_place(nonsense) is None
