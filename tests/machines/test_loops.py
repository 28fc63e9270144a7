import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

seen: list[str] = []


@pytest.fixture
async def shop() -> AsyncIterator[asyncio.AbstractEventLoop]:
    seen.append("opened")
    yield asyncio.get_running_loop()
    await asyncio.sleep(0)
    seen.append("closed")


@pytest.fixture
async def door(shop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    assert asyncio.get_running_loop() is shop
    return shop


async def test_a_test_runs_on_the_loop_of_its_fixtures(door: asyncio.AbstractEventLoop) -> None:
    assert asyncio.get_running_loop() is door
    assert seen[-1] == "opened"


async def test_fixtures_of_the_test_before_were_closed() -> None:
    assert seen in ([], ["opened", "closed"])


@given(number=st.integers())
async def test_examples_may_wait(number: int) -> None:
    await asyncio.sleep(0)
    assert isinstance(number, int)


@pytest.mark.xfail(reason="an asynchronous test can fail", strict=True, raises=ZeroDivisionError)
async def test_an_asynchronous_test_can_fail() -> None:
    await asyncio.sleep(0)
    _ = 1 / 0


@pytest.mark.xfail(reason="so can every example", strict=True, raises=ZeroDivisionError)
@given(number=st.integers())
async def test_an_asynchronous_example_can_fail(number: int) -> None:
    await asyncio.sleep(0)
    _ = 1 / 0


async def test_other_machines_are_out_of_reach() -> None:
    with pytest.raises(OSError, match="tests may not reach"):
        await asyncio.open_connection("93.184.215.14", 80)
    with pytest.raises(OSError, match="tests may not look up"):
        socket.getaddrinfo("example.com", 80)
