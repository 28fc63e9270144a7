"""What every channel must be able to do, and the few words it speaks with us.

An adapter translates: strangers' bytes into the shapes of this page, our messages into strangers'
calls. It decides nothing. `split` and `parse` are pure; `send` is the only way out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from onethread.kernel.errors import NotSignedIn, Refused
from onethread.kernel.identifier import IdentifierKind
from onethread.kernel.ids import AccountId, BrandId, ConversationId, DeliveryId, MessageId

# ---------------------------------------------------------------- what an account is


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


# ---------------------------------------------------------------- what comes in


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


# Whether the channel vouches that the sender is who the address says.
Trust = Literal["verified", "unverified", "failed"]


@dataclass(frozen=True, slots=True)
class MessageCame:
    """A message. `answers` are external ids it replies to, nearest first; `token` is our reply token.

    `automatic` marks what no person wrote (auto-replies, lists): kept, but it wakes nobody.
    """

    external_id: str
    sender: Handle
    at: datetime
    content: Content
    answers: tuple[str, ...] = ()
    token: str | None = None
    claims: tuple[Claim, ...] = ()
    trust: Trust = "unverified"
    trust_reason: str = ""
    automatic: bool = False


StatusWord = Literal["sent", "delivered", "read", "failed"]


@dataclass(frozen=True, slots=True)
class StatusCame:
    """News of a delivery, found by the provider's id or by our delivery id.

    `permanent` failures say the address itself cannot be reached; `complaint`: do not market to it.
    """

    status: StatusWord
    at: datetime
    external_id: str | None = None
    delivery_id: DeliveryId | None = None
    reason: str = ""
    permanent: bool = False
    complaint: bool = False


@dataclass(frozen=True, slots=True)
class ReactionCame:
    """`emoji` None takes the reaction back."""

    sender: Handle
    target: str
    emoji: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class EditCame:
    sender: Handle
    target: str
    content: Content
    at: datetime


@dataclass(frozen=True, slots=True)
class UnsendCame:
    sender: Handle
    target: str
    at: datetime


@dataclass(frozen=True, slots=True)
class OptedOut:
    sender: Handle
    purpose: Literal["service", "marketing", "all"]
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class OptedIn:
    sender: Handle
    purpose: Literal["service", "marketing", "all"]
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CallCame:
    """A call that was made to us: who, when and how long (seconds)."""

    external_id: str
    sender: Handle
    at: datetime
    seconds: int
    answered: bool


@dataclass(frozen=True, slots=True)
class KnownAs:
    """The sender is known by other handles too, without having said anything (a log-in, a form)."""

    sender: Handle
    claims: tuple[Claim, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing for us in it; `why` is counted and shown."""

    why: str


Came = (
    MessageCame | StatusCame | ReactionCame | EditCame | UnsendCame | OptedOut | OptedIn | CallCame | KnownAs | Ignored
)


# ---------------------------------------------------------------- what goes out


Act = Literal["message", "edit", "unsend", "reaction"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One delivery handed to a channel. `delivery_id` is our reference at the provider.

    `answers` are external ids of the messages this one follows, nearest first. `token` brings the
    answer back into this conversation. `target` is the provider's id of the message an edit, unsend
    or reaction speaks of. `repeated` says an earlier attempt may have arrived.
    """

    delivery_id: DeliveryId
    message_id: MessageId
    conversation_id: ConversationId
    act: Act
    to: Handle
    content: Content
    sender_name: str
    brand_name: str
    locale: str
    sent_at: datetime
    answers: tuple[str, ...] = ()
    token: str = ""
    target: str | None = None
    emoji: str | None = None
    unsubscribe_url: str | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider has it. `external_id` is its id for the message; `status` what we know already."""

    external_id: str
    status: Literal["sent", "delivered"] = "sent"


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now: the same delivery again after so many seconds."""

    after: float
    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """This address cannot be reached over this channel. `permanent`: do not try it again."""

    reason: str
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class WindowClosed:
    reason: str


@dataclass(frozen=True, slots=True)
class NeedsConsent:
    reason: str


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """The account itself needs a person (a wrong password, a revoked token): `what` says how to mend it."""

    what: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been sent or not. Nothing is tried before the provider spoke or its time ran out."""

    reason: str


Outcome = Sent | TryLater | Unreachable | WindowClosed | NeedsConsent | NeedsAttention | Unknown


@dataclass(frozen=True, slots=True)
class Health:
    """How an account is. `what` says in words what is wrong and how to mend it."""

    well: bool
    what: str = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """A fetched file."""

    body: bytes
    media_type: str
    name: str


# ---------------------------------------------------------------- the contract


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a channel declares about itself; forms, icons and limits come from here alone."""

    name: str
    title: str
    identifier_kinds: tuple[IdentifierKind, ...]
    settings: tuple[Field, ...]
    capabilities: Capabilities
    honesty: Literal["L1", "L2", "L3"]


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


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: no letter looks like a digit


def reference_of(id_: UUID) -> str:
    """Return the short form of an id (26 letters and digits, no case) for addresses and headers."""
    value, letters = id_.int, []
    for _ in range(26):
        value, rest = divmod(value, 32)
        letters.append(_ALPHABET[rest])
    return "".join(reversed(letters))


def id_of_reference(reference: str) -> UUID | None:
    """Return the id a short form stands for, or None when it is not one."""
    if len(reference) != 26:
        return None
    value = 0
    for letter in reference.lower():
        digit = _ALPHABET.find(letter)
        if digit < 0:
            return None
        value = value * 32 + digit
    return UUID(int=value) if value < 1 << 128 else None
