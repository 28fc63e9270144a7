"""The identity laws, on worlds that hypothesis makes up."""

from hypothesis import given
from hypothesis import strategies as st

from onethread.customers.matching import Link, Node, Partition, Rules, customer_born_with, partition
from onethread.kernel.ids import IdentifierId
from tests.customers.worlds import RULES, World, is_shared, obvious_partition, why_impossible, worlds


@given(worlds(), st.randoms())
def test_order_and_repetition_of_evidence_do_not_matter(world: World, random: st.DataObject) -> None:
    before = world.partition()
    nodes, links, marks = list(world.nodes), list(world.links) * 2, list(world.marks) * 2
    for pile in (nodes, links, marks):
        random.shuffle(pile)
    assert partition(nodes, links, marks, RULES) == before


@given(worlds())
def test_the_partition_is_what_the_rules_say(world: World) -> None:
    found = world.partition()
    groups, suppressed = obvious_partition(world, RULES)
    assert set(found.groups.values()) == groups
    assert set(found.suppressed) == suppressed


@given(worlds())
def test_no_customer_breaks_a_limit_or_a_mark(world: World) -> None:
    nodes = {node.id: node for node in world.nodes}
    for members in world.partition().groups.values():
        assert why_impossible(members, nodes, world.marks, RULES) is None


@given(worlds())
def test_blocked_and_shared_identifiers_stay_alone(world: World) -> None:
    nodes = {node.id: node for node in world.nodes}
    joining = [link for link in world.links if RULES.joins(link)]
    found = world.partition()
    for members in found.groups.values():
        if len(members) > 1:
            assert not any(nodes[m].blocked or is_shared(nodes[m], nodes, joining, RULES) for m in members)
    assert set(found.shared) == {n.id for n in world.nodes if is_shared(n, nodes, joining, RULES)}


@given(worlds())
def test_every_customer_id_ever_given_resolves(world: World) -> None:
    found = world.partition()
    for node in world.nodes:
        own = customer_born_with(node.id)
        current = found.superseded.get(own, own)
        assert node.id in found.groups[current]
        assert current not in found.superseded


@given(worlds())
def test_only_what_joins_or_could_have_joined_is_told(world: World) -> None:
    found = world.partition()
    for link in world.links:
        together = found.customer_of[link.a] == found.customer_of[link.b]
        if RULES.joins(link):
            assert together != (link.id in found.suppressed)
        else:
            assert link.id not in found.suppressed


class Live:
    """Membership kept up piece by piece, each time recomputing only what a change can touch."""

    def __init__(self, world: World) -> None:
        self.world = World(world.nodes, (), world.marks)
        self.now = self.world.partition()

    def change(self, links: tuple[Link, ...]) -> None:
        changed = set(links) ^ set(self.world.links)
        revoked = set(self.world.links) - set(links)
        self.world = World(self.world.nodes, links, self.world.marks)
        ends = {end for link in changed for end in (link.a, link.b)}
        opened = {end for link in revoked for end in (link.a, link.b)}
        nodes, near = self._component(ends, opened)
        found = partition(nodes, near, self.world.marks, RULES)
        closed = {node.id for node in nodes if node.shared}
        inner = {id_: c for id_, c in found.customer_of.items() if id_ not in closed}
        ids = {node.id for node in nodes} - closed
        self.now = Partition(
            {**self.now.customer_of, **inner},
            {
                link.id: why
                for link in links
                if (why := found.suppressed.get(link.id) if link in near else self.now.suppressed.get(link.id))
            },
            {**{k: v for k, v in self.now.shared.items() if k not in ids}, **found.shared},
        )

    def _component(self, ends: set[IdentifierId], opened: set[IdentifierId]) -> tuple[list[Node], list[Link]]:
        known = {node.id: node for node in self.world.nodes}
        joining = [link for link in self.world.links if RULES.joins(link)]
        seen, near, todo, closed = set(ends), set(), list(ends), set()
        while todo:
            one = todo.pop()
            if one in self.now.shared and one not in opened:
                closed.add(one)
                continue
            for link in joining:
                if one in (link.a, link.b):
                    near.add(link)
                    todo.extend({link.a, link.b} - seen)
                    seen |= {link.a, link.b}
        nodes = []
        for id_ in seen:
            node = known[id_]
            shared = self.now.shared[id_] if id_ in closed else None
            nodes.append(Node(id_, node.identifier, node.epoch, node.blocked, shared))
        return nodes, sorted(near, key=lambda link: link.id)


@given(worlds(), st.lists(st.integers(1, 4), min_size=1), st.randoms())
def test_batches_in_any_order_recomputing_only_the_component_equal_the_whole(
    world: World, sizes: list[int], random: st.DataObject
) -> None:
    live, links, done = Live(world), list(world.links), 0
    random.shuffle(links)
    while done < len(links):
        done += sizes[done % len(sizes)]
        live.change(tuple(links[:done]))
        whole = partition(world.nodes, links[:done], world.marks, RULES)
        assert live.now.customer_of == whole.customer_of
        assert live.now.suppressed.keys() == whole.suppressed.keys()
        assert live.now.shared.keys() == whole.shared.keys()


@given(worlds(), st.data())
def test_revoking_undoes_exactly(world: World, data: st.DataObject) -> None:
    live = Live(world)
    kept = tuple(data.draw(st.lists(st.sampled_from(world.links), unique=True))) if world.links else ()
    live.change(kept)
    before = live.now
    live.change(world.links)
    live.change(kept)
    assert live.now.customer_of == before.customer_of
    assert live.now.suppressed.keys() == before.suppressed.keys()
    assert live.now.shared.keys() == before.shared.keys()


def test_a_limit_of_the_source_can_ask_for_more() -> None:
    rules = Rules(link_strength=30, link_strength_of={"kiosk": 60})
    weak = Link(*_pair(), "identify", 30, "kiosk", "1")
    strong = Link(*_pair(), "identify", 30, "shop", "1")
    assert not rules.joins(weak)
    assert rules.joins(strong)


def _pair() -> tuple:
    from uuid import UUID

    return UUID(int=1), UUID(int=2), UUID(int=3)
