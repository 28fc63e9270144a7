"""Webhooks and their deliveries as values, and what an answer of the other side means. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NewType
from urllib.parse import urlsplit
from uuid import UUID

from onethread.kernel.errors import Invalid
from onethread.kernel.ids import BrandId, EventId

WebhookId = NewType("WebhookId", UUID)

EVERY_TYPE: Final = "*"
PING: Final = "webhook.ping"
ROTATION: Final = timedelta(hours=24)  # how long the old secret goes on signing

# Waits before the second, third… attempt: 1 + 7 attempts over 31 hours and 43 minutes.
_WAITS: Final = (5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0, 86_400.0)
_JITTER = 0.2  # a wait may be a fifth shorter or longer, so that failures do not come back in step
_LONGEST_URL = 2_000
_MOST_TYPES = 100

DeliveryState = Literal["waiting", "delivered", "dead"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A subscription: `types` are event types or `*`; `brand_id` None means every brand."""

    id: WebhookId
    url: str
    types: Sequence[str]
    brand_id: BrandId | None
    enabled: bool
    disabled_reason: str | None
    old_secret_ends: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook. `status` and `error` are of the last attempt."""

    id: int
    webhook_id: WebhookId
    event_id: EventId
    event_seq: int
    event_type: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    status: int | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: an HTTP status, or None and the reason in words. `retry_after` in seconds.

    `final`: it was us who refused, and another attempt would be refused as well.
    """

    status: int | None
    error: str = ""
    retry_after: float | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side took it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Dead:
    """No more attempts by itself; it waits for a person."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The other side wants nothing any more: the webhook is disabled."""

    reason: str


Verdict = Delivered | Again | Dead | Stopped


def judge(answer: Answer, *, attempts: int, chance: float) -> Verdict:
    """Decide what follows from an answer to attempt number `attempts`; `chance` in [0, 1) spreads the waits."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Delivered()
    if answer.status == 410:
        return Stopped("The address answered 410 Gone.")
    if answer.final or attempts > len(_WAITS):
        return Dead()
    wait = _WAITS[attempts - 1] * (1 + _JITTER * (2 * chance - 1))
    # A polite "later" is honoured, but nobody may put us off for longer than our own longest wait.
    return Again(min(max(wait, answer.retry_after or 0.0), _WAITS[-1]))


def check_url(url: str) -> str:
    """Return the address when events can be sent to it; raise Invalid, in words, when not."""
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise Invalid("The address is too long or holds characters an address cannot have.", field="url")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Invalid("This is not a web address.", field="url") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise Invalid("The address must begin with https:// (or http://) and name a host.", field="url")
    if parts.username is not None or parts.password is not None:
        raise Invalid("The address must not carry a user name or password; requests are signed.", field="url")
    if parts.fragment:
        raise Invalid("The address must not have a #fragment.", field="url")
    return url


def check_types(types: Sequence[str], known: frozenset[str]) -> list[str]:
    """Return the types once each and in order; raise Invalid for none, too many or an unknown one."""
    if not types or len(types) > _MOST_TYPES:
        raise Invalid(f"Name 1 to {_MOST_TYPES} event types, or * for every type.", field="types")
    unknown = sorted(set(types) - known - {EVERY_TYPE})
    if unknown:
        raise Invalid(f"There is no event type {unknown[0]}.", field="types", known=sorted(known))
    return [EVERY_TYPE] if EVERY_TYPE in types else sorted(set(types))
