"""Change a conversation: who has it, how it stands, what it is about. One act, one lock, one write."""

from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import UNSET, UnsetType

from onethread.access.model import Actor
from onethread.conversations.actions.visiting import announce, visit
from onethread.conversations.events import (
    ConversationAssigned,
    ConversationChanged,
    ConversationClosed,
    ConversationReopened,
    ConversationSnoozed,
)
from onethread.conversations.model import Status
from onethread.conversations.queries import screens
from onethread.conversations.store import conversations as store
from onethread.conversations.store.conversations import Settings
from onethread.kernel.errors import Invalid
from onethread.kernel.ids import AgentId, ConversationId, TeamId
from onethread.platform.db import Tx
from onethread.platform.events.model import Fact

SUBJECT_MOST = 500  # characters


@dataclass(frozen=True, slots=True)
class Change:
    """What is to change; what is UNSET stays. None takes the conversation away from its agent or team.

    `priority` is -1 low, 0 normal, 1 high, 2 urgent. `snoozed_until` goes with the status "snoozed", always.
    """

    status: Status | UnsetType = UNSET
    snoozed_until: datetime | UnsetType = UNSET
    assignee_id: AgentId | UnsetType | None = UNSET
    team_id: TeamId | UnsetType | None = UNSET
    subject: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET

    @property
    def assigns(self) -> bool:
        return self.assignee_id is not UNSET or self.team_id is not UNSET

    @property
    def handles(self) -> bool:
        return any(part is not UNSET for part in (self.status, self.snoozed_until, self.subject, self.priority))


async def change(tx: Tx, actor: Actor, conversation_id: ConversationId, wanted: Change, now: datetime) -> None:
    """Change a conversation and announce each thing that became different.

    What is not given is taken from the locked row, so that two changes of different parts both last.
    """
    if wanted.assigns:
        actor.require("conversations.assign")
    if wanted.handles or not wanted.assigns:
        actor.require("conversations.handle")
    _check(wanted, now)
    row = await visit(tx, actor, conversation_id)
    before = await screens.settings(tx, row.conversation_id)
    after = _applied(before, wanted, now)
    if after == before:
        return
    if _owners(after) != _owners(before) and not await screens.can_be_assigned(
        tx, after.assignee_id, after.team_id, row.brand_id
    ):
        raise Invalid("There is no such active agent or team for this brand.", field="assignee_id")
    await store.write_settings(tx, row.conversation_id, after)
    for fact in _facts(actor, before, after):
        await announce(tx, actor, row, fact, now)


def _check(wanted: Change, now: datetime) -> None:
    if wanted.status == "snoozed" and wanted.snoozed_until is UNSET:
        raise Invalid("Say until when.", field="snoozed_until")
    if wanted.snoozed_until is UNSET:
        return
    if wanted.status != "snoozed":
        raise Invalid('A moment to be snoozed until goes with the status "snoozed".', field="snoozed_until")
    if wanted.snoozed_until <= now:
        raise Invalid("A conversation can only be snoozed until a moment that is still to come.", field="snoozed_until")


def _applied(before: Settings, wanted: Change, now: datetime) -> Settings:
    after = before
    if wanted.assignee_id is not UNSET:
        after = replace(after, assignee_id=wanted.assignee_id)
    if wanted.team_id is not UNSET:
        after = replace(after, team_id=wanted.team_id)
    if wanted.subject is not UNSET:
        after = replace(after, subject=wanted.subject.strip()[:SUBJECT_MOST])
    if wanted.priority is not UNSET:
        after = replace(after, priority=wanted.priority)
    if wanted.snoozed_until is not UNSET:
        return replace(after, status="snoozed", snoozed_until=wanted.snoozed_until, closed_at=None)
    if wanted.status is not UNSET and wanted.status != before.status:
        closed_at = now if wanted.status == "closed" else None
        return replace(after, status=wanted.status, snoozed_until=None, closed_at=closed_at)
    return after


def _owners(one: Settings) -> tuple[AgentId | None, TeamId | None]:
    return one.assignee_id, one.team_id


def _facts(actor: Actor, before: Settings, after: Settings) -> list[Fact]:
    facts: list[Fact] = []
    if _owners(after) != _owners(before):
        facts.append(
            ConversationAssigned(
                after.assignee_id,
                after.team_id,
                before_assignee_id=before.assignee_id,
                before_team_id=before.team_id,
            )
        )
    if (after.subject, after.priority) != (before.subject, before.priority):
        facts.append(ConversationChanged(after.subject, after.priority))
    if after.snoozed_until is not None and after.snoozed_until != before.snoozed_until:
        facts.append(ConversationSnoozed(after.snoozed_until))
    if after.status != before.status and after.status == "closed":
        facts.append(ConversationClosed())
    if after.status != before.status and after.status == "open":
        facts.append(ConversationReopened(f"{actor.name} opened it."))
    return facts
