"""What was said in a conversation, as the visitor may see it."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

import msgspec

from onethread.adapters.channels.webchat.wire.replies import Reply
from onethread.channels.contract import Content, Media
from onethread.conversations.model import unpack
from onethread.conversations.queries.messages import VisitorMessage
from onethread.platform.live import Frame

Link = Callable[[Media], str]

# What agents do that passes: told as it is, without who of them it was.
_SIGNALS: Final = frozenset({"typing"})


def shown_message(message: VisitorMessage, visitor: UUID, link: Link) -> Reply:
    """Return the whole message as it is now: a screen replaces what it has under the same id."""
    own = _own_id(message.external_id, visitor) if message.direction == "in" else None
    body: dict[str, object] = {"from": "visitor" if message.direction == "in" else "company"}
    if own is not None:
        body["own"] = own
    elif message.author_name:
        body["author"] = message.author_name
    if message.unsent_at is not None:
        body["unsent"] = True
    else:
        body.update(_said(unpack(message.content), link))
    if message.edited_at is not None:
        body["edited"] = message.edited_at
    if message.reactions:
        body["reactions"] = message.reactions
    return Reply(
        "message",
        id=str(message.message_id),
        conv=message.conversation_id,
        seq=message.seq,
        ts=message.at,
        body=body,
    )


def shown_live(frame: Frame, visitor: UUID, link: Link) -> Reply | None:
    """Return what a live frame means to the visitor, None when it is nothing to them."""
    if frame.type in _SIGNALS:
        return Reply("typing", conv=_uuid(frame.data.get("conversation")), body={"on": bool(frame.data.get("on"))})
    if "message_id" not in frame.data:
        return None
    return shown_message(msgspec.convert(frame.data, VisitorMessage), visitor, link)


def _said(content: Content, link: Link) -> dict[str, object]:
    said: dict[str, object] = {"text": content.text}
    if content.media:
        said["files"] = [_file(media, link) for media in content.media]
    if content.location is not None:
        said["location"] = content.location
    if content.choices:
        said["choices"] = content.choices
    return said


def _file(media: Media, link: Link) -> dict[str, object]:
    """A file that is not fetched yet has no address: the message comes again when it has."""
    shown: dict[str, object] = {"name": media.name, "type": media.media_type, "size": media.size}
    if media.ref.startswith("file:"):
        shown["url"] = link(media)
    return shown


def _own_id(external_id: str | None, visitor: UUID) -> str | None:
    """Return the client id under which the visitor sent it."""
    prefix = f"{visitor}:"
    if external_id is None or not external_id.startswith(prefix):
        return None
    return external_id.removeprefix(prefix)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value)) if value is not None else None
    except ValueError:
        return None
