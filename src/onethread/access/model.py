"""Who acts and what they may do: roles, permissions, the actor; and the nouns of this room. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, NewType, get_args
from uuid import UUID

from onethread.kernel.errors import NotAllowed
from onethread.kernel.ids import AgentId, BrandId, KeyId, OrganisationId, TeamId
from onethread.platform.events.model import ActorKind, By

SessionId = NewType("SessionId", UUID)
InvitationId = NewType("InvitationId", UUID)


# What somebody is for.
Role = Literal["owner", "admin", "supervisor", "agent", "marketer", "shop", "read_only"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

# A permission is `<what>.<verb>`: the noun of DESIGN's word list and the least verb that names the act.
# `read` looks, `write` changes one of them in daily work, `manage` creates, configures and retires.
Permission = Literal[
    "organisation.read",
    "organisation.manage",
    "brands.manage",
    "agents.read",
    "agents.manage",
    "teams.manage",
    "keys.manage",
    "audit.read",
    "accounts.read",
    "accounts.manage",
    "receipts.read",
    "receipts.replay",
    "customers.read",
    "customers.write",
    "customers.link",
    "conversations.read",
    "conversations.reply",
    "conversations.start",
    "conversations.note",
    "conversations.handle",
    "conversations.assign",
    "files.write",
    "events.read",
    "events.replay",
    "webhooks.manage",
    "live.subscribe",
]
PERMISSIONS: Final[frozenset[Permission]] = frozenset(get_args(Permission))

_LOOKING: Final[frozenset[Permission]] = frozenset(
    {
        "organisation.read",
        "agents.read",
        "accounts.read",
        "customers.read",
        "conversations.read",
        "live.subscribe",
    }
)
_SERVING: Final[frozenset[Permission]] = _LOOKING | {
    "customers.write",
    "conversations.reply",
    "conversations.note",
    "conversations.handle",
    "files.write",
}
_LEADING: Final[frozenset[Permission]] = _SERVING | {
    "customers.link",
    "conversations.start",
    "conversations.assign",
    "teams.manage",
    "receipts.read",
    "events.read",
}

PERMISSIONS_OF: Final[Mapping[Role, frozenset[Permission]]] = {
    "owner": PERMISSIONS,
    "admin": PERMISSIONS,
    "supervisor": _LEADING,
    "agent": _SERVING | {"customers.link", "conversations.start", "conversations.assign"},
    "marketer": _LOOKING | {"events.read", "files.write"},
    "shop": _SERVING,
    "read_only": _LOOKING | {"events.read"},
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is acting, with everything a decision about them needs.

    `brands` and `teams` are limits: None means all of them. A customer has no role. `session` is set
    for an agent who came with a browser session, `address` for whoever came over the network.
    """

    kind: ActorKind
    name: str
    role: Role | None
    permissions: frozenset[Permission]
    id: UUID | None = None
    brands: frozenset[BrandId] | None = None
    teams: frozenset[TeamId] | None = None
    session: SessionId | None = None
    address: str | None = None

    @property
    def by(self) -> By:
        """The same as the event log writes it."""
        return By(self.kind, self.id)

    @property
    def agent_id(self) -> AgentId | None:
        """The agent who acts, None for a key, a customer or the system."""
        return AgentId(self.id) if self.kind == "agent" and self.id is not None else None

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor holds the permission."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raise NotAllowed, naming what is missing and who could help, unless the actor holds it."""
        if permission not in self.permissions:
            raise NotAllowed(
                f"This needs the permission {permission}, which {_who_lacks_it(self)} does not have. "
                f"{_who_has_it(permission)}",
                permission=permission,
            )

    def require_power_over(self, role: Role) -> None:
        """Raise NotAllowed unless the actor may give, change and take away the role.

        Nobody gives what they (or a key with few scopes) may not do themselves, and only owners make owners.
        """
        if not PERMISSIONS_OF[role] <= self.permissions or (role == "owner" and self.role != "owner"):
            raise NotAllowed(f"Only {_who_has_power_over(role)} may do this to the role {role}.", role=role)

    def require_power_over_agent(self, agent: "Agent") -> None:
        """Raise NotAllowed unless the actor may change this agent: their role, and all of their brands."""
        self.require_power_over(agent.role)
        self.require_limits(brands=agent.brands)

    def require_limits(self, *, brands: Collection[BrandId]) -> None:
        """Raise NotAllowed unless these brands (none: every brand) lie within the actor's own limits."""
        if self.brands is not None and not (brands and self.brands.issuperset(brands)):
            raise NotAllowed("This reaches beyond the brands you work for yourself.")

    def sees_brand(self, brand_id: BrandId) -> bool:
        """Tell whether the brand is within the actor's limits."""
        return self.brands is None or brand_id in self.brands

    def require_brand(self, brand_id: BrandId) -> None:
        """Raise NotAllowed unless the brand is within the actor's limits."""
        if not self.sees_brand(brand_id):
            raise NotAllowed("This belongs to a brand you do not work for.", brand_id=str(brand_id))

    def require_no_limits(self, what: str) -> None:
        """Raise NotAllowed unless the actor works for every brand and team, which reading `what` needs."""
        if self.brands is not None or self.teams is not None:
            raise NotAllowed(f"{what} not cut by brands and teams; somebody without such limits must see to it.")

    def sees(self, brand_id: BrandId, team_id: TeamId | None, assignee_id: AgentId | None) -> bool:
        """Tell whether work of this brand, team and assignee is within the actor's limits.

        Whoever is limited to teams sees the work of those teams and their own, nothing else.
        """
        if not self.sees_brand(brand_id):
            return False
        if self.teams is None or (assignee_id is not None and assignee_id == self.agent_id):
            return True
        return team_id in self.teams

    def narrowed(self, scopes: frozenset[Permission] | None) -> "Actor":
        """Return the actor with only those of its permissions that the scopes name; None keeps all."""
        return self if scopes is None else replace(self, permissions=self.permissions & scopes)


