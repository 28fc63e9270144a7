"""How a command runs: its settings, its logs, its event loop, its ground."""

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from onethread.app.cli.saying import Said

# What takes long to load is loaded by the command that needs it: `--help` answers at once.
if TYPE_CHECKING:
    from onethread.app.build import Ground
    from onethread.app.settings import Settings

T = TypeVar("T")

Data = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder.", show_default="ONETHREAD_DATA or ./data"),
]


def settings_of(data: Path | None, **given: object) -> "Settings":
    """Return the settings of the environment, with what the command line says in their place."""
    from onethread.app.settings import Settings

    said = {name: value for name, value in {"data": data, **given}.items() if value is not None}
    settings = Settings()
    return settings.model_copy(update=said) if said else settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one command to its end; warnings are shown, nothing less."""
    from onethread.platform import logs

    logs.configure(level="warning", form="console")
    return loop(work)


def loop(work: Coroutine[Any, Any, T]) -> T:
    """Run an event loop until the work is done; a PostgreSQL of ours that fails is said in words."""
    import uvloop

    from onethread.platform.embedded import ServerFailed

    try:
        return uvloop.run(work)
    except ServerFailed as failed:
        raise Said(f"PostgreSQL: {failed}") from failed


def on_the_ground(settings: "Settings", act: "Callable[[Ground], Awaitable[T]]") -> T:
    """Run a command that needs the database: it joins a running server's or starts one for the moment."""

    from onethread.app.build import open_ground

    async def work() -> T:
        async with open_ground(settings, connections=4) as ground:
            return await act(ground)

    return run(work())
