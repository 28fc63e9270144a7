"""What strangers bring to the door, and what is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from onethread.kernel.errors import NotSignedIn, Refused


@dataclass(frozen=True, slots=True)
class Hook:
    """A request at the webhook door. Header names are lower case; `body` is raw."""

    method: str
    headers: Mapping[str, str]
    query: str
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What the stranger expects to hear instead of our plain 200 (a challenge, for instance)."""

    status: int
    body: bytes
    media_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class ReceiptDraft:
    """One stranger's event, raw: `external_id` is unique in the account, `sender` keeps order.

    `form` tells `parse` how to read `body` (for instance `json` or `mime`).
    """

    external_id: str
    sender: str
    body: bytes
    form: str = "json"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A kept receipt, as `parse` gets it."""

    external_id: str
    sender: str
    body: bytes
    form: str
    received_at: datetime


class Forged(NotSignedIn):
    """The signature, token or time of a webhook does not hold."""

    code = "forged"
    title = "The signature does not hold"


class Unreadable(Refused):
    """A payload we cannot understand; its receipt is parked with this reason."""

    code = "unreadable"
    title = "The payload could not be understood"
