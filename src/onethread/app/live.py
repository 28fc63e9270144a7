"""The agents' live door: one WebSocket per tab, and server-sent events where sockets are blocked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final, Protocol, cast
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials
from msgspec import Meta
from starlette.websockets import WebSocket, WebSocketDisconnect

from onethread.access.acting import COOKIE, Acting, acting, needs, of_key, of_session
from onethread.access.model import AccessRules, Actor
from onethread.app import screen
from onethread.app.screen import Screen
from onethread.kernel.errors import Malformed, NotAllowed, NotSignedIn, Refused, TooMany, Unavailable
from onethread.platform.live import Behind, frame_text

log = structlog.get_logger(__name__)

routes = APIRouter(tags=["live"])

HELLO_WITHIN: Final = 10.0  # seconds
BEAT_EVERY: Final = 15.0  # seconds of silence; proxies cut what is silent for a minute
RECHECK_EVERY: Final = 60.0  # seconds after which a screen's agent is looked at again
_MAX_FRAME: Final = 32 * 1024  # bytes
_AT_ONCE: Final = 200  # frames a screen may send without a pause
_PER_SECOND: Final = 20.0

_TRY_AGAIN: Final = 1013
_BROKEN: Final = 1011

Topics = Annotated[list[Annotated[str, Meta(max_length=80)]], Meta(max_length=screen.MOST_TOPICS)]
Position = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class House(screen.House, Protocol):
    """What the door needs of the house."""

    @property
    def access(self) -> AccessRules: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


class Hello(msgspec.Struct, tag_field="type", tag="hello", frozen=True):
    """The first frame. `token`: an API key; without one the session cookie says who it is."""

    token: str | None = None
    topics: Topics = []
    after: Position | None = None


class Subscribe(msgspec.Struct, tag_field="type", tag="subscribe", frozen=True):
    topics: Topics


class Unsubscribe(msgspec.Struct, tag_field="type", tag="unsubscribe", frozen=True):
    topics: Topics


class Resume(msgspec.Struct, tag_field="type", tag="resume", frozen=True):
    """Give me what I missed on my topics since `seq`."""

    seq: Position


class Typing(msgspec.Struct, tag_field="type", tag="typing", frozen=True):
    """`note`: what is typed is for colleagues, the customer must not see it."""

    conversation: UUID
    on: bool
    note: bool = False


class Looking(msgspec.Struct, tag_field="type", tag="looking", frozen=True):
    conversation: UUID
    on: bool


class Ping(msgspec.Struct, tag_field="type", tag="ping", frozen=True):
    pass


Asked = Subscribe | Unsubscribe | Resume | Typing | Looking | Ping

_hello: Final = msgspec.json.Decoder(Hello).decode
_asked: Final[Callable[[str], Asked]] = msgspec.json.Decoder(Asked).decode


def router() -> APIRouter:
    return routes


# ---------------------------------------------------------------- the socket


@routes.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Tell one tab what happens, from its hello until it goes."""
    await socket.accept()
    house = cast("House", socket.app.state.house)
    try:
        hello = await _first(socket)
        actor = await _who(house, socket, hello)
        await house.hub.ready()
        showing = Screen(house, actor)
        try:
            await _Talk(house, socket, showing, hello).run()
        finally:
            showing.close()
    except WebSocketDisconnect:
        return
    except Unavailable as unavailable:
        await _close(socket, _TRY_AGAIN, unavailable.detail)
    except Refused as refusal:
        await _close(socket, 4000 + refusal.status, refusal.detail)
    except Exception as error:  # a door catches, logs once and answers
        log.exception("live.failed", error=type(error).__name__)
        await _close(socket, _BROKEN, "Something went wrong on our side; it was noted.")


