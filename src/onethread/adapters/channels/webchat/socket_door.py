"""The visitors' WebSocket: the first frame says who it is, then frames go both ways."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from onethread.adapters.channels.webchat.desk import Desk, Visitor
from onethread.adapters.channels.webchat.visit import Visit
from onethread.adapters.channels.webchat.wire.frames import MAX_FRAME, HelloBody, read_hello
from onethread.adapters.channels.webchat.wire.replies import BEAT, Reply, written
from onethread.channels.contract import Account, Unreadable
from onethread.kernel.errors import NotSignedIn, Refused, TooMany, Unavailable

log = structlog.get_logger(__name__)

HELLO_WITHIN: Final = 10.0  # seconds
BEAT_EVERY: Final = 25.0  # seconds of silence; proxies cut what is silent for a minute
_MOST_REFUSALS: Final = 100  # refused frames of one socket before it is shut

# Close codes of our own: 4000 plus the HTTP status that says the same.
_TRY_AGAIN: Final = 1013
_TOO_BIG: Final = 1009
_BROKEN: Final = 1011


class SocketDoor:
    """Serves one visitor's screen per call."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, socket: WebSocket) -> None:
        await socket.accept()
        address = socket.client.host if socket.client else ""
        try:
            with self._desk.limits.screens_of_address.one(address) as free:
                if not free:
                    raise TooMany("Too many screens are open at this address.")
                account = await self._desk.account(
                    socket.path_params["account"],
                    origin=socket.headers.get("origin"),
                    host=socket.headers.get("host", ""),
                )
                await self._welcome(socket, account, address)
        except WebSocketDisconnect:
            return
        except Unavailable as unavailable:
            await _close(socket, _TRY_AGAIN, unavailable.detail)
        except Refused as refusal:
            await _close(socket, _TOO_BIG if refusal.status == 413 else 4000 + refusal.status, refusal.detail)
        except Exception as error:  # a door catches, logs once and answers
            log.exception("webchat.failed", error=type(error).__name__)
            await _close(socket, _BROKEN, "Something went wrong on our side; it was noted.")

    async def _welcome(self, socket: WebSocket, account: Account, address: str) -> None:
        hello = _hello_in(await _first_frame(socket))
        visitor = self._desk.admit(account, hello.token, address=address)
        with self._desk.limits.screens_of_visitor.one(str(visitor.id)) as free:
            if not free:
                raise TooMany("Too many screens of this visitor are open.")
            body: dict[str, object] = {"visitor": visitor.id, "beat": BEAT_EVERY}
            renewed = self._desk.renewed(account, hello.token)
            if renewed is not None:
                body |= {"token": renewed.token, "expires_at": renewed.expires_at}
            await _send(socket, Reply("welcome", body=body))
            visit = self._desk.visit(visitor, hello.last)
            try:
                await self._converse(socket, visitor, visit)
            finally:
                visit.close()

    async def _converse(self, socket: WebSocket, visitor: Visitor, visit: Visit) -> None:
        """Read and write until either ends; what ended it is raised."""
        tasks = [
            asyncio.create_task(self._hear(socket, visitor, visit), name="webchat:hear"),
            asyncio.create_task(self._tell(socket, visitor, visit), name="webchat:tell"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _hear(self, socket: WebSocket, visitor: Visitor, visit: Visit) -> None:
        refusals = 0
        while True:
            for reply in await self._desk.take(visitor, [await _frame(socket)], visit):
                await _send(socket, reply)
                refusals += reply.type == "refused"
            if refusals > _MOST_REFUSALS:
                raise TooMany("Too many frames of this screen had to be refused.")

    async def _tell(self, socket: WebSocket, visitor: Visitor, visit: Visit) -> None:
        async for replies in visit.replies(BEAT_EVERY):
            if replies[0] is BEAT:
                # The account may have been switched off, or closed to this website, meanwhile.
                await self._desk.account(
                    str(visitor.account.id),
                    origin=socket.headers.get("origin"),
                    host=socket.headers.get("host", ""),
                )
            for reply in replies:
                await _send(socket, reply)


async def _first_frame(socket: WebSocket) -> bytes:
    try:
        async with asyncio.timeout(HELLO_WITHIN):
            return await _frame(socket)
    except TimeoutError:
        raise NotSignedIn("Nobody said hello.") from None


def _hello_in(raw: bytes) -> HelloBody:
    try:
        return read_hello(raw).body
    except Unreadable as unreadable:
        raise NotSignedIn(f"The first frame must be a hello with a token. {unreadable.detail}") from None


async def _frame(socket: WebSocket) -> bytes:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    text = message.get("text")
    raw: bytes = text.encode("utf-8", "surrogatepass") if text is not None else message.get("bytes") or b""
    if len(raw) > 4 * MAX_FRAME:
        raise FrameFarTooLarge(f"A frame may have {MAX_FRAME:,} bytes at the most.")
    return raw


class FrameFarTooLarge(Refused):
    """Not worth answering: the socket is closed."""

    code = "too_large"
    status = 413


async def _send(socket: WebSocket, reply: Reply) -> None:
    await socket.send({"type": "websocket.send", "text": written(reply).decode()})


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    # A close reason has 123 bytes at the most (RFC 6455, 5.5); the other side may be gone already.
    with suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))
