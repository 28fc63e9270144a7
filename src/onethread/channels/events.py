"""What the channels room announces."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """An account was added, changed, enabled or disabled."""

    account_id: UUID
    channel: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class AccountHealthChanged:
    """An account began or ceased to work; `what` says how to mend it."""

    account_id: UUID
    channel: str
    well: bool
    what: str


@dataclass(frozen=True, slots=True)
class ReceiptParked:
    """A receipt could not be applied; it waits for a person with its reason."""

    account_id: UUID
    receipt: int
    reason: str
