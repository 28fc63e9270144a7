"""What the house lends an adapter that runs a door of its own (a mail listener, a socket)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from starlette.types import ASGIApp

from onethread.channels.contract import Account, Health, ReceiptDraft
from onethread.kernel.ids import AccountId
from onethread.platform.db import Database
from onethread.platform.files import Files
from onethread.platform.live import Hub
from onethread.platform.secrets import Secrets


class Reception(Protocol):
    """The durable way in, for doors that are not the webhook door."""

    async def receive(self, account_id: AccountId, drafts: Sequence[ReceiptDraft]) -> list[bool]:
        """Keep the receipts; return, after the commit, which of them were new.

        Raises Unavailable when they could not be kept: then acknowledge nothing.
        """
        ...

    async def accounts(self, channel: str) -> Sequence[Account]:
        """Return the enabled accounts of a channel as they are now."""
        ...

    async def account(self, account_id: AccountId) -> Account | None:
        """Return one enabled account, quickly."""
        ...

    async def note_health(self, account_id: AccountId, health: Health) -> None:
        """Say how an account is doing; the change is shown and told."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The machines an adapter's doors may use."""

    reception: Reception
    database: Database
    hub: Hub
    files: Files
    secrets: Secrets


@runtime_checkable
class RunsDoor(Protocol):
    """A channel that listens by itself: `run` goes on until cancelled."""

    async def run(self, ports: Ports) -> None: ...


@runtime_checkable
class ServesWeb(Protocol):
    """A channel with pages or sockets of its own, served below `/channels/<name>`."""

    def web(self, ports: Ports) -> ASGIApp: ...
