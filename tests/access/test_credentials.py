"""What proves who somebody is."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.access import credentials
from onethread.access.model import AccessRules
from onethread.kernel.errors import Invalid

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
STEP = int(NOON.timestamp()) // 30
RULES = AccessRules("http://127.0.0.1")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ana@Example.COM", "ana@example.com"),
        ("  bruno@example.com ", "bruno@example.com"),
        ("ｈanako@example.com", "hanako@example.com"),
        ("o'neil+shop@mail.example.co.th", "o'neil+shop@mail.example.co.th"),
    ],
)
def test_one_address_has_one_form(typed: str, kept: str) -> None:
    assert credentials.normalised_email(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "ana", "@example.com", "ana@", "ana@localhost", "a b@example.com", "a\r\n@x.com"]
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        credentials.normalised_email(typed)


@given(st.text(max_size=60))
def test_normalising_an_address_twice_changes_nothing(typed: str) -> None:
    try:
        once = credentials.normalised_email(typed)
    except Invalid:
        return
    assert credentials.normalised_email(once) == once


@pytest.mark.parametrize("password", ["correct horse battery", "ฉันรักแมวสีส้มมาก", "x8#kP2!vQz", "گربه نارنجی من"])
def test_a_good_password_passes(password: str) -> None:
    credentials.check_password(password, email="somchai@example.com", name="Somchai Dee")


@pytest.mark.parametrize(
    "password",
    ["short", "123456789", "aaaaaaaaaaaa", "Password123", "somchai1234", "SomchaiSomchai1", "x" * 300, "QWERTYUIOP"],
)
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        credentials.check_password(password, email="somchai@example.com", name="Somchai Dee")


def test_the_lock_grows_and_stays() -> None:
    locks = [credentials.lock_after(failures) for failures in range(40)]
    assert locks[:5] == [timedelta(0)] * 5
    assert locks == sorted(locks)
    assert locks[-1] == timedelta(minutes=15)


def test_a_code_is_good_once() -> None:
    code = pyotp.TOTP(SECRET).generate_otp(STEP)
    step = credentials.totp_step(SECRET, code, NOON, after=None)
    assert step == STEP
    assert credentials.totp_step(SECRET, code, NOON, after=step) is None


@pytest.mark.parametrize(("drift", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_half_a_minute_off(drift: int, good: bool) -> None:
    code = pyotp.TOTP(SECRET).generate_otp(STEP + drift)
    assert (credentials.totp_step(SECRET, code, NOON, after=None) is not None) == good


@pytest.mark.parametrize("code", ["", "000", "abcdef", "१२३४५६", "1234567", "\x00"])
def test_what_is_no_code_is_wrong_and_no_error(code: str) -> None:
    assert credentials.totp_step(SECRET, code, NOON, after=None) is None


def test_spaces_in_a_code_do_not_matter() -> None:
    code = pyotp.TOTP(SECRET).generate_otp(STEP)
    assert credentials.totp_step(SECRET, f" {code[:3]} {code[3:]}", NOON, after=None) == STEP


def test_recovery_codes_differ_and_forgive_writing() -> None:
    codes = credentials.new_recovery_codes()
    assert len(set(codes)) == len(codes) == 10
    typed = codes[0].upper().replace("-", " ")
    assert credentials.recovery_digest(typed) == credentials.recovery_digest(codes[0])


def test_the_csrf_token_belongs_to_one_session() -> None:
    mine, other = credentials.new_secret(), credentials.new_secret()
    assert credentials.is_csrf_of(mine, credentials.csrf_of(mine))
    assert not credentials.is_csrf_of(other, credentials.csrf_of(mine))
    assert not credentials.is_csrf_of(mine, "")
    assert credentials.digest(mine).hex() != credentials.csrf_of(mine)


def test_a_key_shows_its_head_only() -> None:
    key = credentials.new_key()
    assert key.secret.startswith(key.prefix)
    assert len(key.secret) - len(key.prefix) >= 36


@pytest.mark.parametrize(
    ("idle", "age", "lives"),
    [
        (timedelta(hours=1), timedelta(days=1), True),
        (timedelta(hours=25), timedelta(days=2), False),
        (timedelta(0), timedelta(days=14), False),
    ],
)
def test_a_session_ends_when_idle_and_when_old(idle: timedelta, age: timedelta, lives: bool) -> None:
    created = NOON - age
    got = credentials.session_lives(NOON - idle, created + RULES.session_absolute, NOON, rules=RULES)
    assert got == lives
