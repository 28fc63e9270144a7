"""`receipts list` and `receipts replay`: what strangers sent, and another try for what was parked."""

from typing import TYPE_CHECKING, Annotated

import typer

from onethread.access.model import SYSTEM
from onethread.app.cli.running import Data, on_the_ground, settings_of
from onethread.app.cli.saying import Said, say

if TYPE_CHECKING:
    from onethread.app.build import Ground
    from onethread.channels.model import ReceiptLine

receipts = typer.Typer(help="What strangers sent, as it came.", no_args_is_help=True)


@receipts.command("list")
def list_receipts(
    parked: Annotated[bool, typer.Option("--parked", help="Only those that wait for a person.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: Data = None,
) -> None:
    """List receipts, the newest first."""

    from rich.console import Console
    from rich.table import Table

    from onethread.channels import actions

    async def act(ground: "Ground") -> "list[ReceiptLine]":
        async with ground.database.transaction() as tx:
            return await actions.list_receipts(
                tx, SYSTEM, state="parked" if parked else None, account_id=None, before=None, limit=limit
            )

    lines = on_the_ground(settings_of(data), act)
    if not lines:
        say("There are no parked receipts." if parked else "There are no receipts.")
        return
    table = Table("id", "channel", "came", "bytes", "state", "reason", box=None)
    for line in lines:
        came = line.received_at.strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(str(line.seq), line.channel, came, str(line.size), line.state, line.reason or "")
    Console(soft_wrap=True).print(table)


@receipts.command("replay")
def replay_receipts(
    which: Annotated[list[int] | None, typer.Argument(metavar="ID…", min=1)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every parked receipt.")] = False,
    data: Data = None,
) -> None:
    """Have parked receipts applied again, once what was wrong with them has been mended."""
    if bool(which) == everything:
        raise Said("Name the receipts to replay, or say --all.")

    from onethread.channels import actions

    async def act(ground: "Ground") -> int:
        async with ground.database.transaction() as tx:
            return len(await actions.replay_receipts(tx, SYSTEM, None if everything else which))

    count = on_the_ground(settings_of(data), act)
    say(f"{count} will be applied again as soon as the server runs.")
    asked = len(set(which or ()))
    if count < asked:
        raise Said(f"{asked - count} of the {asked} named cannot be replayed: not parked, or not there.")
