"""`account add`: one configured instance of a channel, checked against what the channel declares."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onethread.access.model import SYSTEM, Brand
from onethread.app.cli.running import Data, on_the_ground, settings_of
from onethread.app.cli.saying import Said, say, tell
from onethread.kernel.errors import Invalid

if TYPE_CHECKING:
    from onethread.app.build import Ground
    from onethread.channels.contract import Declaration
    from onethread.channels.model import AccountLine
    from onethread.platform.db import Tx

accounts = typer.Typer(help="Accounts of channels: mailboxes, web chats…", no_args_is_help=True)


@accounts.callback()
def _accounts() -> None:
    """Accounts of channels: mailboxes, web chats…"""


@accounts.command("add")
def add_account(
    kind: Annotated[str, typer.Argument(help="The channel: email, webchat…")],
    given: Annotated[list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting; @FILE reads it.")] = [],  # noqa: B006  typer copies it
    name: Annotated[str | None, typer.Option(help="What it is called.", show_default="as the channel")] = None,
    brand: Annotated[str | None, typer.Option(help="The brand's slug.", show_default="the first one")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Only tell which settings the channel takes.")] = False,
    data: Data = None,
) -> None:
    """Set up an account of a channel; what is missing or wrong is said by name."""
    from onethread.adapters.channels import Machines, open_channels
    from onethread.app.build import open_files
    from onethread.channels import actions

    settings = dict(_setting(one) for one in given)

    async def act(ground: "Ground") -> "AccountLine | None":
        files = open_files(ground.settings, ground.database)
        channels = open_channels(Machines(files, ground.secrets, lambda media: media.ref))
        channel = channels.get(kind)
        if channel is None:
            raise Said(f"There is no channel {kind}; there are: {', '.join(channels)}.")
        declaration = channel.declaration
        if explain:
            say("\n".join([f"{declaration.title} takes:", *_taken(declaration)]))
            return None
        async with ground.database.transaction() as tx:
            chosen = await _brand(tx, brand)
            try:
                return await actions.add_account(
                    tx,
                    SYSTEM,
                    declaration,
                    brand_id=chosen.id,
                    name=name or declaration.title,
                    settings=settings,
                    secrets=ground.secrets,
                )
            except Invalid as invalid:
                raise Said(_in_words(invalid, kind)) from invalid

    line = on_the_ground(settings_of(data), act)
    if line is None:
        return
    tell(f"{line.name} is set up. Its webhook address ends in /hooks/{line.id}")
    say(str(line.id))


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Said(f"{text!r} is not NAME=VALUE.")
    if value.startswith("@"):
        try:
            return name, Path(value[1:]).read_text(encoding="utf-8").strip()
        except OSError as missing:
            raise Said(f"{name}: {value[1:]} cannot be read ({missing.strerror}).") from missing
    return name, value


async def _brand(tx: "Tx", slug: str | None) -> Brand:
    from onethread.access import queries as access

    brands = await access.brands(tx)
    if not brands:
        raise Said("There is no brand yet. Create the first user first: onethread user create you@example.com")
    if slug is None:
        return brands[0]
    for brand in brands:
        if brand.slug == slug:
            return brand
    raise Said(f"There is no brand {slug}; there are: {', '.join(brand.slug for brand in brands)}.")


def _in_words(invalid: Invalid, kind: str) -> str:
    """Name every fault, and where to read on."""
    faults = invalid.fields.get("fields")
    wrong = faults.items() if isinstance(faults, dict) else [("", invalid.detail)]
    lines = [f"{name}: {fault}" if name else str(fault) for name, fault in wrong]
    return "\n".join([*lines, f"Its settings: onethread account add {kind} --explain"])


def _taken(declaration: "Declaration") -> Sequence[str]:
    return [
        f"  {field.name:<18} {field.label}{' (needed)' if field.required else ''}"
        + (f": {', '.join(field.choices)}" if field.choices else "")
        for field in declaration.settings
    ]
