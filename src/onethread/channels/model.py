"""Accounts and receipts as values, and the decisions about them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal
from zlib import crc32

from onethread.channels.contract import Declaration, Field
from onethread.kernel.errors import Invalid
from onethread.kernel.ids import AccountId, BrandId

_LONGEST_ID: Final = 500  # characters; an index row of PostgreSQL has 2,700 bytes
_HALF_LETTERS: Final = re.compile("[\ud800-\udfff]")
LANES: Final = 8  # one sender's receipts share a lane; a lane is handled by one worker at a time

ReceiptState = Literal["waiting", "applied", "parked", "dismissed"]


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt as the store keeps it; `seq` is the order in which it came."""

    seq: int
    account_id: AccountId
    external_id: str
    sender: str
    form: str
    body: bytes
    received_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """A receipt as a list shows it. `size` in bytes."""

    seq: int
    account_id: AccountId
    channel: str
    external_id: str
    form: str
    size: int
    state: ReceiptState
    reason: str | None
    attempts: int
    received_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account as screens show it: open settings, and which secrets are set."""

    id: AccountId
    channel: str
    brand_id: BrandId
    name: str
    settings: Mapping[str, str]
    secrets_set: tuple[str, ...]
    enabled: bool
    well: bool | None
    health: str
    health_at: datetime | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a receipt: applied (with an optional remark), parked, or to be tried again later."""

    seq: int
    state: Literal["applied", "parked", "waiting"]
    reason: str | None = None
    retry_seconds: float = 0.0


def fitting(id_: str) -> str:
    """Return a stranger's id as it can be kept and indexed: itself, or its digest when it is odd or endless."""
    if len(id_) <= _LONGEST_ID and "\0" not in id_ and (id_.isascii() or not _HALF_LETTERS.search(id_)):
        return id_
    return f"sha256:{sha256(id_.encode('utf-8', 'surrogatepass')).hexdigest()}"


def lane_of(sender: str) -> int:
    """Return the lane of a sender: the same for ever, whatever the account."""
    return crc32(sender.encode("utf-8", "surrogatepass")) % LANES


@dataclass(frozen=True, slots=True)
class CheckedSettings:
    """Settings sorted into what may be seen and what is kept encrypted."""

    open: Mapping[str, str]
    secret: Mapping[str, str]


def check_settings(declaration: Declaration, given: Mapping[str, str], kept: CheckedSettings) -> CheckedSettings:
    """Check given settings against what the channel declares; unmentioned ones keep their value.

    Raises Invalid with every fault at once, in words, under `fields`.
    """
    declared = {field.name: field for field in declaration.settings}
    faults = {
        name: f"{declaration.title} has no setting of this name; it has: {', '.join(declared)}."
        for name in given
        if name not in declared
    }
    merged = {**kept.open, **kept.secret, **given}
    for field in declaration.settings:
        fault = _fault(field, merged.get(field.name, field.default))
        if fault:
            faults[field.name] = fault
    if faults:
        first = next(iter(faults.items()))
        raise Invalid(f"{first[0]}: {first[1]}", fields=faults)
    return CheckedSettings(
        open={name: value for name, value in merged.items() if declared[name].kind != "secret"},
        secret={name: value for name, value in merged.items() if declared[name].kind == "secret" and value},
    )


def _fault(field: Field, value: str) -> str:
    """Say what is wrong with one value, or nothing."""
    if not value:
        return "This setting is needed." if field.required else ""
    if "\0" in value or len(value) > 20_000:
        return "This value is too long or holds a null character."
    match field.kind:
        case "number":
            return "" if value.lstrip("-").isdecimal() else "This must be a whole number."
        case "flag":
            return "" if value in {"true", "false"} else "This must be true or false."
        case "choice":
            return "" if value in field.choices else f"This must be one of: {', '.join(field.choices)}."
        case "address":
            return "" if value.startswith(("http://", "https://")) else "This must be a web address."
        case _:
            return ""
