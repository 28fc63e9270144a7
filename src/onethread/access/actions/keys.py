"""API keys: a machine's way in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.access import credentials, queries
from onethread.access.actions.audit import record_audit
from onethread.access.model import PERMISSIONS_OF, Actor, ApiKey, Permission, Role
from onethread.access.store import tokens
from onethread.kernel.errors import Invalid, NotFound
from onethread.kernel.ids import BrandId, KeyId, new_id
from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A fresh key and its secret, shown this once."""

    key: ApiKey
    secret: str


async def create_key(
    tx: Tx,
    actor: Actor,
    *,
    name: str,
    role: Role,
    scopes: Sequence[Permission] | None = None,
    brands: Sequence[BrandId] = (),
    expires_at: datetime | None = None,
    now: datetime,
) -> IssuedKey:
    """Issue a key that may do what its role may, narrowed to the scopes; nothing its maker may not."""
    actor.require("keys.manage")
    actor.require_power_over(role)
    actor.require_limits(brands=brands)
    granted = _granted(role, scopes)
    if await queries.known_brands(tx, brands) != set(brands):
        raise Invalid("One of these brands does not exist.", field="brands")
    if expires_at is not None and expires_at <= now:
        raise Invalid("The key would have expired already.", field="expires_at")
    new = credentials.new_key()
    key = ApiKey(
        id=KeyId(new_id()),
        name=name,
        prefix=new.prefix,
        role=role,
        scopes=None if scopes is None else sorted(granted),
        brands=list(brands),
        created_by=actor.agent_id,
        created_at=now,
        last_used_at=None,
        expires_at=expires_at,
        revoked_at=None,
    )
    await tokens.insert_key(tx, key, credentials.digest(new.secret))
    await record_audit(
        tx,
        actor,
        "key.issued",
        "key",
        key.id,
        now=now,
        after={"name": name, "role": role, "scopes": key.scopes, "brands": key.brands},
    )
    return IssuedKey(key, new.secret)


async def revoke_key(tx: Tx, actor: Actor, key_id: KeyId, *, now: datetime) -> None:
    """Revoke a key for ever; raises NotFound when none in force has the id."""
    actor.require("keys.manage")
    revoked = await tokens.revoke_key(tx, key_id, now=now)
    if revoked is None:
        raise NotFound("No key in force has this id.")
    actor.require_power_over(revoked.role)
    actor.require_limits(brands=revoked.brands)
    await record_audit(tx, actor, "key.revoked", "key", key_id, now=now, before={"name": revoked.name})


def _granted(role: Role, scopes: Sequence[Permission] | None) -> frozenset[Permission]:
    if scopes is None:
        return PERMISSIONS_OF[role]
    beyond = sorted(set(scopes) - PERMISSIONS_OF[role])
    if beyond:
        raise Invalid(f"The role {role} does not have: {', '.join(beyond)}.", field="scopes")
    return frozenset(scopes)
