"""The one way out over HTTP: guarded against inner addresses, bounded in time and size, patient where safe."""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore
import httpx

from onethread.kernel.clock import utc_now
from onethread.platform.addresses import Allowed, may_reach

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_SAFE_TO_REPEAT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_WORTH_REPEATING: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how much: seconds, bytes, tries. `total` covers one try from the first byte to the last."""

    connect: float = 5.0
    read: float = 20.0
    total: float = 60.0
    most_bytes: int = 10 * 1024 * 1024
    redirects: int = 5
    tries: int = 3
    first_pause: float = 0.5
    longest_pause: float = 30.0


class AddressRefused(httpx.ConnectError):
    """The host is not public and the operator has not allowed it."""


class AnswerTooLarge(httpx.ReadError):
    """The answer is longer than we are willing to read."""


def open_client(
    *,
    allow: Sequence[str] = (),
    bounds: Bounds = Bounds(),
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """Return the client every outgoing request uses; close it at the end.

    `allow` names private hosts and networks that may be reached. A request repeats by itself only when
    it is safe (GET, HEAD, OPTIONS, PUT, DELETE, or with an Idempotency-Key) and its body is in memory.
    Redirects are followed when the request asks for it (`follow_redirects=True`), each one checked anew.
    Raises AddressRefused, AnswerTooLarge and httpx's own errors.
    """
    guarded = _Guarded(Allowed.of(allow), bounds, resolve or _look_up, tls)
    return httpx.AsyncClient(
        transport=_Patient(guarded, bounds),
        timeout=httpx.Timeout(bounds.read, connect=bounds.connect),
        max_redirects=bounds.redirects,
        follow_redirects=False,
        # Proxies from the environment would do the connecting, and with it the checking.
        trust_env=False,
        # What is not compressed cannot blow up.
        headers={"User-Agent": "Onethread", "Accept-Encoding": "identity"},
    )


def pause_before_repeating(
    *, tried: int, repeatable: bool, status: int | None, retry_after: float | None, bounds: Bounds
) -> float | None:
    """Return the seconds to wait before the next try, or None when this outcome stands.

    `status` None means that no answer came. A longer Retry-After than we would wait ends the trying.
    """
    if tried >= bounds.tries or not repeatable:
        return None
    if status is not None and status not in _WORTH_REPEATING:
        return None
    pause = min(bounds.first_pause * 2.0 ** (tried - 1), bounds.longest_pause)
    if retry_after is None:
        return pause
    return None if retry_after > bounds.longest_pause else max(pause, retry_after)


class _Patient(httpx.AsyncBaseTransport):
    """Repeats what is safe to repeat."""

    def __init__(self, inner: httpx.AsyncBaseTransport, bounds: Bounds) -> None:
        self._inner = inner
        self._bounds = bounds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        tried = 0
        while True:
            tried += 1
            try:
                answer = await self._inner.handle_async_request(request)
            except (AddressRefused, AnswerTooLarge):
                raise
            except httpx.TransportError:
                pause = self._pause(request, tried, None)
                if pause is None:
                    raise
            else:
                pause = self._pause(request, tried, answer)
                if pause is None:
                    return answer
                await answer.aclose()
            await asyncio.sleep(pause * random.uniform(1.0, 1.25))  # noqa: S311

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _pause(self, request: httpx.Request, tried: int, answer: httpx.Response | None) -> float | None:
        safe = request.method in _SAFE_TO_REPEAT or "Idempotency-Key" in request.headers
        return pause_before_repeating(
            tried=tried,
            repeatable=safe and isinstance(request.stream, httpx.ByteStream),
            status=answer.status_code if answer else None,
            retry_after=_retry_after(answer.headers.get("Retry-After")) if answer else None,
            bounds=self._bounds,
        )


class _Guarded(httpx.AsyncHTTPTransport):
    """Connects only to checked addresses and never reads more than agreed."""

    def __init__(self, allowed: Allowed, bounds: Bounds, resolve: Resolve, tls: ssl.SSLContext | None) -> None:
        context = tls or httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        # The pool must connect through our backend: checking a name first and letting somebody else
        # resolve it again would leave the gap that DNS rebinding uses. httpx has no argument for it.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=10.0,
            network_backend=_CheckedBackend(allowed, resolve),
        )
        self._bounds = bounds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"only http and https are spoken, not {request.url.scheme!r}")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._bounds.total
        try:
            async with asyncio.timeout_at(deadline):
                answer = await super().handle_async_request(request)
        except TimeoutError as late:
            raise httpx.ReadTimeout("no answer in time", request=request) from late
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        body = _Bounded(answer.stream, self._bounds.most_bytes, deadline)
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            await body.aclose()
            raise httpx.DecodingError("compressed although we asked for no compression", request=request)
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > self._bounds.most_bytes and request.method != "HEAD":
            await body.aclose()
            raise AnswerTooLarge(f"more than {self._bounds.most_bytes} bytes", request=request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=body, extensions=answer.extensions)


class _Bounded(httpx.AsyncByteStream):
    """A body that ends in an error when it is too long or too slow."""

    def __init__(self, inner: httpx.AsyncByteStream, most: int, deadline: float) -> None:
        self._inner = inner
        self._most = most
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        pieces = aiter(self._inner)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError as late:
                raise httpx.ReadTimeout("the answer takes too long") from late
            read += len(piece)
            if read > self._most:
                raise AnswerTooLarge(f"more than {self._most} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves, checks, and connects to the very address that was checked."""

    def __init__(self, allowed: Allowed, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError as late:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from late
        except OSError as unknown:
            raise httpcore.ConnectError(f"{host} cannot be resolved") from unknown
        if not may_reach(host, addresses, self._allowed):
            raise AddressRefused(f"{host} is not a public address and is not allowed")
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused(f"{path} is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _look_up(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date; None when it says nothing."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    with suppress(ValueError, TypeError):
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - utc_now()).total_seconds())
    return None