SYSTEM: Final = Actor("system", "Onethread", "owner", PERMISSIONS)


def _who_lacks_it(actor: Actor) -> str:
    return f"the role {actor.role}" if actor.kind == "agent" and actor.role else f"this {actor.kind}"


def _who_has_it(permission: Permission) -> str:
    holders = [role for role in ROLES if permission in PERMISSIONS_OF[role]]
    return f"Roles that have it: {', '.join(holders)}."


def _who_has_power_over(role: Role) -> str:
    if role == "owner":
        return role
    return " or ".join(other for other in ROLES if PERMISSIONS_OF[role] <= PERMISSIONS_OF[other])


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whose installation this is: exactly one."""

    id: OrganisationId
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Brand:
    """A face of the organisation.

    `default_country` is ISO 3166-1 alpha-2 and reads phone numbers written without a country;
    `reopen_days` is how long after closing a customer's answer reopens a conversation;
    `undo_seconds` is how long an answer waits before it leaves; `colours` are CSS colours by use.
    """

    id: BrandId
    name: str
    slug: str
    default_country: str
    locale: str
    time_zone: str
    reopen_days: int
    undo_seconds: int
    colours: Mapping[str, str]
    created_at: datetime


AgentState = Literal["active", "disabled"]


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody who works here. An empty `brands` means every brand."""

    id: AgentId
    email: str
    name: str
    role: Role
    locale: str
    time_zone: str
    state: AgentState
    only_own_teams: bool
    teams: Sequence[TeamId]
    brands: Sequence[BrandId]
    second_factor: bool
    has_password: bool
    created_at: datetime
    signed_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class Team:
    """Agents who share work."""

    id: TeamId
    name: str
    active: bool
    members: Sequence[AgentId]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in."""

    id: SessionId
    way: "SignInWay"
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    user_agent: str
    address: str | None


SignInWay = Literal["password", "oidc"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """An offer to join, sent by mail and good once."""

    id: InvitationId
    email: str
    name: str
    role: Role
    only_own_teams: bool
    teams: Sequence[TeamId]
    brands: Sequence[BrandId]
    invited_by: AgentId | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A machine's way in. `prefix` is the part of it that may be shown; `scopes` None means all of its role's."""

    id: KeyId
    name: str
    prefix: str
    role: Role
    scopes: Sequence[Permission] | None
    brands: Sequence[BrandId]
    created_by: AgentId | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One administrative act: who did what to what, from which address, and what it changed."""

    id: UUID
    at: datetime
    actor_kind: ActorKind
    actor_id: UUID | None
    actor_name: str
    act: str
    subject_kind: str
    subject_id: UUID | None
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    address: str | None


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """The sign-in server of the organisation (OpenID Connect), as its administrator registered us there."""

    issuer: str
    client_id: str
    client_secret: str
    name: str = "Single sign-on"


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What the operator decided about signing in.

    `public_url` is where browsers reach us, without a slash at the end. A session ends after `idle`
    without a request and in any case after `absolute`.
    """

    public_url: str
    session_idle: timedelta = timedelta(hours=24)
    session_absolute: timedelta = timedelta(days=14)
    oidc: OidcProvider | None = None
