"""What this room announces. Every fact names the customers as they are called after it."""

from dataclasses import dataclass

from onethread.customers.model import EvidenceKind
from onethread.kernel.ids import CustomerId, EvidenceId, IdentifierId


@dataclass(frozen=True, slots=True)
class EvidenceAdded:
    """Somebody stated that two identifiers are one person; it may join them, or only suggest."""

    evidence_id: EvidenceId
    a: IdentifierId
    b: IdentifierId
    kind: EvidenceKind
    reason: str


@dataclass(frozen=True, slots=True)
class EvidenceRevoked:
    """A statement was taken back."""

    evidence_id: EvidenceId
    a: IdentifierId
    b: IdentifierId
    reason: str


@dataclass(frozen=True, slots=True)
class CustomersMerged:
    """Identifiers of several customers are one customer's now; the ids in `absorbed` resolve to it."""

    customer_id: CustomerId
    absorbed: tuple[CustomerId, ...]
    identifier_ids: tuple[IdentifierId, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class CustomerSplit:
    """One customer's identifiers are several customers' now."""

    customer_id: CustomerId
    into: tuple[CustomerId, ...]
    identifier_ids: tuple[IdentifierId, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class CustomerRenamed:
    """A newer name or language was observed on one of their identifiers; which, is there and not in the log."""

    customer_id: CustomerId


@dataclass(frozen=True, slots=True)
class SuggestionMade:
    """Two customers may be one person; the evidence is too weak to join them."""

    evidence_id: EvidenceId
    customer_id: CustomerId
    other_customer_id: CustomerId
    reason: str


@dataclass(frozen=True, slots=True)
class NotSameMarked:
    """Somebody said that two identifiers are not the same person."""

    a: IdentifierId
    b: IdentifierId
    reason: str


@dataclass(frozen=True, slots=True)
class NotSameUnmarked:
    """Such a mark was taken back."""

    a: IdentifierId
    b: IdentifierId
