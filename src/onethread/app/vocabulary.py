"""Every type of event there is: the facts of all rooms, by name."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import ModuleType
from typing import Final

from onethread.access import events as access
from onethread.channels import events as channels
from onethread.conversations import events as conversations
from onethread.customers import events as customers

_ROOMS: Final = (access, customers, channels, conversations)


def _facts(room: ModuleType) -> dict[str, type]:
    """Return the facts a room announces."""
    return {
        name: thing
        for name, thing in vars(room).items()
        if isinstance(thing, type) and is_dataclass(thing) and thing.__module__ == room.__name__
        if not name.startswith("_")
    }


FACTS: Final[Mapping[str, type]] = {name: fact for room in _ROOMS for name, fact in _facts(room).items()}
EVENT_TYPES: Final = frozenset(FACTS)
