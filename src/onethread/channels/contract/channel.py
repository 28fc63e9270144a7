"""What every adapter implements."""

from collections.abc import Sequence
from typing import Protocol

from onethread.channels.contract.coming import Came
from onethread.channels.contract.content import Media
from onethread.channels.contract.declaring import Account, Declaration
from onethread.channels.contract.going import Blob, Health, Outcome, Outgoing
from onethread.channels.contract.receipts import Hook, HookAnswer, Receipt, ReceiptDraft


class Channel(Protocol):
    """An adapter. `verify`, `split` and `parse` are pure and raise only Forged, Malformed and Unreadable."""

    @property
    def declaration(self) -> Declaration: ...

    def verify(self, hook: Hook, account: Account) -> HookAnswer | None:
        """Check the signature on the raw bytes. An answer ends the request there (a challenge)."""
        ...

    def split(self, hook: Hook, account: Account) -> Sequence[ReceiptDraft]:
        """Cut a verified request into receipts, one per stranger's event."""
        ...

    def parse(self, receipt: Receipt, account: Account) -> Sequence[Came]:
        """Read one receipt."""
        ...

    async def send(self, outgoing: Outgoing, account: Account) -> Outcome:
        """Hand one delivery to the provider. Never raises for what the provider does."""
        ...

    async def fetch(self, receipt: Receipt, media: Media, account: Account) -> Blob:
        """Get a file that a receipt speaks of."""
        ...

    async def check(self, account: Account) -> Health:
        """Ask the provider whether the account works."""
        ...
