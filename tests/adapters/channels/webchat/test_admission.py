"""Tokens, proofs, websites and limits."""

from datetime import timedelta
from uuid import UUID

import pytest

from onethread.adapters.channels.webchat.limits import Buckets, Places, Rate
from onethread.adapters.channels.webchat.origins import allows
from onethread.adapters.channels.webchat.tokens import PROOF_FOR, VISITOR_FOR, Tokens
from onethread.adapters.channels.webchat.wire.frames import File
from onethread.kernel.ids import AccountId
from onethread.platform.secrets import Secrets
from tests.adapters.channels.webchat.payloads import account, anas_browser, brunos_browser, photo, tokens
from tests.cast import noon

ANOTHER = AccountId(UUID(int=77))


def test_a_token_is_its_visitors_in_its_account_until_it_expires() -> None:
    given = tokens.give(account.id, anas_browser, noon)
    assert tokens.visitor_of(account.id, given.token, noon) == anas_browser
    assert tokens.visitor_of(account.id, given.token, noon + VISITOR_FOR - timedelta(seconds=1)) == anas_browser
    assert tokens.visitor_of(account.id, given.token, noon + VISITOR_FOR) is None
    assert tokens.visitor_of(ANOTHER, given.token, noon) is None
    assert Tokens(Secrets([b"x" * 32])).visitor_of(account.id, given.token, noon) is None


def test_a_token_slides_once_a_day() -> None:
    given = tokens.give(account.id, anas_browser, noon)
    assert tokens.renewed(account.id, given.token, noon + timedelta(hours=23)) is None
    fresh = tokens.renewed(account.id, given.token, noon + timedelta(days=100))
    assert fresh is not None
    assert fresh.visitor == anas_browser
    assert tokens.visitor_of(account.id, fresh.token, noon + timedelta(days=270)) == anas_browser


@pytest.mark.parametrize("nonsense", ["", "a", "é", "a" * 77, "\0", "=" * 80, "😀" * 20])
def test_nonsense_is_no_token(nonsense: str) -> None:
    assert tokens.visitor_of(account.id, nonsense, noon) is None


def test_a_proof_of_upload_is_no_visitors_token_and_the_other_way_round() -> None:
    proof = photo(anas_browser)["proof"]
    token = tokens.give(account.id, anas_browser, noon).token
    assert tokens.visitor_of(account.id, proof, noon) is None
    file = File(photo(anas_browser)["ref"], token, "x")
    assert tokens.proved(file, account=account, visitor=anas_browser, now=noon) is None


def test_a_file_is_only_its_uploaders_and_only_for_a_day() -> None:
    given = photo(anas_browser)
    file = File(given["ref"], given["proof"], "shoes.jpg")
    media = tokens.proved(file, account=account, visitor=anas_browser, now=noon)
    assert media is not None
    assert (media.name, media.media_type, media.size) == ("shoes.jpg", "image/jpeg", 12_345)
    assert tokens.proved(file, account=account, visitor=brunos_browser, now=noon) is None
    assert tokens.proved(file, account=account, visitor=anas_browser, now=noon + PROOF_FOR) is None
    other = File("file:" + "cd" * 32, given["proof"], "shoes.jpg")
    assert tokens.proved(other, account=account, visitor=anas_browser, now=noon) is None


@pytest.mark.parametrize(
    ("allowed", "origin", "may"),
    [
        ("", "https://anywhere.example", True),
        ("shop.example", "https://shop.example", True),
        ("shop.example", "https://shop.example:8443", True),
        ("shop.example", "http://SHOP.example", True),
        ("shop.example", "https://evil.example", False),
        ("shop.example", "https://shop.example.evil.example", False),
        ("shop.example", "https://evilshop.example", False),
        ("shop.example", "https://www.shop.example", False),
        ("*.shop.example", "https://www.shop.example", True),
        ("*.shop.example", "https://shop.example", False),
        ("*.shop.example", "https://evilshop.example", False),
        ("localhost:5173", "http://localhost:5173", True),
        ("localhost:5173", "http://localhost:3000", False),
        ("https://Shop.example/, other.example", "https://other.example", True),
        ("a.example\nb.example", "https://b.example", True),
        ("ร้าน.ไทย", "https://xn--q3ct9b5e.xn--o3cw4h", True),
        ("shop.example", "null", False),
        ("shop.example", "file://", False),
        ("shop.example", "https://", False),
        ("shop.example", "https://[", False),
        ("shop.example", "https://chat.ours.example", True),
        ("shop.example", None, True),
    ],
)
def test_which_website_may_open_the_chat(allowed: str, origin: str | None, may: bool) -> None:
    assert allows(allowed, origin, "chat.ours.example") is may


def test_a_bucket_gives_so_many_at_once_and_then_so_many_a_second() -> None:
    buckets = Buckets[str](Rate(per_second=2, at_once=3))
    assert [buckets.take("ana", 0.0) for _ in range(3)] == [0.0] * 3
    assert buckets.take("ana", 0.0) == pytest.approx(0.5)
    assert buckets.take("bruno", 0.0) == 0.0
    assert buckets.take("ana", 0.5) == 0.0
    assert [buckets.take("ana", 100.0) for _ in range(4)][:3] == [0.0] * 3


def test_places_are_given_back() -> None:
    places = Places[str](1)
    with places.one("ana") as first, places.one("ana") as second, places.one("bruno") as other:
        assert (first, second, other) == (True, False, True)
    with places.one("ana") as again:
        assert again
