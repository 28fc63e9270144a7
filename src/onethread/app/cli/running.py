"""How a command runs: its settings, its logs, its event loop, its ground."""

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop

from onethread.app.build import Ground, open_ground
from onethread.app.settings import Settings
from onethread.platform import logs

T = TypeVar("T")

Data = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder.", show_default="ONETHREAD_DATA or ./data"),
]


def settings_of(data: Path | None, **given: object) -> Settings:
    """Return the settings of the environment, with what the command line says in their place."""
    said = {name: value for name, value in {"data": data, **given}.items() if value is not None}
    settings = Settings()
    return settings.model_copy(update=said) if said else settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one command to its end; warnings are shown, nothing less."""
    logs.configure(level="warning", form="console")
    return uvloop.run(work)


def on_the_ground(settings: Settings, act: Callable[[Ground], Awaitable[T]]) -> T:
    """Run a command that needs the database: it joins a running server's or starts one for the moment."""

    async def work() -> T:
        async with open_ground(settings, connections=4) as ground:
            return await act(ground)

    return run(work())
