"""Who is one person: the partition of identifiers into customers as a pure function of the evidence.

Nothing here knows when anything arrived. Evidence is taken from the strongest to the weakest, ties by
a hash of what it says, and joins its two ends unless that would break a rule; what is not joined keeps
its reason. So any order, duplication or batching of the same evidence makes the same customers, and
taking one piece away gives exactly what would have been without it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Final
from uuid import UUID

from onethread.customers.model import EvidenceKind
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import CustomerId, EvidenceId, IdentifierId

_CUSTOMER: Final = 0x1A3E_0D6F_3B1C_7A11  # 62 bits: turns only the random end of an id

# Which identifier a customer is called after: what a company gave before what a browser made up.
_WORTH: Final[Mapping[IdentifierKind, int]] = {
    "external": 6,
    "card": 5,
    "email": 4,
    "phone": 3,
    "line": 2,
    "whatsapp": 2,
    "messenger": 2,
    "instagram": 2,
    "telegram": 2,
    "custom": 2,
    "device": 1,
    "visitor": 0,
}
# These come and go with a browser; many of them on one person say nothing.
_FLEETING: Final[frozenset[IdentifierKind]] = frozenset({"visitor", "device"})


@dataclass(frozen=True, slots=True)
class Node:
    """An identifier to be placed. `shared` is set when it is already known to be shared (and why):
    then its evidence need not be complete."""

    id: IdentifierId
    identifier: Identifier
    epoch: int = 0
    blocked: bool = False
    shared: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One piece of valid evidence."""

    id: EvidenceId
    a: IdentifierId
    b: IdentifierId
    kind: EvidenceKind
    strength: int
    source: str
    source_ref: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A person said that these are not the same person."""

    a: IdentifierId
    b: IdentifierId


@dataclass(frozen=True, slots=True)
class Rules:
    """What the company decided. `link_strength_of` overrides `link_strength` by source of evidence.

    `limits`: how many identifiers of a kind, within one scope, a customer may have.
    `shared_above`: more lasting identifiers of one kind and scope than this mean a shared identifier.
    `most_in_group`: no customer has more identifiers than this.
    """

    link_strength: int = 30
    link_strength_of: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[IdentifierKind, int] = field(default_factory=lambda: {"card": 1, "external": 1})
    shared_above: int = 5
    most_in_group: int = 500

    def joins(self, link: Link) -> bool:
        """Tell evidence that joins from evidence that only suggests."""
        return link.strength >= self.link_strength_of.get(link.source, self.link_strength)


@dataclass(frozen=True)
class Partition:
    """Who is one person. `suppressed` and `shared` say in words why something was not joined."""

    customer_of: Mapping[IdentifierId, CustomerId]
    suppressed: Mapping[EvidenceId, str]
    shared: Mapping[IdentifierId, str]

    @cached_property
    def groups(self) -> Mapping[CustomerId, frozenset[IdentifierId]]:
        members: defaultdict[CustomerId, set[IdentifierId]] = defaultdict(set)
        for identifier_id, customer_id in self.customer_of.items():
            members[customer_id].add(identifier_id)
        return {customer_id: frozenset(group) for customer_id, group in members.items()}

    @cached_property
    def superseded(self) -> Mapping[CustomerId, CustomerId]:
        """Every customer id that stands for another one now."""
        born = ((customer_born_with(i), customer_id) for i, customer_id in self.customer_of.items())
        return {own: current for own, current in born if own != current}


def customer_born_with(identifier_id: IdentifierId) -> CustomerId:
    """Return the id of the customer who is anchored at an identifier, alone or joined with others.

    A turn of the random bits and not a hash: customers keep the order of time their identifiers have,
    and with it the narrow end of every index they are written to.
    """
    return CustomerId(UUID(int=identifier_id.int ^ _CUSTOMER))


def partition(nodes: Iterable[Node], links: Iterable[Link], marks: Iterable[Mark], rules: Rules) -> Partition:
    """Join what the evidence joins. Every end of a link must be among the nodes."""
    known = {node.id: node for node in nodes}
    hashes = {node.id: _hash_of(node) for node in known.values()}
    joining = {link.id: link for link in links if rules.joins(link)}
    shared = _shared(known, joining.values(), rules)
    groups = _Groups(known, marks, rules)
    suppressed: dict[EvidenceId, str] = {}
    for link in sorted(joining.values(), key=lambda link: (-link.strength, _hash_of_link(link, hashes))):
        reason = _apart(known[link.a], shared) or _apart(known[link.b], shared) or groups.join(link.a, link.b)
        if reason:
            suppressed[link.id] = reason
    customer_of: dict[IdentifierId, CustomerId] = {}
    for members in groups.all():
        anchor = min(members, key=lambda id_: (-_WORTH[known[id_].identifier.kind], hashes[id_]))
        customer_of.update(dict.fromkeys(members, customer_born_with(anchor)))
    return Partition(customer_of, suppressed, shared)


def _hash_of(node: Node) -> bytes:
    """A fixed order of identifiers that has nothing to do with when they came."""
    identifier = node.identifier
    words = f"{identifier.kind}\0{identifier.scope}\0{identifier.value}\0{node.epoch}"
    return blake2b(words.encode(), digest_size=16).digest()


def _hash_of_link(link: Link, hashes: Mapping[IdentifierId, bytes]) -> bytes:
    low, high = sorted((hashes[link.a], hashes[link.b]))
    words = f"{link.kind}\0{link.source}\0{link.source_ref}".encode()
    return blake2b(low + high + words, digest_size=16).digest()


def _shared(known: Mapping[IdentifierId, Node], joining: Iterable[Link], rules: Rules) -> dict[IdentifierId, str]:
    """Find the family phone and the shop tablet.

    Only evidence that would join counts, or whoever types a stranger's number often enough could cut
    that stranger apart. It is counted by kind and scope: six channels of one person are no crowd.
    """
    neighbours: defaultdict[IdentifierId, set[IdentifierId]] = defaultdict(set)
    for link in joining:
        neighbours[link.a].add(link.b)
        neighbours[link.b].add(link.a)
    shared = {node.id: node.shared for node in known.values() if node.shared is not None}
    for id_, others in neighbours.items():
        reason = _why_shared([known[other].identifier for other in others], rules)
        if reason:
            shared.setdefault(id_, reason)
    return shared


def _why_shared(others: list[Identifier], rules: Rules) -> str | None:
    counts: defaultdict[tuple[IdentifierKind, str], int] = defaultdict(int)
    for other in others:
        if other.kind not in _FLEETING:
            counts[other.kind, other.scope] += 1
    crowd = max(((count, kind) for (kind, _), count in counts.items()), default=(0, ""))
    if crowd[0] > rules.shared_above:
        return f"It is linked to {crowd[0]} different {crowd[1]} identifiers; more than {rules.shared_above} share it."
    if len(others) >= rules.most_in_group:
        return f"It is linked to {len(others)} identifiers; no person has {rules.most_in_group}."
    return None


def _apart(node: Node, shared: Mapping[IdentifierId, str]) -> str | None:
    if node.blocked:
        return f"This {node.identifier.kind} is blocked: it stands for nobody."
    if node.id in shared:
        return f"This {node.identifier.kind} is shared by several people."
    return None


class _Groups:
    """Disjoint groups that know their sizes, what is limited in them and who must stay out."""

    def __init__(self, known: Mapping[IdentifierId, Node], marks: Iterable[Mark], rules: Rules) -> None:
        self._rules = rules
        self._home = {id_: id_ for id_ in known}
        self._members: dict[IdentifierId, list[IdentifierId]] = {id_: [id_] for id_ in known}
        self._limited: dict[IdentifierId, dict[tuple[IdentifierKind, str], set[str]]] = {}
        for node in known.values():
            identifier = node.identifier
            if identifier.kind in rules.limits:
                self._limited[node.id] = {(identifier.kind, identifier.scope): {identifier.value}}
        self._marked: defaultdict[IdentifierId, set[IdentifierId]] = defaultdict(set)
        for mark in marks:
            self._marked[mark.a].add(mark.b)
            self._marked[mark.b].add(mark.a)

    def all(self) -> Iterable[list[IdentifierId]]:
        return self._members.values()

    def join(self, a: IdentifierId, b: IdentifierId) -> str | None:
        """Make the groups of two identifiers one, or return in words why that must not be."""
        large, small = self._home[a], self._home[b]
        if large == small:
            return None
        if len(self._members[large]) < len(self._members[small]):
            large, small = small, large
        reason = self._too_large(large, small) or self._against_mark(large, small) or self._over_limit(large, small)
        if reason is None:
            self._absorb(large, small)
        return reason

    def _too_large(self, large: IdentifierId, small: IdentifierId) -> str | None:
        most = self._rules.most_in_group
        if len(self._members[large]) + len(self._members[small]) > most:
            return f"Together they would have more than {most} identifiers."
        return None

    def _against_mark(self, large: IdentifierId, small: IdentifierId) -> str | None:
        for member in self._members[small]:
            if any(self._home.get(other) == large for other in self._marked.get(member, ())):
                return "Somebody marked them as not the same person."
        return None

    def _over_limit(self, large: IdentifierId, small: IdentifierId) -> str | None:
        of_large = self._limited.get(large, {})
        for (kind, scope), values in sorted(self._limited.get(small, {}).items()):
            most = self._rules.limits[kind]
            if len(values | of_large.get((kind, scope), set())) > most:
                return f"Together they would have more than {most} {kind}{' of ' + scope if scope else ''}."
        return None

    def _absorb(self, large: IdentifierId, small: IdentifierId) -> None:
        moved = self._members.pop(small)
        for member in moved:
            self._home[member] = large
        self._members[large].extend(moved)
        for key, values in self._limited.pop(small, {}).items():
            self._limited.setdefault(large, {}).setdefault(key, set()).update(values)
