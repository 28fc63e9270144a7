"""Frames we send to visitors."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

Word = Literal[
    "welcome",
    "ack",
    "refused",
    "message",
    "typing",
    "reset",
    "beat",
    "pong",
]


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """A frame for the visitor. `id` of an `ack` or `refused` is the client's, of a `message` ours."""

    type: Word
    v: int = 1
    id: str | None = None
    conv: UUID | None = None
    seq: int | None = None
    ts: datetime | None = None
    body: Mapping[str, object] | None = None

    @property
    def place(self) -> str | None:
        """Where a screen that has this frame can go on: `<conv>:<seq>`, only for messages."""
        return f"{self.conv}:{self.seq}" if self.type == "message" else None


_encode: Final = msgspec.json.Encoder().encode

BEAT: Final = Reply("beat")
RESET: Final = Reply("reset")


def ack(client_id: str, *, fresh: bool) -> Reply:
    """The frame is kept for ever. `fresh` False: it had been kept before."""
    return Reply("ack", id=client_id, body=None if fresh else {"known": True})


def refused(client_id: str | None, code: str, detail: str, retry_after: float | None = None) -> Reply:
    """The frame was not kept. With `retry_after` (seconds) it may be sent again, else it never will be."""
    body: dict[str, object] = {"code": code, "detail": detail}
    if retry_after is not None:
        body["retry_after"] = retry_after
    return Reply("refused", id=client_id, body=body)


def written(reply: Reply) -> bytes:
    """Return the frame as JSON. `v` is always there."""
    text = _encode(reply)
    return b'{"v":1,' + text[1:]


def read_place(text: str) -> tuple[UUID, int] | None:
    """Return the place a `Last-Event-ID` names, None for anything else."""
    conversation, _, seq = text.partition(":")
    if not (seq.isascii() and seq.isdecimal() and len(seq) <= 10):
        return None
    try:
        return UUID(conversation), int(seq)
    except ValueError:
        return None
