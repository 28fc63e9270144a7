"""Rule 6: who hears which event is written on one page, app/switchboard.py."""

from collections.abc import Iterable

import pytest

from tests.house.reading import Module, house, told

THE_PAGE = "app/switchboard.py"
THE_MACHINES = "platform/"  # a machine knows no room, so it cannot wire one


def wired_elsewhere(modules: Iterable[Module]) -> list[str]:
    """List the subscriptions made outside the one page."""
    return [
        f"{module.path}:{line} wires a subscriber"
        for module in modules
        if module.path != THE_PAGE and not module.path.startswith(THE_MACHINES)
        for call, line in module.calls()
        if call.rpartition(".")[2] == "Subscriber"
    ]


def test_only_the_switchboard_wires_subscribers() -> None:
    broken = wired_elsewhere(house())
    assert not broken, told(broken)


@pytest.mark.parametrize("call", ["Subscriber('inbox', hear)", "subscribers.Subscriber(name='inbox', hear=hear)"])
def test_a_subscriber_wired_elsewhere_is_found(call: str) -> None:
    assert len(wired_elsewhere([Module.of("conversations/actions.py", call)])) == 1
    assert not wired_elsewhere([Module.of(THE_PAGE, call)])
