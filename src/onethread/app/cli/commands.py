"""The verbs: serve, migrate, demo, user, key, account, receipts, doctor, backup, restore, openapi."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic_core import ValidationError

from onethread.app.cli import accounts, backup, demo, doctor, people, receipts
from onethread.app.cli.running import Data, loop, run, settings_of
from onethread.app.cli.saying import Said, fail, say, tell
from onethread.kernel.errors import Refused

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
    except ValidationError as wrong:
        fail("\n".join(f"{_variable(error['loc'])}: {error['msg']}" for error in wrong.errors()))


@app.callback()
def onethread() -> None:
    """Every channel. One customer. One thread."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.", show_default="8080")] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="After a restore without the secret key: start with a fresh one.")
    ] = False,
    data: Data = None,
) -> None:
    """Start the server: web, receiver, sender and everything behind them, in one process."""
    from onethread.access import queries
    from onethread.app.build import House, give_up_old_key
    from onethread.app.worker import serve as serve_until_told
    from onethread.platform import logs

    settings = settings_of(data, host=host, port=port)
    logs.configure(level=settings.log_level, form=settings.log_format)
    if new_key:
        give_up_old_key(settings)

    async def ready(house: House) -> None:
        say(f"Onethread answers at {house.settings.address}")
        async with house.database.transaction() as tx:
            if not await queries.is_founded(tx):
                tell("Nobody may sign in yet: onethread user create you@example.com")

    loop(serve_until_told(settings, ready=ready))


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the database to the newest schema."""
    from onethread.app.build import bring_up_to_date

    applied = run(bring_up_to_date(settings_of(data)))
    say(f"Applied: {', '.join(applied)}." if applied else "Nothing to do: the database is up to date.")


@app.command()
def openapi(
    check: Annotated[bool, typer.Option("--check", help="Only tell whether docs/openapi.json is current.")] = False,
    path: Annotated[Path, typer.Option(help="Where the description is kept.")] = Path("docs/openapi.json"),
) -> None:
    """Write the description of the API, or check that the kept one is current."""
    from onethread.app.web import describe

    text = describe()
    if not check:
        path.write_text(text, encoding="utf-8")
        say(f"Written to {path}.")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        raise Said(f"{path} is not what the routes are now. Run `onethread openapi` and look at the difference.")
    else:
        say(f"{path} is current.")


app.add_typer(people.users, name="user")
app.add_typer(people.keys_, name="key")
app.add_typer(accounts.accounts, name="account")
app.add_typer(receipts.receipts, name="receipts")
app.command("doctor")(doctor.doctor)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("demo")(demo.demo)


def _variable(place: tuple[int | str, ...]) -> str:
    name = str(place[0]) if place else "settings"
    return name if name.isupper() else f"ONETHREAD_{name.upper()}"


sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
