"""Runs `async def` tests and fixtures, each test on an event loop of its own."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of this test; what still runs at the end is cancelled."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[None]:
    """Let pytest see an asynchronous fixture as an ordinary one."""
    func = fixturedef.func
    if inspect.isasyncgenfunction(func):
        ordinary = _from_generator(func, request.getfixturevalue("runner"))
    elif inspect.iscoroutinefunction(func):
        ordinary = _from_coroutine(func, request.getfixturevalue("runner"))
    else:
        return (yield)
    fixturedef.func = ordinary  # type: ignore[misc]
    try:
        return (yield)
    finally:
        fixturedef.func = func  # type: ignore[misc]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Give every asynchronous test its loop first, so that it is closed last."""
    if isinstance(item, pytest.Function) and _is_async(item) and "runner" not in item.fixturenames:
        item.fixturenames.insert(0, "runner")
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not _is_async(pyfuncitem):
        return None
    test, runner = pyfuncitem.obj, _runner(pyfuncitem)
    if hasattr(test, "hypothesis"):
        # The outer function is hypothesis' own, and ordinary: it calls the inner one for each example.
        test.hypothesis.inner_test = _from_coroutine(test.hypothesis.inner_test, runner)
        return None
    wanted = inspect.signature(test).parameters
    runner.run(test(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


def _is_async(item: pytest.Function) -> bool:
    test = getattr(getattr(item.obj, "hypothesis", None), "inner_test", item.obj)
    return inspect.iscoroutinefunction(test)


def _runner(item: pytest.Function) -> asyncio.Runner:
    runner = item.funcargs["runner"]
    assert isinstance(runner, asyncio.Runner)
    return runner


def _from_generator(func: Callable[..., Any], runner: asyncio.Runner) -> Callable[..., Any]:
    @functools.wraps(func)
    def ordinary(*args: Any, **kwargs: Any) -> Iterator[Any]:
        generator = func(*args, **kwargs)
        yield runner.run(_next(generator))
        try:
            runner.run(_next(generator))
        except StopAsyncIteration:
            return
        raise RuntimeError(f"{func.__name__} yielded twice")

    return ordinary


def _from_coroutine(func: Callable[..., Any], runner: asyncio.Runner) -> Callable[..., Any]:
    @functools.wraps(func)
    def ordinary(*args: Any, **kwargs: Any) -> Any:
        return runner.run(func(*args, **kwargs))

    return ordinary


async def _next(generator: Any) -> Any:
    return await anext(generator)
