import stat
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.platform.secrets import Secrets, Undecipherable, add_key, new_key
from tests.cast import noon

ours = Secrets.from_text(new_key())


@given(st.binary(max_size=300))
def test_what_was_encrypted_comes_back(plain: bytes) -> None:
    kept = ours.encrypt(plain, purpose="account")
    assert ours.decrypt(kept, purpose="account") == plain
    assert len(plain) < 8 or plain not in kept


def test_a_secret_opens_for_its_own_purpose_only() -> None:
    kept = ours.encrypt(b"token", purpose="account")
    with pytest.raises(Undecipherable):
        ours.decrypt(kept, purpose="letter")


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    kept = bytearray(ours.encrypt(b"token", purpose="account"))
    kept[data.draw(st.integers(0, len(kept) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Undecipherable):
        ours.decrypt(bytes(kept), purpose="account")


@given(st.binary(max_size=40))
def test_bytes_that_are_not_ours_are_refused(junk: bytes) -> None:
    with pytest.raises(Undecipherable):
        ours.decrypt(junk, purpose="account")


@given(st.binary(max_size=40))
def test_a_token_survives_a_change_of_case(payload: bytes) -> None:
    token = ours.sign(payload, purpose="reply")
    assert token.isascii() and token == token.lower() and token.isalnum()
    assert ours.verify(token.upper(), purpose="reply", now=noon) == payload


def test_a_token_with_an_id_fits_the_local_part_of_an_address() -> None:
    assert len("support+r." + ours.sign(bytes(16), purpose="reply")) <= 64


def test_a_token_is_good_until_it_expires() -> None:
    token = ours.sign(b"ana", purpose="visitor", expires_at=noon)
    assert ours.verify(token, purpose="visitor", now=noon - timedelta(seconds=1)) == b"ana"
    assert ours.verify(token, purpose="visitor", now=noon) is None


def test_a_token_is_good_for_its_own_purpose_only() -> None:
    assert ours.verify(ours.sign(b"ana", purpose="visitor"), purpose="file", now=noon) is None


@given(st.text(max_size=80))
def test_any_text_can_be_verified_and_none_is_genuine(text: str) -> None:
    assert ours.verify(text, purpose="visitor", now=noon) is None


@given(st.data())
def test_a_changed_letter_of_a_token_is_noticed(data: st.DataObject) -> None:
    token = ours.sign(b"ana@x", purpose="visitor")  # 21 bytes end in the middle of the last letter
    place = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.sampled_from([c for c in "abcdefghijklmnopqrstuvwxyz234567" if c != token[place]]))
    assert ours.verify(token[:place] + other + token[place + 1 :], purpose="visitor", now=noon) is None


def test_the_key_file_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret.key"
    kept = Secrets.from_file(path).encrypt(b"token", purpose="account")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Secrets.from_file(path).decrypt(kept, purpose="account") == b"token"
    assert [file.name for file in path.parent.iterdir()] == ["secret.key"]


def test_after_a_change_of_key_old_secrets_and_tokens_are_still_good(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    before = Secrets.from_file(path)
    kept, token = before.encrypt(b"token", purpose="account"), before.sign(b"ana", purpose="visitor")
    add_key(path)
    after = Secrets.from_file(path)
    assert after.decrypt(kept, purpose="account") == b"token"
    assert after.verify(token, purpose="visitor", now=noon) == b"ana"
    with pytest.raises(Undecipherable):
        before.decrypt(after.encrypt(b"new", purpose="account"), purpose="account")


@pytest.mark.parametrize("text", ["", "short", "AAAA", "!!!!", "AAAA,AAAA"])
def test_a_key_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="secret key"):
        Secrets.from_text(text)
