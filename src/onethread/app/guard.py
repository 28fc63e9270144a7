"""What stands before every route: request ids, headers, limits, and the refusal of what cannot be text."""

import re
import secrets
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onethread.app.problems import Unexpected, problem
from onethread.kernel.errors import Invalid, Malformed, Refused, TooLarge

log = structlog.get_logger(__name__)

LARGEST_JSON: Final = 2 * 1024 * 1024  # bytes
LARGEST_UPLOAD: Final = 50_000_000  # bytes, when nothing else is said
_DEEPEST: Final = 64  # levels of JSON

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECURITY: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
# Bodies that need a closer look: null characters, lone surrogates, numbers of 19 digits and more.
_SUSPICIOUS: Final = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]|[0-9]{19}")
_BIGGEST: Final = 2**63 - 1

Observe = Callable[[str, str, int, float], None]


class Guard:
    """Wraps an application; everything that goes through it is answered, whatever happens inside.

    `observe` hears method, route, status and seconds of every request; `largest_upload` (bytes) is for
    bodies other than JSON.
    """

    def __init__(self, app: ASGIApp, *, observe: Observe | None = None, largest_upload: int = LARGEST_UPLOAD) -> None:
        self._app = app
        self._largest_upload = largest_upload
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        answer = _Answer(send, request_id)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request=request_id)
        try:
            await self._app(scope, await _checked(scope, receive, self._largest_upload), answer)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Refused as refusal:
            await self._refuse(scope, receive, answer, refusal)
        except Exception as error:
            log.exception("http.failed", path=scope["path"], error=type(error).__name__)
            if answer.begun:
                raise  # too late for words: the connection breaks off
            await self._refuse(scope, receive, answer, Unexpected("The error was noted. Try again, or report its id."))
        finally:
            structlog.contextvars.unbind_contextvars("request")
            if self._observe is not None:
                route = getattr(scope.get("route"), "path", "other")
                self._observe(scope["method"], route, answer.status, time.perf_counter() - started)

    async def _refuse(self, scope: Scope, receive: Receive, answer: "_Answer", refusal: Refused) -> None:
        instance = f"urn:onethread:request:{answer.request_id}" if refusal.status == 500 else None
        await problem(refusal, instance=instance)(scope, receive, answer)


class _Answer:
    """The way back: adds our headers and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status = 0
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            for name, value in _SECURITY.items():
                headers.setdefault(name, value)
        await self._send(message)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


async def _checked(scope: Scope, receive: Receive, largest_upload: int) -> Receive:
    """Refuse what no route could take; return where the route reads its body from."""
    _check_text(scope.get("raw_path") or b"", "path")
    _check_text(scope.get("query_string") or b"", "query")
    headers = Headers(scope=scope)
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return receive
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    limit = largest_upload if media_type and not is_json else LARGEST_JSON
    if headers.get("content-length", "").isdecimal() and int(headers["content-length"]) > limit:
        raise _too_large(limit)
    if not is_json:
        return _Limited(receive, limit)
    body = await _whole(receive, limit)
    if body:
        _check_json(body)
    scope["state"]["body"] = body
    return _Again(body, receive)


def _check_text(raw: bytes, where: str) -> None:
    if b"%" not in raw and raw.isascii():
        return
    decoded = unquote_to_bytes(raw)
    if b"\0" in decoded:
        raise Invalid("A null character cannot be part of any value.", errors=[_at(where, "Holds a null character.")])
    try:
        decoded.decode()
    except UnicodeDecodeError:
        raise Malformed(f"The {where} of the address is not UTF-8.") from None


def _check_json(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.") from None
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise Malformed("The JSON is nested too deeply.") from None
    except msgspec.DecodeError as error:
        # The parser names the place, never the content.
        raise Malformed(f"The body is not JSON: {error}.") from None
    if _SUSPICIOUS.search(body) or body.count(b"[") + body.count(b"{") > _DEEPEST:
        _check_value(value, "body", 0)


def _check_value(value: object, path: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise Malformed("The JSON is nested too deeply.")
    match value:
        case str():
            if "\0" in value:
                raise Invalid(f"{path} holds a null character.", errors=[_at(path, "Holds a null character.")])
            if any("\ud800" <= letter <= "\udfff" for letter in value):
                raise Malformed(f"{path} holds half a character.")
        case bool():
            pass
        case int():
            if not -_BIGGEST - 1 <= value <= _BIGGEST:
                raise Invalid(f"{path} is too large a number.", errors=[_at(path, "Too large a number.")])
        case list():
            for place, item in enumerate(value):
                _check_value(item, f"{path}.{place}", depth + 1)
        case dict():
            for name, item in value.items():
                _check_value(name, path, depth + 1)
                _check_value(item, f"{path}.{name}", depth + 1)


def _at(field: str, detail: str) -> dict[str, str]:
    return {"field": field, "detail": detail}


async def _whole(receive: Receive, limit: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("The request ended before its body did.")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


class _Again:
    """Gives the body that was read already, then what really comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Limited:
    """Counts what comes and stops at the limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise _too_large(self._limit)
        return message


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body may have {limit:,} bytes at the most.", limit=limit)
