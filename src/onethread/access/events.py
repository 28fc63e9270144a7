"""What this room announces."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AgentJoined:
    """Somebody accepted an invitation or was created."""

    agent_id: UUID
    role: str


@dataclass(frozen=True, slots=True)
class AgentChanged:
    """The name, role, limits or state of an agent changed; who may no longer look must be shown out."""

    agent_id: UUID
    role: str
    state: str


@dataclass(frozen=True, slots=True)
class TeamChanged:
    """A team was made, renamed, retired, or its members changed."""

    team_id: UUID


@dataclass(frozen=True, slots=True)
class BrandChanged:
    """A brand was made or its face or rules changed."""

    brand_id: UUID
