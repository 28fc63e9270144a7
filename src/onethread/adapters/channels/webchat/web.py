"""The pages of the web chat: tokens, files, and the ways round a network that blocks WebSockets."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from onethread.adapters.channels.webchat.desk import MAX_FILE, Desk, Visitor
from onethread.adapters.channels.webchat.showing import Link
from onethread.adapters.channels.webchat.socket_door import SocketDoor
from onethread.adapters.channels.webchat.tokens import Tokens, VisitorToken
from onethread.adapters.channels.webchat.wire.frames import MAX_FRAME, Last
from onethread.adapters.channels.webchat.wire.replies import BEAT, Reply, read_place, written
from onethread.channels.contract import Account, Media
from onethread.channels.ports import Ports
from onethread.kernel.errors import Malformed, NotSignedIn, Refused, TooLarge, Unavailable
from onethread.kernel.text import one_line

log = structlog.get_logger(__name__)

BASE: Final = "/{account}"
_PING_EVERY: Final = 15.0  # seconds
_MAX_POST: Final = 8 * MAX_FRAME  # bytes: what gathered while a phone was in a tunnel
_FORM_ROOM: Final = 16 * 1024  # bytes that a multipart form needs around its file

Serve = Callable[[Request, Account], Awaitable[Response]]


def web_app(ports: Ports, tokens: Tokens, link: Link) -> ASGIApp:
    """Return the application; what serves it takes `/channels/webchat` off the path."""
    pages = Pages(Desk(ports, tokens, link))
    routes = [
        Route(f"{BASE}/visitor", pages.door(pages.visitor), methods=["POST", "OPTIONS"]),
        Route(f"{BASE}/messages", pages.door(pages.messages), methods=["POST", "OPTIONS"]),
        Route(f"{BASE}/uploads", pages.door(pages.uploads), methods=["POST", "OPTIONS"]),
        Route(f"{BASE}/events", pages.door(pages.events), methods=["GET", "OPTIONS"]),
        WebSocketRoute(f"{BASE}/socket", SocketDoor(pages.desk).__call__),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _lost})
    app.state.limits = pages.desk.limits
    return app


class Pages:
    """The HTTP routes."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def door(self, serve: Serve) -> Callable[[Request], Awaitable[Response]]:
        """Wrap a page: find the account, check the website, answer refusals, let the website read it all."""

        async def page(request: Request) -> Response:
            origin = request.headers.get("origin")
            allowed = False
            try:
                account = await self.desk.account(
                    request.path_params["account"], origin=origin, host=request.headers.get("host", "")
                )
                allowed = True
                response = Response(status_code=204) if request.method == "OPTIONS" else await serve(request, account)
            except Refused as refusal:
                response = problem(refusal)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:  # a door catches, logs once and answers
                log.exception("webchat.failed", error=type(error).__name__)
                response = problem(Broken("Something went wrong on our side; it was noted."))
            if origin and allowed:
                response.headers.update(_shared_with(origin))
            response.headers["x-content-type-options"] = "nosniff"
            response.headers.setdefault("cache-control", "no-store")
            return response

        return page

    async def visitor(self, request: Request, account: Account) -> Response:
        """Give a token: for the visitor whose token comes along, else for a new one."""
        raw = await _body(request, MAX_FRAME)
        old = _old_token(raw) if raw.strip() else _bearer(request)
        return _json(_token_body(self.desk.token(account, old, address=_address(request))))

    async def messages(self, request: Request, account: Account) -> Response:
        """Take one frame, or several as `{"frames":[…]}`, and answer each with its ack or refusal."""
        visitor = self._admit(request, account)
        raw = await _body(request, _MAX_POST)
        replies = await self.desk.take(visitor, _frames_in(raw))
        body = b'{"replies":[%b]}' % b",".join(written(reply) for reply in replies)
        only = replies[0] if len(replies) == 1 and replies[0].type == "refused" else None
        status = _STATUS_OF.get(str((only.body or {}).get("code")), 422) if only is not None else 200
        return Response(body, status_code=status, media_type="application/json")

    async def uploads(self, request: Request, account: Account) -> Response:
        """Keep a file: the body itself (named by `X-File-Name`), or the field `file` of a form."""
        visitor = self._admit(request, account)
        self.desk.may_upload(visitor)
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            media = await self._kept_form(request)
        else:
            name = unquote(request.headers.get("x-file-name", ""))
            claimed = request.headers.get("content-type")
            media = await self._kept(request.stream(), name, claimed)
        uploaded = self.desk.uploaded(visitor, media)
        return _json(
            {
                "ref": media.ref,
                "proof": uploaded.proof,
                "name": media.name,
                "type": media.media_type,
                "size": media.size,
            },
            status=201,
        )

    async def events(self, request: Request, account: Account) -> Response:
        """Stream what happens as server-sent events; `id` is the place to go on from."""
        visitor = self._admit(request, account)
        place = read_place(request.headers.get("last-event-id", ""))
        last = Last(*place) if place is not None else None
        return StreamingResponse(
            self._stream(visitor, last),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no", "cache-control": "no-store"},
        )

    async def _stream(self, visitor: Visitor, last: Last | None) -> AsyncIterator[bytes]:
        limits = self.desk.limits
        with (
            limits.screens_of_visitor.one(str(visitor.id)) as free,
            limits.screens_of_address.one(visitor.address) as room,
        ):
            if not (free and room):
                yield b"retry: 30000\nevent: refused\ndata: {}\n\n"
                return
            visit = self.desk.visit(visitor, last)
            try:
                yield b"retry: 3000\n\n"
                async for replies in visit.replies(_PING_EVERY):
                    for reply in replies:
                        yield b": ping\n\n" if reply is BEAT else _event(reply)
            except Unavailable:
                return  # the screen comes back by itself and says where it was
            finally:
                visit.close()

    def _admit(self, request: Request, account: Account) -> Visitor:
        token = _bearer(request)
        if token is None:
            raise NotSignedIn("Send the visitor's token: Authorization: Bearer …")
        return self.desk.admit(account, token, address=_address(request))

    async def _kept_form(self, request: Request) -> Media:
        length = request.headers.get("content-length", "")
        if not length.isdecimal():
            raise Malformed("A form must say its length.")
        if int(length) > MAX_FILE + _FORM_ROOM:
            raise TooLarge(f"A file may have {MAX_FILE // (1024 * 1024)} MiB at the most.")
        try:
            async with request.form(max_files=1, max_fields=4) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise Malformed("The form has no file in its field `file`.")
                return await self._kept(_pieces(file), file.filename or "", file.content_type)
        except (HTTPException, MultiPartException) as broken:
            raise Malformed("The form cannot be read.") from broken

    async def _kept(self, pieces: AsyncIterator[bytes], name: str, claimed: str | None) -> Media:
        ref = await self.desk.ports.files.put(pieces, claimed_type=claimed, most=MAX_FILE)
        if ref.size == 0:
            raise Malformed("The file is empty.")
        return Media(str(ref), one_line(name, most=200) or "file", ref.media_type, ref.size)


