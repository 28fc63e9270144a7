"""Verbs of the conversations room."""

from onethread.conversations.actions.handling import (
    assign,
    close,
    describe,
    join,
    mark_read,
    reopen,
    retry_delivery,
    save_draft,
    snooze,
    split,
    wake_due,
)
from onethread.conversations.actions.sending import (
    Say,
    Spoken,
    add_note,
    edit,
    react,
    send,
    start,
    take_back,
    unsend,
)
from onethread.conversations.actions.stopping import unsubscribe

__all__ = [
    "Say",
    "Spoken",
    "add_note",
    "assign",
    "close",
    "describe",
    "edit",
    "join",
    "mark_read",
    "react",
    "reopen",
    "retry_delivery",
    "save_draft",
    "send",
    "snooze",
    "split",
    "start",
    "take_back",
    "unsend",
    "unsubscribe",
    "wake_due",
]
