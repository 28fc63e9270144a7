"""Frames as visitors send them, decoded and checked in one go."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from onethread.channels.contract import Unreadable

MAX_FRAME: Final = 32 * 1024  # bytes of one frame
MAX_TEXT: Final = 10_000  # characters of one message
MAX_EVENTS: Final = 500  # events in one signed request
MAX_REQUEST: Final = 4 * 1024 * 1024  # bytes of one signed request

T = TypeVar("T")

# Printable ASCII without space: a ULID, a UUID or whatever an app numbers its frames with.
ClientId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]+\Z")]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Line = Annotated[str, Meta(max_length=200)]
Moment = Annotated[datetime, Meta(tz=True)]
Locale = Annotated[str, Meta(max_length=35, pattern=r"^[A-Za-z0-9-]+\Z")]
Hex256 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")]
FileReference = Annotated[str, Meta(pattern=r"^file:[0-9a-f]{64}\Z")]


class File(msgspec.Struct, frozen=True):
    """A file this visitor has uploaded: its reference and our signed word that it was them."""

    ref: FileReference
    proof: Annotated[str, Meta(max_length=600)]
    name: Annotated[str, Meta(min_length=1, max_length=255)]


class Place(msgspec.Struct, frozen=True):
    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    title: Line = ""


class MessageBody(msgspec.Struct, frozen=True):
    """`answers` names a message of ours, `answers_own` one of the visitor's by its client id."""

    text: Text = ""
    files: Annotated[list[File], Meta(max_length=10)] = []
    location: Place | None = None
    chosen: Line | None = None
    answers: UUID | None = None
    answers_own: ClientId | None = None
    name: Line | None = None
    locale: Locale | None = None


class IdentifyBody(msgspec.Struct, frozen=True):
    """Who the company says this visitor is.

    Either `user`, the JSON text that `hash` signs as it stands, or `user_id`, which alone is signed.
    """

    hash: Hex256 | None = None
    user: Annotated[str, Meta(min_length=2, max_length=4096)] | None = None
    user_id: Line | None = None
    email: Line | None = None
    phone: Line | None = None
    name: Line | None = None
    locale: Locale | None = None


class FormBody(msgspec.Struct, frozen=True):
    """What a visitor typed into the form before the chat."""

    email: Line | None = None
    phone: Line | None = None
    name: Line | None = None
    locale: Locale | None = None


class MessagesBody(msgspec.Struct, frozen=True):
    messages: Annotated[list[UUID], Meta(min_length=1, max_length=100)]


class ReactionBody(msgspec.Struct, frozen=True):
    """`emoji` None takes the reaction back."""

    emoji: Annotated[str, Meta(min_length=1, max_length=16)] | None
    message: UUID | None = None
    own: ClientId | None = None


class EditBody(msgspec.Struct, frozen=True):
    own: ClientId
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


class UnsendBody(msgspec.Struct, frozen=True):
    own: ClientId


class TypingBody(msgspec.Struct, frozen=True):
    on: bool


class Last(msgspec.Struct, frozen=True):
    """The last message a screen has: after it the gap begins."""

    conv: UUID
    seq: Annotated[int, Meta(ge=0, le=2_147_483_647)]


class HelloBody(msgspec.Struct, frozen=True):
    token: Annotated[str, Meta(min_length=1, max_length=300)]
    last: Last | None = None


class _Frame(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """What every frame has. `id` is the client's own and makes resending harmless; `ts` its clock."""

    id: ClientId
    v: Annotated[int, Meta(ge=1, le=1)] = 1
    conv: UUID | None = None
    ts: Moment | None = None


class Message(_Frame, frozen=True, tag="message"):
    body: MessageBody


class Identify(_Frame, frozen=True, tag="identify"):
    body: IdentifyBody


class Form(_Frame, frozen=True, tag="form"):
    body: FormBody


class Delivered(_Frame, frozen=True, tag="delivered"):
    body: MessagesBody


class Read(_Frame, frozen=True, tag="read"):
    body: MessagesBody


class Reaction(_Frame, frozen=True, tag="reaction"):
    body: ReactionBody


class Edit(_Frame, frozen=True, tag="edit"):
    body: EditBody


class Unsend(_Frame, frozen=True, tag="unsend"):
    body: UnsendBody


class Typing(_Frame, frozen=True, tag="typing"):
    """Passed on while it is true, never kept."""

    body: TypingBody


class Ping(_Frame, frozen=True, tag="ping"):
    pass


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """The first frame on a socket: who is speaking."""

    body: HelloBody
    v: Annotated[int, Meta(ge=1, le=1)] = 1


Kept = Message | Identify | Form | Delivered | Read | Reaction | Edit | Unsend
Passing = Typing | Ping


class Envelope(msgspec.Struct, frozen=True):
    """A kept frame with the visitor it comes from: the body of a receipt."""

    visitor: UUID
    frame: Kept


class _Numbered(msgspec.Struct, frozen=True):
    id: ClientId


class Address(msgspec.Struct, frozen=True):
    """What tells one event from another: all that is read before it is kept."""

    visitor: UUID
    frame: _Numbered


class SignedRequest(msgspec.Struct, frozen=True):
    """The body of a signed request: one event, or several under `events`."""

    visitor: UUID | None = None
    frame: _Numbered | None = None
    events: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MAX_EVENTS)] | None = None


_frame: Final[Callable[[bytes], Kept | Passing]] = msgspec.json.Decoder(Kept | Passing).decode
_hello: Final = msgspec.json.Decoder(Hello).decode
_envelope: Final = msgspec.json.Decoder(Envelope).decode
_address: Final = msgspec.json.Decoder(Address).decode
_request: Final = msgspec.json.Decoder(SignedRequest).decode


def read_frame(raw: bytes) -> Kept | Passing:
    """Return a visitor's frame. Raises Unreadable, naming the field."""
    return _read(_frame, raw)


def read_hello(raw: bytes) -> Hello:
    return _read(_hello, raw)


def read_envelope(raw: bytes) -> Envelope:
    return _read(_envelope, raw)


def read_address(raw: bytes) -> Address:
    return _read(_address, raw)


def read_request(raw: bytes) -> SignedRequest:
    return _read(_request, raw)


def _read(decode: Callable[[bytes], T], raw: bytes) -> T:
    try:
        value = decode(raw)
    except msgspec.ValidationError as wrong:
        raise Unreadable(_in_words(str(wrong))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as broken:
        raise Unreadable(f"This is not well-formed JSON in UTF-8: {broken}") from None
    except RecursionError:
        raise Unreadable("This JSON is nested too deeply.") from None
    if rb"\u0000" in raw and _has_null(msgspec.to_builtins(value)):
        raise Unreadable("A text holds a null character.")
    return value


_WHERE: Final = re.compile(r" - at `\$\.?(.*)`\Z")


def _in_words(fault: str) -> str:
    """Turn `Expected `str`, got `int` - at `$.body.text`` into a sentence that begins with the field."""
    where = _WHERE.search(fault)
    if where is None:
        return fault
    return f"{where[1] or 'the whole'}: {fault[: where.start()]}"


def _has_null(value: object) -> bool:
    """Look for NUL in decoded text; `\\\\u0000` in JSON may also be six honest characters."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_null(inner) for inner in value.values())
    return isinstance(value, list) and any(_has_null(inner) for inner in value)