def _event(reply: Reply) -> bytes:
    place = f"id: {reply.place}\n".encode() if reply.place else b""
    return place + b"data: " + written(reply) + b"\n\n"


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(256 * 1024):
        yield piece


class Broken(Refused):
    code = "broken"
    status = 500
    title = "Something went wrong"


_STATUS_OF: Final[Mapping[str, int]] = {"too_many": 429, "unavailable": 503, "too_large": 413, "unreadable": 422}


class _Frames(msgspec.Struct):
    frames: list[msgspec.Raw]


class _OldToken(msgspec.Struct):
    token: str | None = None


def _frames_in(raw: bytes) -> list[bytes]:
    """Return the frames of a request: those under `frames`, or the whole as one."""
    try:
        frames = msgspec.json.decode(raw, type=_Frames).frames
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [raw]
    if len(frames) > 100:
        raise TooLarge("100 frames at once are the most.")
    return [bytes(frame) for frame in frames]


def _old_token(raw: bytes) -> str | None:
    try:
        return msgspec.json.decode(raw, type=_OldToken).token
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Malformed("The body must be empty or a JSON object with the old token.") from None


def _token_body(given: VisitorToken) -> dict[str, object]:
    return {"visitor": given.visitor, "token": given.token, "expires_at": given.expires_at}


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise TooLarge(f"This may have {most:,} bytes at the most.")
    return bytes(body)


def _bearer(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _shared_with(origin: str) -> dict[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization, content-type, last-event-id, x-file-name",
        "access-control-max-age": "600",
        "vary": "origin",
    }


def _json(body: Mapping[str, object], *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def problem(refusal: Refused) -> Response:
    """Answer a refusal as problem+json (RFC 9457)."""
    body: dict[str, object] = {
        "type": f"urn:onethread:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
    }
    response = Response(msgspec.json.encode(body), refusal.status, media_type="application/problem+json")
    after = refusal.fields.get("retry_after")
    if after is not None:
        response.headers["retry-after"] = str(after)
    return response


async def _lost(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    body = {"type": "about:blank", "title": "There is no such page", "status": status, "code": "not_found"}
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")
