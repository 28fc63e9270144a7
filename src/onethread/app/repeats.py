"""The header Idempotency-Key: a write that is repeated is carried out once and answered the same."""

import re
from typing import Final, Protocol, cast

import structlog
from fastapi.security import HTTPAuthorizationCredentials
from starlette.datastructures import Headers
from starlette.requests import Request as WebRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onethread.access import acting
from onethread.kernel.errors import Invalid, Refused, Unavailable
from onethread.platform.idempotency import LARGEST_ANSWER, Claim, Idempotency, Kept, Request

log = structlog.get_logger(__name__)

HEADER: Final = "idempotency-key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Not answers to the request itself: the same request may well get another one in a moment.
_PASSING: Final = frozenset({401, 408, 425, 429})


class House(Protocol):
    """What keeping answers needs of `scope["app"].state.house`."""

    @property
    def idempotency(self) -> Idempotency: ...


class Repeats:
    """Wraps the API. Needs the whole body in `scope["state"]["body"]`; without one the key is refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WRITES:
            await self._app(scope, receive, send)
            return
        key = Headers(scope=scope).get(HEADER)
        actor = await _actor(scope) if key is not None else None
        if key is None or actor is None:  # nobody to keep an answer for: the route says what it wants
            await self._app(scope, receive, send)
            return
        if not _KEY.fullmatch(key):
            raise Invalid("An Idempotency-Key has 1 to 255 visible ASCII characters.", field="header.idempotency-key")
        house = cast("House", scope["app"].state.house)
        known = await house.idempotency.claim(
            Request(
                actor=actor,
                key=key,
                method=scope["method"],
                path=scope["path"],
                body=await _body(scope),
                query=scope["query_string"],
            )
        )
        if isinstance(known, Kept):
            await _repeated(known)(scope, receive, send)
        else:
            await self._carry_out(house.idempotency, known, scope, receive, send)

    async def _carry_out(
        self, idempotency: Idempotency, claim: Claim, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Keep the answer before anybody sees it: what was answered once is answered the same ever after."""
        answer = _Held(send)
        try:
            with idempotency.carrying_out(claim):
                await self._app(scope, receive, answer)
        finally:
            await _end(idempotency, claim, answer.kept())
            await answer.let_go()


async def _actor(scope: Scope) -> str | None:
    """Name who asks, or None for a stranger; whoever is refused hears it from the route."""
    request = WebRequest(scope)
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if credentials and scheme.lower() != "bearer":
        return None
    bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=credentials.strip()) if credentials else None
    try:
        actor = await acting.acting(request, bearer, request.cookies.get(acting.COOKIE))
    except Unavailable:
        raise
    except Refused:
        return None
    return f"{actor.kind}:{actor.id}"


async def _end(idempotency: Idempotency, claim: Claim, kept: Kept | None) -> None:
    try:
        if kept is None:
            await idempotency.give_up(claim)
        else:
            await idempotency.keep(claim, kept)
    except Unavailable:  # the work is done and the answer is known; the claim ends by itself
        log.warning("idempotency.not_kept")


class _Held:
    """Holds an answer back until it is whole; one too large to be kept goes out as it comes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._size = 0
        self._whole = False

    async def __call__(self, message: Message) -> None:
        self._held.append(message)
        self._size += len(message.get("body", b""))
        self._whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        if self._size > LARGEST_ANSWER:
            await self.let_go()

    async def let_go(self) -> None:
        """Send what is held."""
        held, self._held = self._held, []
        for message in held:
            await self._send(message)

    def kept(self) -> Kept | None:
        """Return the answer when it is one to be given again."""
        if not self._whole or not self._held or self._size > LARGEST_ANSWER:
            return None
        start, *parts = self._held
        status: int = start["status"]
        if status >= 500 or status in _PASSING:
            return None
        headers = Headers(raw=start["headers"])
        body = b"".join(part.get("body", b"") for part in parts)
        return Kept(status, headers.get("content-type", ""), body, headers.get("location", ""))


async def _body(scope: Scope) -> bytes:
    body: bytes | None = scope["state"].get("body")
    if body is None:
        length = Headers(scope=scope).get("content-length", "0")
        if length != "0" or "transfer-encoding" in Headers(scope=scope):
            raise Invalid("An Idempotency-Key works with JSON bodies only.", field="header.idempotency-key")
        return b""
    return body


def _repeated(kept: Kept) -> Response:
    headers = {"idempotency-replayed": "true"}
    if kept.location:
        headers["location"] = kept.location
    if kept.media_type:
        headers["content-type"] = kept.media_type
    return Response(kept.body, kept.status, headers)
