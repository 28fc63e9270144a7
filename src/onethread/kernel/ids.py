"""Ids: UUID version 7 (RFC 9562), so that keys of one table grow in time order."""

import os
import struct
import threading
import time
from datetime import UTC, datetime
from typing import NewType
from uuid import UUID

OrganisationId = NewType("OrganisationId", UUID)
BrandId = NewType("BrandId", UUID)
AgentId = NewType("AgentId", UUID)
TeamId = NewType("TeamId", UUID)
KeyId = NewType("KeyId", UUID)
IdentifierId = NewType("IdentifierId", UUID)
EvidenceId = NewType("EvidenceId", UUID)
CustomerId = NewType("CustomerId", UUID)
AccountId = NewType("AccountId", UUID)
ReceiptId = NewType("ReceiptId", int)
ConversationId = NewType("ConversationId", UUID)
MessageId = NewType("MessageId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
EventId = NewType("EventId", UUID)

_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_lock = threading.Lock()
_last = 0
_random: list[int] = []  # drawn many at once: the system's call costs more than the id
os.register_at_fork(after_in_child=_random.clear)


def new_id() -> UUID:
    """Return a fresh UUIDv7; within one process every id is greater than the one before."""
    global _last  # noqa: PLW0603 - one sequence for the whole process
    # 48 bits of milliseconds, 12 bits of the rest of the millisecond, 62 random bits.
    millis, rest = divmod(time.time_ns(), 1_000_000)
    stamp = (millis << 12) | (rest * 4096 // 1_000_000)
    with _lock:
        _last = stamp = stamp if stamp > _last else _last + 1
        if not _random:
            _random.extend(struct.unpack("256Q", os.urandom(256 * 8)))
        random = _random.pop()
    high, low = stamp >> 12, stamp & 0xFFF
    value = (high << 80) | (low << 64) | (random & ((1 << 62) - 1)) | _VERSION_AND_VARIANT
    return UUID(int=value)


def first_id_at(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of a moment (UTC, milliseconds): a bound for ranges of ids."""
    millis = int(moment.timestamp() * 1000)
    return UUID(int=(millis << 80) | _VERSION_AND_VARIANT)


def time_of(id_: UUID) -> datetime:
    """Return the moment (UTC, milliseconds) at which a UUIDv7 was made."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, tz=UTC)
