"""Shapes every room's routes share on the wire: bodies, pages and cursors."""

import base64
import binascii
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict

from onethread.kernel.errors import Invalid

T = TypeVar("T")
C = TypeVar("C")


class Body(BaseModel):
    """What a client sends; a field we do not know is refused, for it was meant to do something."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is the cursor of the page after it."""

    items: Sequence[T]
    next: str | None = None


def write_cursor(place: object) -> str:
    """Return an opaque cursor for a place in a list."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(cursor: str | None, shape: type[C]) -> C | None:
    """Return the place a cursor stands for. Raises Invalid for one we did not give out."""
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=shape)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as wrong:
        raise Invalid("This is not a cursor we gave out.", field="cursor") from wrong
