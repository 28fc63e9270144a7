"""Rule 9: whatever happens is caught at listed doors only, and no call is a riddle of positions."""

import ast
from collections.abc import Iterable
from typing import Final

import pytest

from tests.house.reading import Module, house, told

MOST_POSITIONAL: Final = 5

# Where anything at all may be caught, and why.
DOORS: Final = {
    "adapters/channels/email/imap.py": "one mailbox's trouble must not end the others'",
    "adapters/channels/email/imap_session.py": "a connection is closed whatever went wrong on it",
    "adapters/channels/webchat/socket_door.py": "a socket is closed with words, whatever happened behind it",
    "adapters/channels/webchat/web.py": "a request is answered, whatever happened behind it",
    "app/guard.py": "a request is answered, whatever happened behind it",
    "app/live.py": "a socket is closed with words, whatever happened behind it",
    "app/operations.py": "looking at one thing must not hide the others",
    "app/supervision.py": "a task that crashed is started again",
    "channels/door.py": "a webhook is answered, whatever happened behind it",
    "channels/jobs.py": "an adapter that crashes is an account that is not well",
    "channels/reception.py": "whoever waits for a batch hears what became of it",
    "conversations/desk.py": "whoever waits for a reload hears what became of it",
    "conversations/media.py": "an adapter that crashes is a file that is not here yet",
    "conversations/receiving/receiver.py": "an adapter that crashes parks its receipt alone",
    "conversations/sender.py": "an adapter that crashes leaves an outcome nobody knows",
    "platform/broadcast.py": "a frame that cannot be made must not silence the next",
    "platform/db.py": "a transaction is rolled back, whatever ended it",
    "platform/events/subscribers.py": "what a hearer cannot take is put aside for a person",
    "platform/jobs.py": "a job that crashes is tried again",
    "platform/webhooks/sender.py": "a bare event is better than none",
}

# What was there before the rule; nothing is added.
LONG_ALREADY: Final = frozenset(
    [
        *("adapters/channels/webchat/visit.py:__init__", "adapters/channels/webchat/wire/reading.py:_proved"),
        *(f"conversations/actions/sending.py:{name}" for name in ("send", "start", "edit", "react", "_write", "_open")),
        *("conversations/api_conversations.py:_view", "conversations/receiving/applying.py:_apply"),
        *("conversations/receiving/batch.py:_claimed", "conversations/receiving/proving.py:_by_token"),
        *("conversations/receiving/proving.py:_by_reference", "customers/model.py:_change"),
        "platform/events/store.py:insert_dead_letter",
    ]
)


def caught_elsewhere(modules: Iterable[Module]) -> list[str]:
    """List where everything is caught although the file is no listed door."""
    return [
        f"{module.path}:{node.lineno} catches everything"
        for module in modules
        if module.path not in DOORS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        if node.type is None or {"Exception", "BaseException"} & set(_names(node.type))
    ]


def riddles(modules: Iterable[Module]) -> list[str]:
    """List the functions with too many positions; routes and commands are called by name."""
    return [
        f"{module.path}:{node.name} takes {count} by position"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not any(isinstance(decorator, ast.Call) for decorator in node.decorator_list)
        if (count := _positions(node)) > MOST_POSITIONAL and f"{module.path}:{node.name}" not in LONG_ALREADY
    ]


def _names(tree: ast.AST) -> list[str]:
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]


def _positions(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return sum(one.arg not in {"self", "cls"} for one in (*node.args.posonlyargs, *node.args.args))


def test_everything_is_caught_at_doors_only() -> None:
    broken = caught_elsewhere(house())
    assert not broken, told(broken)


def test_no_call_is_a_riddle_of_positions() -> None:
    broken = riddles(house())
    assert not broken, told(broken)


@pytest.mark.parametrize("caught", ["Exception", "(ValueError, Exception)", "BaseException"])
def test_catching_everything_elsewhere_is_found(caught: str) -> None:
    text = f"try:\n    pass\nexcept {caught}:\n    pass"
    assert len(caught_elsewhere([Module.of("customers/actions.py", text)])) == 1
    assert not caught_elsewhere([Module.of("app/guard.py", text)])


def test_a_riddle_is_found() -> None:
    assert len(riddles([Module.of("customers/actions.py", "def f(a, b, c, d, e, g): pass")])) == 1
    assert not riddles([Module.of("customers/actions.py", "def f(a, b, *, c, d, e, g): pass")])
