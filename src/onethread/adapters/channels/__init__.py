"""Every channel there is, one line each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from onethread.adapters.channels.email.channel import Email
from onethread.adapters.channels.email.listener import Listener
from onethread.adapters.channels.webchat.channel import WebChat
from onethread.channels.contract import Channel, Media
from onethread.platform.files import Files
from onethread.platform.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Machines:
    """What a channel may be made with.

    `link` gives the address under which a stored file can be loaded; `mail_door` says where mail servers hand over.
    """

    files: Files
    secrets: Secrets
    link: Callable[[Media], str]
    mail_door: Listener | None = None


CHANNELS: Final[tuple[Callable[[Machines], Channel], ...]] = (
    lambda machines: WebChat(machines.secrets, machines.link),
    lambda machines: Email(machines.files, machines.mail_door),
)


def open_channels(machines: Machines) -> dict[str, Channel]:
    """Make every channel once; return them by name."""
    made = [make(machines) for make in CHANNELS]
    return {channel.declaration.name: channel for channel in made}
