"""What reaches or recognises a person: a kind, a scope where the id is only ours, a normal value."""

from dataclasses import dataclass
from typing import Literal

IdentifierKind = Literal[
    "email",
    "phone",
    "line",
    "messenger",
    "instagram",
    "whatsapp",
    "telegram",
    "visitor",
    "device",
    "card",
    "external",
    "custom",
]


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """A normalised identifier. `scope` is our provider, page or bot where ids are scoped by it."""

    kind: IdentifierKind
    value: str
    scope: str = ""

    def __str__(self) -> str:
        """Write it in the form it is read in again: `email:ana@example.com`, `visitor@<scope>:4f1c…`."""
        return f"{self.kind}@{self.scope}:{self.value}" if self.scope else f"{self.kind}:{self.value}"
