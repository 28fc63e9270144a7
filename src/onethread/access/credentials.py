"""What proves who somebody is: secrets, passwords, lock-out, one-time codes, sessions. Rules over values."""

import hmac
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

import pyotp

from onethread.access.model import AccessRules
from onethread.kernel.errors import Invalid, NotSignedIn

PASSWORD_SHORTEST: Final = 10
_PASSWORD_LONGEST: Final = 256  # characters; argon2 would hash a novel as well, at our expense
_WORN_OUT: Final = frozenset(
    {
        "1234567890",
        "0123456789",
        "0987654321",
        "1q2w3e4r5t",
        "administrator",
        "changeme123",
        "iloveyou123",
        "letmein123",
        "passw0rd123",
        "password12",
        "password123",
        "password1234",
        "password12345",
        "qwerty12345",
        "qwertyuiop",
        "welcome123",
    }
)

# How long after the n-th failure in a row nothing more is tried; the last one stays.
LOCKS: Final[Sequence[timedelta]] = (
    *(timedelta(0),) * 4,
    timedelta(seconds=15),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
)
FAILURES_FORGOTTEN_AFTER: Final = timedelta(hours=24)

INVITATION_LIFE: Final = timedelta(days=7)
PASSWORD_RESET_LIFE: Final = timedelta(hours=1)
PASSWORD_RESETS_AN_HOUR: Final = 3
OIDC_ATTEMPT_LIFE: Final = timedelta(minutes=10)

_TOTP_STEP: Final = 30  # seconds
_TOTP_DRIFT: Final = 1  # steps a telephone's clock may be off to either side
_RECOVERY_CODES: Final = 10
_RECOVERY_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else


class SecondFactorNeeded(NotSignedIn):
    code = "second_factor_needed"
    title = "A code from your authenticator is needed"


def normalised_email(address: str) -> str:
    """Return the form under which an agent's address is kept and looked for; raises Invalid."""
    address = unicodedata.normalize("NFKC", address).strip().lower()
    local, at, domain = address.rpartition("@")
    if not at or not local or "." not in domain.strip(".") or any(c.isspace() or not c.isprintable() for c in address):
        raise Invalid("This is not an e-mail address.", field="email")
    if len(address) > 254:
        raise Invalid("This e-mail address is too long.", field="email")
    return address


def normalised_password(password: str) -> str:
    """Return one form for the ways different keyboards write the same letters (NFKC, RFC 8265)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, email: str, name: str) -> None:
    """Raise Invalid, saying what to do, for a password that is short, worn out or made of the person's name."""
    password = normalised_password(password)
    folded = password.casefold()
    if len(password) < PASSWORD_SHORTEST:
        raise Invalid(f"Use at least {PASSWORD_SHORTEST} characters; a few words do well.", field="password")
    if len(password) > _PASSWORD_LONGEST:
        raise Invalid(f"Use at most {_PASSWORD_LONGEST} characters.", field="password")
    if folded in _WORN_OUT or len(set(folded)) < 5:
        raise Invalid("This is one of the first passwords an attacker tries. Choose another.", field="password")
    own = [part for part in (email.partition("@")[0], *name.split()) if len(part) >= 4]
    rest = folded
    for part in own:
        rest = rest.replace(part.casefold(), "")
    if len(rest) < PASSWORD_SHORTEST // 2:
        raise Invalid("Do not build the password from your name or address.", field="password")


def lock_after(failures: int) -> timedelta:
    """Return for how long the n-th failure in a row (from 1) closes the door."""
    return LOCKS[min(failures, len(LOCKS)) - 1] if failures > 0 else timedelta(0)


def new_secret() -> str:
    """Return 256 random bits as URL-safe text: 43 characters."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """Return what is stored of a random secret: 32 bytes. Nothing slower is needed for 256 random bits."""
    return blake2b(secret.encode(), digest_size=32).digest()


def csrf_of(session_secret: str) -> str:
    """Return the token that must accompany a session's writes.

    Derived from the cookie, which neither a foreign site nor a script can read: nothing to store.
    """
    return blake2b(session_secret.encode(), digest_size=24, person=b"onethread csrf").hexdigest()


def is_csrf_of(session_secret: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(csrf_of(session_secret).encode(), token.encode())


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh API key: the whole secret, shown once, and its first characters for lists."""

    secret: str
    prefix: str


def new_key() -> NewKey:
    """Return a fresh API key. Its head tells secret scanners whose it is."""
    secret = f"otk_{new_secret()}"
    return NewKey(secret, secret[:10])


def new_totp_secret() -> str:
    """Return a fresh secret for an authenticator: base32, 160 bits."""
    return pyotp.random_base32()


def totp_uri(secret: str, *, email: str, organisation: str) -> str:
    """Return the `otpauth://` address an authenticator reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=organisation)


def totp_step(secret: str, code: str, now: datetime, *, after: int | None) -> int | None:
    """Return the time step the code belongs to, or None when it is wrong, too old or used.

    Only steps later than `after` count, so no code is good twice.
    """
    totp = pyotp.TOTP(secret, interval=_TOTP_STEP)
    code = "".join(code.split())
    present = int(now.timestamp()) // _TOTP_STEP
    found: int | None = None
    for step in range(present - _TOTP_DRIFT, present + _TOTP_DRIFT + 1):
        right = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
        if right and (after is None or step > after):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Return fresh codes for the day the telephone is lost: `xxxx-xxxx-xxxx-xxxx`, 79 bits each, good once."""

    def part() -> str:
        return "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(4))

    return ["-".join(part() for _ in range(4)) for _ in range(_RECOVERY_CODES)]


def recovery_digest(code: str) -> bytes:
    """Return what is stored of a recovery code, however its owner writes it."""
    return digest("".join(c for c in code.lower() if c.isalnum()))


def session_lives(seen_at: datetime, expires_at: datetime, now: datetime, *, rules: AccessRules) -> bool:
    """Tell whether a session that was not revoked is still good."""
    return now < expires_at and now - seen_at < rules.session_idle
