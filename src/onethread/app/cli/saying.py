"""How the command line speaks: results on standard output, everything else on standard error."""

from typing import NoReturn

import typer


class Said(Exception):
    """A command cannot do what it was asked; the text says why and what to do."""


def say(text: str) -> None:
    """Say a result."""
    typer.echo(text)


def tell(text: str) -> None:
    """Tell something beside the result."""
    typer.echo(text, err=True)


def fail(text: str) -> NoReturn:
    """Say what is wrong and end with status 1."""
    typer.secho(text, err=True, fg="red")
    raise SystemExit(1)
