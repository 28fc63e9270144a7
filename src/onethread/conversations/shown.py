"""How contents, deliveries and reactions look in JSON, in the database as on the wire. Pure."""

from typing import Literal

from typing_extensions import TypedDict


class MediaShown(TypedDict):
    """`ref` is `file:<sha256>` once it is here, anything else while it is being fetched or failed."""

    ref: str
    name: str
    media_type: str
    size: int | None
    inline_id: str | None


class LocationShown(TypedDict):
    latitude: float
    longitude: float
    title: str


class ChoiceShown(TypedDict):
    label: str
    value: str


class CallShown(TypedDict):
    seconds: int
    answered: bool


class ContentShown(TypedDict, total=False):
    """What was said; what is empty is left out."""

    text: str
    html: str
    subject: str
    media: list[MediaShown]
    location: LocationShown
    choices: list[ChoiceShown]
    chosen: str
    quoted: str
    call: CallShown


class DeliveryShown(TypedDict):
    """One attempt to get a message to a person. `repeated`: an earlier copy may have arrived too."""

    id: str
    hop: int
    act: Literal["message", "edit", "unsend", "reaction"]
    channel: str
    account_id: str
    status: Literal["queued", "sending", "unknown", "sent", "delivered", "read", "failed", "cancelled"]
    reason: str | None
    attempts: int
    repeated: bool
    due_at: str
    changed_at: str


class ReactionShown(TypedDict):
    by_kind: Literal["customer", "agent", "key", "bot", "system"]
    by_id: str
    emoji: str
    at: str


class ReactionSeen(TypedDict):
    """A reaction as the visitor sees it: whose side it is from, not whose it is."""

    by: Literal["customer", "agent"]
    emoji: str
