"""What is said, in any shape, and the people who say it."""

from dataclasses import dataclass
from typing import Literal

from onethread.kernel.identifier import IdentifierKind


@dataclass(frozen=True, slots=True)
class Handle:
    """How a stranger names a person, before normalisation."""

    kind: IdentifierKind
    value: str
    scope: str = ""
    name: str | None = None
    locale: str | None = None


# How sure a channel is that two handles are one person; the customers room gives them their strength.
ClaimKind = Literal["verified", "token_link", "identify", "typed", "same_device"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The sender says (or a signature proves) to be this person too. `reason` in words for people."""

    handle: Handle
    kind: ClaimKind
    reason: str


@dataclass(frozen=True, slots=True)
class Media:
    """A file that came or goes. `ref` is `file:<sha256>` once stored, else what `fetch` understands.

    `size` in bytes when known; `inline_id` is the Content-ID of an image inside HTML.
    """

    ref: str
    name: str
    media_type: str
    size: int | None = None
    inline_id: str | None = None


@dataclass(frozen=True, slots=True)
class Location:
    latitude: float
    longitude: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A button or quick reply; `value` comes back when it is chosen."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call that took place. `seconds` is how long people spoke."""

    seconds: int
    answered: bool


@dataclass(frozen=True, slots=True)
class Content:
    """What is said, in any shape. `text` is always readable alone; `quoted` is what was folded away."""

    text: str = ""
    html: str | None = None
    subject: str | None = None
    media: tuple[Media, ...] = ()
    location: Location | None = None
    choices: tuple[Choice, ...] = ()
    chosen: str | None = None
    quoted: str | None = None
    call: Call | None = None
