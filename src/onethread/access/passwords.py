"""argon2id, off the event loop: hashing a password takes milliseconds by design."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from onethread.access.credentials import normalised_password

# OWASP's first choice: 19 MiB, two passes, one lane. More memory would let a burst of sign-ins starve us.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Threads of its own: a burst of guesses queues here, not before everybody else's work.
_THREADS: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="passwords")
# Unknown addresses are measured against this, so that they answer no sooner than known ones.
_NOBODY: Final = _HASHER.hash("nobody has this password")


async def hashed(password: str) -> str:
    """Return the argon2id hash of a password, its parameters and salt included."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, _HASHER.hash, normalised_password(password))


async def matches(password: str, password_hash: str | None) -> bool:
    """Tell whether the password is the hashed one; without a hash it takes as long and is wrong."""
    loop = asyncio.get_running_loop()
    candidate = normalised_password(password)
    right = await loop.run_in_executor(_THREADS, _verify, candidate, password_hash or _NOBODY)
    return right and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Tell whether a hash was made with weaker parameters than ours."""
    return _HASHER.check_needs_rehash(password_hash)


def _verify(password: str, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
