"""The audit log: every administrative and privacy act of every room is recorded here."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from onethread.access.model import Actor, AuditEntry
from onethread.access.store import records
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import new_id
from onethread.platform.db import Tx


async def record_audit(
    tx: Tx,
    actor: Actor,
    act: str,
    subject_kind: str,
    subject_id: UUID | None,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    now: datetime | None = None,
) -> None:
    """Record an act (`agent.changed`) on a subject with what it changed; never with a secret."""
    await records.insert_audit(
        tx,
        AuditEntry(
            id=new_id(),
            at=now or utc_now(),
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name,
            act=act,
            subject_kind=subject_kind,
            subject_id=subject_id,
            before=before,
            after=after,
            address=actor.address,
        ),
    )


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Return only the fields that differ, of both sides."""
    differing = [field for field in after if before.get(field) != after[field]]
    return {field: before.get(field) for field in differing}, {field: after[field] for field in differing}
