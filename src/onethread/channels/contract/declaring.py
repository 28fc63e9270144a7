"""What a channel declares about itself, and what an account of it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from onethread.kernel.identifier import IdentifierKind
from onethread.kernel.ids import AccountId, BrandId

FieldKind = Literal["text", "secret", "number", "flag", "choice", "address", "list"]


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of an account: the set-up form is generated from these."""

    name: str
    label: str
    kind: FieldKind = "text"
    required: bool = False
    default: str = ""
    help: str = ""
    choices: tuple[str, ...] = ()


Shape = Literal["text", "html", "media", "location", "choices", "reaction", "edit", "unsend"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a channel can say and what it can know, as data with its source beside it.

    `max_text` in characters, `max_media` in bytes, `per_second` sends per account.
    `confirms` is the best status the channel will ever report.
    """

    says: frozenset[Shape]
    hears: frozenset[Shape]
    max_text: int
    max_media: int
    confirms: Literal["sent", "delivered", "read"]
    idempotent: bool  # the same delivery handed over twice arrives once
    per_second: float
    typing: bool = False
    subject: bool = False  # messages are letters: they have a subject and may be held back to be undone
    window_hours: int | None = None  # hours after the customer's last message in which we may write freely
    reconcile_seconds: int = 600  # how long an unknown outcome waits for the provider's word


@dataclass(frozen=True, slots=True)
class Account:
    """One configured instance of a channel, its secrets opened."""

    id: AccountId
    channel: str
    brand_id: BrandId
    name: str
    settings: Mapping[str, str]
    enabled: bool = True

    def setting(self, name: str, default: str = "") -> str:
        return self.settings.get(name) or default


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a channel declares about itself; forms, icons and limits come from here alone."""

    name: str
    title: str
    identifier_kinds: tuple[IdentifierKind, ...]
    settings: tuple[Field, ...]
    capabilities: Capabilities
    honesty: Literal["L1", "L2", "L3"]
