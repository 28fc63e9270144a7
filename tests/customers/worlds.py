"""Small worlds of identifiers and evidence for the identity laws."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from hypothesis import strategies as st

from onethread.customers.matching import Link, Mark, Node, Partition, Rules, partition
from onethread.customers.model import STRENGTH, EvidenceKind
from onethread.kernel.identifier import Identifier, IdentifierKind
from onethread.kernel.ids import EvidenceId, IdentifierId

RULES = Rules(shared_above=2, most_in_group=6)

KINDS: Sequence[IdentifierKind] = ("email", "phone", "line", "visitor", "card", "external")
STATEMENTS: Sequence[EvidenceKind] = tuple(STRENGTH)


@dataclass(frozen=True)
class World:
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    marks: tuple[Mark, ...]

    def partition(self, rules: Rules = RULES) -> Partition:
        return partition(self.nodes, self.links, self.marks, rules)


def node(number: int, kind: IdentifierKind, *, scope: str = "", blocked: bool = False) -> Node:
    return Node(IdentifierId(UUID(int=number)), Identifier(kind, f"{kind}-{number}", scope), blocked=blocked)


def link(number: int, a: Node, b: Node, kind: EvidenceKind = "verified", source: str = "shop") -> Link:
    low, high = sorted((a.id, b.id))
    return Link(EvidenceId(UUID(int=1000 + number)), low, high, kind, STRENGTH[kind], source, str(number))


@st.composite
def worlds(draw: st.DrawFn, *, most: int = 9) -> World:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=most))
    nodes = tuple(
        node(n, kind, scope=draw(st.sampled_from(["", "b"])), blocked=draw(st.integers(0, 9)) == 0)
        for n, kind in enumerate(kinds, start=1)
    )
    pairs = st.tuples(st.sampled_from(nodes), st.sampled_from(nodes)).filter(lambda pair: pair[0] is not pair[1])
    drawn = draw(st.lists(st.tuples(pairs, st.sampled_from(STATEMENTS)), max_size=2 * most))
    links = tuple(link(n, a, b, kind) for n, ((a, b), kind) in enumerate(drawn))
    marks = tuple(Mark(a.id, b.id) for a, b in draw(st.lists(pairs, max_size=2)))
    return World(nodes, links, marks)


def obvious_partition(world: World, rules: Rules) -> tuple[set[frozenset[IdentifierId]], set[EvidenceId]]:
    """The rules once more, slowly: every pair of groups is looked at whole. Returns (groups, suppressed)."""
    from onethread.customers import matching

    nodes = {n.id: n for n in world.nodes}
    hashes = {n.id: matching._hash_of(n) for n in world.nodes}
    joining = [e for e in world.links if e.strength >= rules.link_strength]
    groups = [frozenset({n.id}) for n in world.nodes]
    suppressed = set()
    for e in sorted(joining, key=lambda e: (-e.strength, matching._hash_of_link(e, hashes))):
        left = next(g for g in groups if e.a in g)
        right = next(g for g in groups if e.b in g)
        if any(nodes[x].blocked or is_shared(nodes[x], nodes, joining, rules) for x in (e.a, e.b)):
            suppressed.add(e.id)
        elif left != right:
            if why_impossible(left | right, nodes, world.marks, rules):
                suppressed.add(e.id)
            else:
                groups = [g for g in groups if g not in (left, right)] + [left | right]
    return set(groups), suppressed


def is_shared(one: Node, nodes: dict[IdentifierId, Node], joining: Iterable[Link], rules: Rules) -> bool:
    others = {e.a for e in joining if e.b == one.id} | {e.b for e in joining if e.a == one.id}
    if len(others) >= rules.most_in_group:
        return True
    lasting = [nodes[o].identifier for o in others if nodes[o].identifier.kind not in ("visitor", "device")]
    sorts = {(i.kind, i.scope) for i in lasting}
    return any(sum((i.kind, i.scope) == sort for i in lasting) > rules.shared_above for sort in sorts)


def why_impossible(
    group: frozenset[IdentifierId], nodes: dict[IdentifierId, Node], marks: Iterable[Mark], rules: Rules
) -> str | None:
    if len(group) > rules.most_in_group:
        return "size"
    if any(m.a in group and m.b in group for m in marks):
        return "mark"
    for kind, most in rules.limits.items():
        scopes = {nodes[x].identifier.scope for x in group if nodes[x].identifier.kind == kind}
        for scope in scopes:
            held = {i.value for x in group if (i := nodes[x].identifier).kind == kind and i.scope == scope}
            if len(held) > most:
                return kind
    return None
