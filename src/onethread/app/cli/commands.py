"""The verbs: serve, migrate, demo, user, key, account, receipts, doctor, backup, restore, openapi."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from pydantic import ValidationError

from onethread.app.cli.saying import Said, fail, say
from onethread.app.settings import Settings
from onethread.kernel.errors import Refused
from onethread.platform import logs
from onethread.platform.embedded import ServerFailed

T = TypeVar("T")

Data = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder.", envvar="ONETHREAD_DATA", show_default="data"),
]

app = typer.Typer(
    name="onethread",
    help="Every channel. One customer. One thread.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run the command line; what we refuse is said in one sentence, without a traceback."""
    try:
        app()
    except Said as said:
        fail(str(said))
    except Refused as refusal:
        fail(refusal.detail)
    except ServerFailed as failed:
        fail(f"PostgreSQL: {failed}")
    except ValidationError as wrong:
        fail("\n".join(f"{_variable(error['loc'])}: {error['msg']}" for error in wrong.errors()))


def settings_of(data: Path | None, **given: object) -> Settings:
    """Return the settings of the environment, with what the command line says in their place."""
    said = {name: value for name, value in {"data": data, **given}.items() if value is not None}
    settings = Settings()
    return Settings.model_validate({**settings.model_dump(), **said}) if said else settings


def run(work: Coroutine[Any, Any, T], *, quiet: bool = True) -> T:
    """Run one command; `quiet` shows warnings only."""
    settings = Settings()
    logs.configure(level="warning" if quiet and settings.log_level == "info" else settings.log_level)
    return uvloop.run(work)


@app.callback()
def onethread() -> None:
    """Every channel. One customer. One thread."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.", show_default="8080")] = None,
    data: Data = None,
) -> None:
    """Start the server: web, receiver, sender and everything behind them, in one process."""
    from onethread.app.build import House
    from onethread.app.worker import serve as serve_until_told

    settings = settings_of(data, host=host, port=port)
    logs.configure(level=settings.log_level, form=settings.log_format)

    def ready(house: House) -> None:
        say(f"Onethread answers at {house.settings.address}")

    uvloop.run(serve_until_told(settings, ready=ready))


def _variable(place: tuple[int | str, ...]) -> str:
    name = str(place[0]) if place else "settings"
    return name if name.isupper() else f"ONETHREAD_{name.upper()}"


sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
