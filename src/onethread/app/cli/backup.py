"""`backup` and `restore`: the database and the files as one archive."""

from pathlib import Path
from typing import Annotated

import typer

from onethread.app.cli.running import Data, run, settings_of
from onethread.app.cli.saying import say, tell


def backup(
    target: Annotated[Path, typer.Argument(help="The archive to write, or the folder to write one into.")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the secret key in as well: then the archive alone opens it all.")
    ] = False,
    data: Data = None,
) -> None:
    """Write the database and the files into one archive; the server may be running."""
    from onethread.app import archive

    written = run(archive.write(settings_of(data), target, with_key=with_key))
    say(str(written))
    if not with_key:
        tell("The secret key is not in it: keep data/secret.key somewhere safe, apart from the archive.")


def restore(
    source: Annotated[Path, typer.Argument(help="An archive written by `onethread backup`.")],
    data: Data = None,
) -> None:
    """Restore an archive into an empty data folder; refused where anything is already."""
    from onethread.app import archive

    settings = settings_of(data)
    run(archive.read(settings, source))
    say(f"Restored into {settings.data}.")
    if settings.secret_key is None and not (settings.data / "secret.key").exists():
        tell(f"The archive held no secret key: put your copy at {settings.data / 'secret.key'} before the first start.")