async def _first(socket: WebSocket) -> Hello:
    try:
        async with asyncio.timeout(HELLO_WITHIN):
            raw = await _frame(socket)
    except TimeoutError:
        raise NotSignedIn("Nobody said hello.") from None
    try:
        return _hello(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotSignedIn("The first frame must be a hello.") from None


async def _who(house: House, socket: WebSocket, hello: Hello) -> Actor:
    """Return who it is. A cookie comes along by itself, so its page's origin must be ours."""
    address = socket.client.host if socket.client else None
    if hello.token is not None:
        actor = await of_key(house, hello.token, address=address)
    else:
        session = socket.cookies.get(COOKIE)
        if session is None:
            raise NotSignedIn("Sign in, or send an API key as the token of your hello.")
        _require_our_page(house, socket)
        actor = await of_session(house, session, address=address)
    actor.require("live.subscribe")
    return actor


def _require_our_page(house: House, socket: WebSocket) -> None:
    origin = urlsplit(socket.headers.get("origin", ""))
    ours = {socket.headers.get("host", ""), urlsplit(house.access.public_url).netloc}
    if origin.scheme not in {"http", "https"} or origin.netloc not in ours:
        raise NotAllowed("This page may not use your session.")


class _Talk:
    """A conversation with one socket; one side at a time writes."""

    def __init__(self, house: House, socket: WebSocket, showing: Screen, hello: Hello) -> None:
        self._house = house
        self._socket = socket
        self._screen = showing
        self._hello = hello
        self._writing = asyncio.Lock()
        self._allowance = float(_AT_ONCE)
        self._counted_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        async with self._writing:
            actor = self._screen.actor
            await self._send(
                "ready",
                {"seq": self._screen.position, "actor": {"kind": actor.kind, "id": actor.id, "name": actor.name}},
            )
            await self._subscribe(self._hello.topics)
            if self._hello.after is not None:
                await self._resume(self._hello.after)
        tasks = [asyncio.create_task(work()) for work in (self._hear, self._tell)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _hear(self) -> None:
        while True:
            raw = await _frame(self._socket)
            self._count()
            async with self._writing:
                try:
                    await self._do(_read(raw))
                except Unavailable:
                    raise
                except Refused as refusal:
                    await self._send("refused", {"code": refusal.code, "detail": refusal.detail})

    async def _do(self, asked: Asked) -> None:
        match asked:
            case Subscribe(topics):
                await self._subscribe(topics)
            case Unsubscribe(topics):
                self._screen.leave(topics)
            case Resume(seq):
                await self._resume(seq)
            case Typing(conversation, on, note):
                self._screen.typing(conversation, on=on, to_customer=not note)
            case Looking(conversation, on):
                self._screen.looking(conversation, on=on)
            case Ping():
                await self._send("pong", {})

    async def _subscribe(self, topics: Sequence[str]) -> None:
        refused = await self._screen.watch(topics)
        watched = [topic for topic in topics if topic not in refused]
        await self._send("subscribed", {"topics": watched, "refused": refused})
        for text in self._screen.present(watched):
            await self._write(text)

    async def _resume(self, seq: int) -> None:
        for text in await _gap(self._screen, seq):
            await self._write(text)

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        checked_at = loop.time()
        async for texts in self._screen.frames(BEAT_EVERY):
            async with self._writing:
                for text in texts:
                    await self._write(text)
            if loop.time() - checked_at >= RECHECK_EVERY:
                checked_at = loop.time()
                await self._recheck()

    async def _recheck(self) -> None:
        """See to it that the agent is still there and still may watch."""
        lost = await self._screen.still_allowed(await _who(self._house, self._socket, self._hello))
        if lost:
            async with self._writing:
                await self._send("unsubscribed", {"topics": lost})

    def _count(self) -> None:
        now = asyncio.get_running_loop().time()
        self._allowance = min(_AT_ONCE, self._allowance + (now - self._counted_at) * _PER_SECOND) - 1
        self._counted_at = now
        if self._allowance < 0:
            raise TooMany("This screen sends too much.")

    async def _send(self, type_: str, data: dict[str, object]) -> None:
        """Write an answer. It has no `seq`: frames on their way may still be below the position."""
        await self._write(frame_text(None, type_, data))

    async def _write(self, text: str) -> None:
        await self._socket.send({"type": "websocket.send", "text": text})


def _read(raw: str) -> Asked:
    try:
        return _asked(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as wrong:
        raise Malformed(f"This frame cannot be read: {wrong}") from None


async def _frame(socket: WebSocket) -> str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    text: str | None = message.get("text")
    if text is None:
        raise Malformed("Frames are text.")
    if len(text) > _MAX_FRAME:
        raise TooMany("This frame is too large.")
    return text


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    # A close reason has 123 bytes at the most (RFC 6455, 5.5); the other side may be gone already.
    with suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))


# ---------------------------------------------------------------- the stream


@routes.get(
    "/live/events",
    operation_id="stream_live_events",
    summary="Watch what happens as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    openapi_extra=needs("live.subscribe"),
)
async def stream(
    request: Request,
    actor: Acting,
    topics: Annotated[str, Query(max_length=8_000, description="Topics to watch, apart by commas.")],
    after: Annotated[int | None, Query(ge=0, lt=1 << 63, description="The last `seq` you have.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> StreamingResponse:
    """The same frames as on the socket, one an event; its id is their `seq`. A refused topic refuses it all."""
    actor.require("live.subscribe")
    house = cast("House", request.app.state.house)
    showing = Screen(house, actor)
    try:
        await house.hub.ready()
        refused = await showing.watch([topic for topic in topics.split(",") if topic])
        if refused:
            first = next(iter(refused))
            raise NotAllowed(f"{first}: {refused[first]}", topics=sorted(refused))
        position = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
    except BaseException:
        showing.close()
        raise
    return StreamingResponse(
        _told(request, showing, position),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no", "cache-control": "no-store"},
    )


async def _told(request: Request, showing: Screen, after: int | None) -> AsyncIterator[str]:
    """Yield events until the reader goes or may not watch any more."""
    loop = asyncio.get_running_loop()
    checked_at = loop.time()
    try:
        yield "retry: 3000\n\n"
        if after is not None:
            for text in await _gap(showing, after):
                yield _event(text)
        async for texts in showing.frames(BEAT_EVERY):
            for text in texts:
                yield _event(text)
            if loop.time() - checked_at >= RECHECK_EVERY:
                checked_at = loop.time()
                if await showing.still_allowed(await _again(request)):
                    return
    except Refused:
        return  # the reader comes back and hears why
    finally:
        showing.close()


async def _gap(showing: Screen, after: int) -> list[str]:
    try:
        return await showing.gap(after)
    except Behind:
        return [showing.behind()]


async def _again(request: Request) -> Actor:
    """Look once more who is reading."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials) if credentials else None
    return await acting(request, bearer, request.cookies.get(COOKIE))


def _event(text: str) -> str:
    seq = msgspec.json.decode(text, type=_Seq).seq
    return f"data: {text}\n\n" if seq is None else f"id: {seq}\ndata: {text}\n\n"


class _Seq(msgspec.Struct):
    seq: int | None = None
