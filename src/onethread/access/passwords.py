"""argon2id, off the event loop: hashing a password takes milliseconds by design."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from onethread.access.credentials import normalised_password

# OWASP's first choice: 19 MiB, two passes, one lane. More memory would let a burst of sign-ins starve us.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Unknown addresses are measured against this, so that they answer no sooner than known ones.
_NOBODY: Final = _HASHER.hash("nobody has this password")


async def hashed(password: str) -> str:
    """Return the argon2id hash of a password, its parameters and salt included."""
    return await asyncio.to_thread(_HASHER.hash, normalised_password(password))


async def matches(password: str, password_hash: str | None) -> bool:
    """Tell whether the password is the hashed one; without a hash it takes as long and is wrong."""
    right = await asyncio.to_thread(_verify, normalised_password(password), password_hash or _NOBODY)
    return right and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Tell whether a hash was made with weaker parameters than ours."""
    return _HASHER.check_needs_rehash(password_hash)


def _verify(password: str, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
