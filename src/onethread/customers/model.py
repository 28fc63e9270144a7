"""The nouns of identity: sightings, evidence, customers. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID, uuid5

from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import CustomerId, EvidenceId, IdentifierId
from onethread.platform.events.model import BY_SYSTEM, By

EvidenceKind = Literal[
    "agent_confirmed",
    "verified",
    "same_paid_order",
    "token_link",
    "identify",
    "typed",
    "same_device",
]

# How much a statement proves that two identifiers are one person. By default `identify` (the customer's
# own application vouches for it with our signature) and everything above joins; the rest only suggests.
STRENGTH: Final[Mapping[EvidenceKind, int]] = {
    "agent_confirmed": 70,
    "verified": 60,
    "same_paid_order": 50,
    "token_link": 40,
    "identify": 30,
    "typed": 20,
    "same_device": 10,
}
# Somebody signed in: on a browser that was somebody else's, this begins a new epoch of it.
SIGN_INS: Final[frozenset[EvidenceKind]] = frozenset({"verified", "identify"})
BROWSERS: Final[frozenset[IdentifierKind]] = frozenset({"visitor", "device"})

_EVIDENCE: Final = UUID("0d9a4c0e-1b7f-5c36-8d5e-7a2f9f3c1e52")


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody wrote, called or looked: the identifier and what was observed on it, at a time."""

    identifier: Identifier
    name: str | None
    locale: str | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Recognised:
    """An identifier as we know it now. `fresh` when this sighting was its first."""

    identifier: Identifier
    identifier_id: IdentifierId
    customer_id: CustomerId
    epoch: int
    blocked: bool
    name: str | None
    locale: str | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class EvidenceDraft:
    """A statement that two identifiers belong to one person.

    `source` says who told us (an account, a page, an agent), `source_ref` which saying it was: the same
    pair, kind, source and reference is the same evidence however often it is told. `reason` in words.
    """

    a: IdentifierId
    b: IdentifierId
    kind: EvidenceKind
    source: str
    source_ref: str
    reason: str
    asserted_at: datetime
    by: By = BY_SYSTEM

    @property
    def id(self) -> EvidenceId:
        low, high = self.ends
        words = f"{low.hex}\0{high.hex}\0{self.kind}\0{self.source}\0{self.source_ref}"
        return EvidenceId(uuid5(_EVIDENCE, words))

    @property
    def ends(self) -> tuple[IdentifierId, IdentifierId]:
        """Both identifiers, the smaller id first."""
        return (self.a, self.b) if self.a < self.b else (self.b, self.a)

    @property
    def strength(self) -> int:
        return STRENGTH[self.kind]


@dataclass(frozen=True, slots=True)
class Asserted:
    """What came of a set of evidence.

    `added` leaves out what was known already. `customer_of` holds every identifier named, as it is now.
    `epoch_of` gives, for a browser on which somebody else had signed in, the identifier of its new epoch.
    """

    added: frozenset[EvidenceId]
    customer_of: Mapping[IdentifierId, CustomerId]
    epoch_of: Mapping[IdentifierId, IdentifierId]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why customers are being computed anew: evidence or a mark between two identifiers, in words."""

    id: UUID
    a: IdentifierId
    b: IdentifierId
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """Customers that became one (`merged`) or one that became several (`split`).

    `identifier_ids` are those that belong to another customer now than before.
    """

    act: Literal["merged", "split"]
    before: tuple[CustomerId, ...]
    after: tuple[CustomerId, ...]
    identifier_ids: tuple[IdentifierId, ...]
    cause: str
    causes: tuple[UUID, ...]


def changes(
    before: Mapping[IdentifierId, CustomerId], after: Mapping[IdentifierId, CustomerId], causes: Iterable[Cause]
) -> list[Change]:
    """Tell what happened to customers between two memberships of the same identifiers."""
    was: defaultdict[CustomerId, set[IdentifierId]] = defaultdict(set)
    now: defaultdict[CustomerId, set[IdentifierId]] = defaultdict(set)
    for id_, old in before.items():
        was[old].add(id_)
        now[after[id_]].add(id_)
    told: defaultdict[IdentifierId, list[Cause]] = defaultdict(list)
    for cause in causes:
        for end in {cause.a, cause.b}:
            told[end].append(cause)
    found = []
    for old, members in was.items():
        if len(news := {after[id_] for id_ in members}) > 1:
            found.append(_change("split", {old}, news, members, before, after, told))
    for new, members in now.items():
        if len(olds := {before[id_] for id_ in members}) > 1:
            found.append(_change("merged", olds, {new}, members, before, after, told))
    return found


def _change(
    act: Literal["merged", "split"],
    olds: set[CustomerId],
    news: set[CustomerId],
    members: set[IdentifierId],
    before: Mapping[IdentifierId, CustomerId],
    after: Mapping[IdentifierId, CustomerId],
    told: Mapping[IdentifierId, Sequence[Cause]],
) -> Change:
    causes = {cause.id: cause for id_ in sorted(members) for cause in told.get(id_, ())}
    return Change(
        act,
        before=tuple(sorted(olds)),
        after=tuple(sorted(news)),
        identifier_ids=tuple(sorted(id_ for id_ in members if before[id_] != after[id_])),
        cause=" ".join(dict.fromkeys(cause.reason for cause in causes.values())),
        causes=tuple(causes),
    )


def in_words(by: By) -> str:
    """Write who did something the way evidence keeps it: `agent:<id>`, `system`."""
    return by.kind if by.id is None else f"{by.kind}:{by.id}"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody known signed in on a browser: the evidence, its lasting end and whose that is now."""

    draft: EvidenceDraft
    browser: IdentifierId
    person: IdentifierId
    customer_id: CustomerId


@dataclass(frozen=True, slots=True)
class EarlierSignIn:
    """A valid sign-in the browser has seen before, in one of its epochs."""

    epoch: int
    person: IdentifierId
    customer_id: CustomerId
    kind: EvidenceKind
    source: str
    source_ref: str


def was_told(sign_in: SignIn, earlier: Iterable[EarlierSignIn]) -> bool:
    """Tell a repeated report of a sign-in (in whichever epoch it was) from a new one."""
    told = (sign_in.person, sign_in.draft.kind, sign_in.draft.source, sign_in.draft.source_ref)
    return any((e.person, e.kind, e.source, e.source_ref) == told for e in earlier)


def needs_new_epoch(sign_in: SignIn, earlier: Iterable[EarlierSignIn], *, epoch: int) -> bool:
    """Decide whether the browser, now in `epoch`, has passed to another person.

    What was done on it before anybody signed in belongs to the first who did; after that a different
    person starts afresh, so that neither inherits the other's history.
    """
    owners = {e.customer_id for e in earlier if e.epoch == epoch}
    return bool(owners) and sign_in.customer_id not in owners
