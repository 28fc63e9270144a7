"""Who is one person: the cases people meet, one by one. The laws are in test_matching_laws.py."""

import itertools

from onethread.customers.matching import Mark, Node, Rules, customer_born_with, partition
from tests.customers.worlds import World, link, node

ANA_MAIL = node(1, "email")
ANA_PHONE = node(2, "phone")
ANA_NUMBER = node(3, "external", scope="shop")
BRUNO_MAIL = node(4, "email")
BROWSER = node(5, "visitor")
ANA_LINE = node(6, "line", scope="provider")


def together(world: World, *nodes: Node, rules: Rules | None = None) -> bool:
    found = partition(world.nodes, world.links, world.marks, rules or Rules())
    return len({found.customer_of[one.id] for one in nodes}) == 1


def test_a_stranger_is_a_customer_alone() -> None:
    found = partition([ANA_MAIL], [], [], Rules())
    assert found.customer_of == {ANA_MAIL.id: customer_born_with(ANA_MAIL.id)}


def test_evidence_joins_through_others() -> None:
    world = World((ANA_MAIL, ANA_PHONE, ANA_LINE), (link(1, ANA_MAIL, ANA_PHONE), link(2, ANA_PHONE, ANA_LINE)), ())
    assert together(world, ANA_MAIL, ANA_PHONE, ANA_LINE)


def test_what_is_typed_into_a_form_proves_nothing() -> None:
    world = World((BROWSER, ANA_MAIL), (link(1, BROWSER, ANA_MAIL, "typed"),), ())
    assert not together(world, BROWSER, ANA_MAIL)
    assert together(world, BROWSER, ANA_MAIL, rules=Rules(link_strength=20))


def test_the_customer_is_called_after_the_strongest_identifier() -> None:
    nodes = (BROWSER, ANA_LINE, ANA_PHONE, ANA_MAIL, ANA_NUMBER)
    for known in range(2, len(nodes) + 1):
        links = [link(n, a, b) for n, (a, b) in enumerate(itertools.pairwise(nodes[:known]))]
        found = partition(nodes[:known], links, [], Rules())
        assert found.customer_of[BROWSER.id] == customer_born_with(nodes[known - 1].id)
        assert found.superseded == {
            customer_born_with(one.id): customer_born_with(nodes[known - 1].id) for one in nodes[: known - 1]
        }


def test_of_two_customer_numbers_the_better_proven_one_stays() -> None:
    other = node(7, "external", scope="shop")
    links = (link(1, ANA_MAIL, other, "identify"), link(2, ANA_MAIL, ANA_NUMBER, "verified"))
    world = World((ANA_MAIL, ANA_NUMBER, other), links, ())
    assert together(world, ANA_MAIL, ANA_NUMBER)
    assert not together(world, ANA_MAIL, other)
    found = partition(world.nodes, links, (), Rules())
    assert found.suppressed == {links[0].id: "Together they would have more than 1 external of shop."}


def test_numbers_of_two_systems_are_no_conflict() -> None:
    crm = node(7, "external", scope="crm")
    world = World((ANA_MAIL, ANA_NUMBER, crm), (link(1, ANA_MAIL, ANA_NUMBER), link(2, ANA_MAIL, crm)), ())
    assert together(world, ANA_MAIL, ANA_NUMBER, crm)


def test_a_mark_outweighs_an_agent() -> None:
    links = (link(1, ANA_MAIL, BRUNO_MAIL, "agent_confirmed"),)
    world = World((ANA_MAIL, BRUNO_MAIL), links, (Mark(BRUNO_MAIL.id, ANA_MAIL.id),))
    assert not together(world, ANA_MAIL, BRUNO_MAIL)
    assert world.partition().suppressed == {links[0].id: "Somebody marked them as not the same person."}


def test_a_mark_holds_through_others_and_the_weakest_link_gives_way() -> None:
    links = (link(1, ANA_MAIL, BROWSER, "verified"), link(2, BROWSER, BRUNO_MAIL, "identify"))
    world = World((ANA_MAIL, BROWSER, BRUNO_MAIL), links, (Mark(ANA_MAIL.id, BRUNO_MAIL.id),))
    assert together(world, ANA_MAIL, BROWSER)
    assert set(world.partition().suppressed) == {links[1].id}


def test_a_blocked_value_joins_nobody() -> None:
    nobody = node(8, "external", blocked=True)
    world = World((ANA_MAIL, BRUNO_MAIL, nobody), (link(1, ANA_MAIL, nobody), link(2, nobody, BRUNO_MAIL)), ())
    assert len(world.partition().groups) == 3


def test_a_family_phone_joins_nobody() -> None:
    family = [node(10 + n, "email") for n in range(6)]
    links = [link(n, ANA_PHONE, member) for n, member in enumerate(family)]
    five = partition([ANA_PHONE, *family], links[:5], [], Rules())
    six = partition([ANA_PHONE, *family], links, [], Rules())
    assert five.shared == {}
    assert six.shared == {ANA_PHONE.id: "It is linked to 6 different email identifiers; more than 5 share it."}
    assert len(six.groups) == 7
    assert len(six.suppressed) == 6


def test_whoever_types_a_number_often_does_not_make_it_shared() -> None:
    family = [node(10 + n, "email") for n in range(9)]
    links = [link(n, ANA_PHONE, member, "typed") for n, member in enumerate(family)]
    found = partition([ANA_PHONE, ANA_LINE, *family], [*links, link(99, ANA_PHONE, ANA_LINE)], [], Rules())
    assert found.shared == {}
    assert found.customer_of[ANA_PHONE.id] == found.customer_of[ANA_LINE.id]


def test_a_hundred_browsers_of_one_person_are_fine_and_five_hundred_are_not() -> None:
    browsers = [node(1000 + n, "visitor") for n in range(500)]
    links = [link(n, ANA_MAIL, browser) for n, browser in enumerate(browsers)]
    hundred = partition([ANA_MAIL, *browsers[:100]], links[:100], [], Rules())
    assert len(hundred.groups) == 1
    crowd = partition([ANA_MAIL, *browsers], links, [], Rules())
    assert crowd.shared == {ANA_MAIL.id: "It is linked to 500 identifiers; no person has 500."}


def test_no_customer_grows_beyond_the_limit_through_a_chain() -> None:
    chain = [node(1000 + n, "email") for n in range(600)]
    links = [link(n, a, b) for n, (a, b) in enumerate(itertools.pairwise(chain))]
    found = partition(chain, links, [], Rules())
    assert max(len(group) for group in found.groups.values()) <= 500
    assert "Together they would have more than 500 identifiers." in found.suppressed.values()
