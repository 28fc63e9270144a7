"""Waiting for what other tasks and processes do: look again until it is so, never longer than a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]], *, seconds: float = 20.0, every: float = 0.02) -> T:
    """Return the first truthy thing `look` returns; fail with TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(every)
