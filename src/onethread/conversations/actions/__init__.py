"""Verbs of the conversations room."""

from onethread.conversations.actions.changing import Change, change
from onethread.conversations.actions.handling import (
    join,
    mark_read,
    retry_delivery,
    save_draft,
    split,
    wake_due,
)
from onethread.conversations.actions.opening import may_open_file
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
    "Change",
    "Say",
    "Spoken",
    "add_note",
    "change",
    "edit",
    "join",
    "mark_read",
    "may_open_file",
    "react",
    "retry_delivery",
    "save_draft",
    "send",
    "split",
    "start",
    "take_back",
    "unsend",
    "unsubscribe",
    "wake_due",
]
