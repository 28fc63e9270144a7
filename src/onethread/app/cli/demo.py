"""`demo`: an organisation with its cast, to look around in."""

from typing import Annotated

import typer

from onethread.app.cli.running import Data, loop, settings_of
from onethread.app.cli.saying import say


def demo(
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.", show_default="8080")] = None,
    data: Data = None,
) -> None:
    """Serve a demonstration: the first time, people and conversations come in through the real door."""
    from onethread.app.build import House
    from onethread.app.demo import play
    from onethread.app.worker import serve as serve_until_told
    from onethread.platform import logs

    settings = settings_of(data, host=host, port=port)
    logs.configure(level="warning" if settings.log_level == "info" else settings.log_level, form=settings.log_format)

    async def ready(house: House) -> None:
        shown = await play(house)
        say(f"Onethread answers at {house.settings.address}")
        if shown is not None:
            say(f"Sign in as {shown.email} with the password {shown.password}")
            say(f"API key: {shown.key}")

    loop(serve_until_told(settings, ready=ready))
