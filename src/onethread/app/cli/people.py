"""`user create` and `key create`: the first way in, for people and for machines."""

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from onethread.access.model import SYSTEM, Agent, Role
from onethread.app.cli.running import Data, on_the_ground, settings_of
from onethread.app.cli.saying import say, tell

if TYPE_CHECKING:
    from onethread.access.actions.agents import NewAgent
    from onethread.access.actions.brands import NewBrand
    from onethread.app.build import Ground
    from onethread.platform.db import Tx

users = typer.Typer(help="The people who work here.", no_args_is_help=True)
keys_ = typer.Typer(help="API keys: machines' way in.", no_args_is_help=True)


@users.callback()
def _users() -> None:
    """The people who work here."""


@keys_.callback()
def _keys() -> None:
    """API keys: machines' way in."""


@users.command("create")
def create_user(
    email: Annotated[str, typer.Argument(help="The address they sign in with.")],
    name: Annotated[str | None, typer.Option(help="What they are called.", show_default="from the address")] = None,
    role: Annotated[Role, typer.Option(help="What they are for; the first one is the owner.")] = "owner",
    password: Annotated[
        str | None,
        typer.Option(envvar="ONETHREAD_PASSWORD", help="Their password; without one it is made and shown once."),
    ] = None,
    organisation: Annotated[str, typer.Option(help="Whose installation this is (the first time).")] = "My company",
    brand: Annotated[str | None, typer.Option(help="The first brand.", show_default="as the organisation")] = None,
    country: Annotated[str, typer.Option(help="Where phone numbers without a country code are from.")] = "US",
    data: Data = None,
) -> None:
    """Create somebody who may sign in; the first time, the organisation and its brand as well."""
    from onethread.access.actions.agents import NewAgent
    from onethread.access.actions.brands import NewBrand

    chosen = password or secrets.token_urlsafe(15)
    who = NewAgent(email=email, name=name or email.partition("@")[0], role=role)
    first = NewBrand(name=brand or organisation, default_country=country.upper())

    async def act(ground: "Ground") -> Agent:
        async with ground.database.transaction() as tx:
            return await _admit(tx, ground, who, chosen, organisation=organisation, brand=first)

    agent = on_the_ground(settings_of(data), act)
    say(f"{agent.email} may sign in as {agent.role}.")
    if password is None:
        tell("The password is shown this once:")
        say(chosen)


async def _admit(
    tx: "Tx", ground: "Ground", who: "NewAgent", password: str, *, organisation: str, brand: "NewBrand"
) -> Agent:
    from onethread.access import queries
    from onethread.access.actions import agents, brands

    now = ground.clock()
    if await queries.is_founded(tx):
        return await agents.create_agent(tx, SYSTEM, who, password=password, now=now)
    founded = await brands.found_organisation(tx, name=organisation, brand=brand, owner=who, password=password, now=now)
    return founded.owner


@keys_.command("create")
def create_key(
    role: Annotated[Role, typer.Option(help="What it may do.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    data: Data = None,
) -> None:
    """Create an API key and print its secret, which is shown this once."""

    from onethread.access.actions import keys

    async def act(ground: "Ground") -> str:
        async with ground.database.transaction() as tx:
            issued = await keys.create_key(tx, SYSTEM, name=name, role=role, now=ground.clock())
        return issued.secret

    secret = on_the_ground(settings_of(data), act)
    tell("Send it as `Authorization: Bearer …`. It is shown this once:")
    say(secret)
