"""A visitor's screen as the protocol asks for it: remembers its place, resends what was not acknowledged."""

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Framed = dict[str, Any]


class VisitorScreen:
    """One tab. `messages` holds what it shows, by message id, in the order of the conversation."""

    def __init__(self, base: str, token: str, *, origin: str | None = None) -> None:
        self._url = base.replace("http", "ws", 1) + "/socket"
        self._origin = origin
        self._numbers = itertools.count(1)
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.token = token
        self.name = f"tab{id(self)}"
        self.welcome: Framed = {}
        self.messages: dict[str, Framed] = {}
        self.unacknowledged: dict[str, Framed] = {}
        self.answers: list[Framed] = []
        self.signals: list[Framed] = []
        self.resets = 0
        self.closed: int | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop()

    async def open(self) -> None:
        """Connect, say hello with the place we are at, and send again what was not acknowledged."""
        self.closed = None
        self._socket = await connect(self._url, origin=self._origin, compression=None)  # type: ignore[arg-type]
        hello: Framed = {"type": "hello", "body": {"token": self.token}}
        if self.last is not None:
            hello["body"]["last"] = {"conv": self.last[0], "seq": self.last[1]}
        await self._socket.send(json.dumps(hello))
        self._reading = asyncio.create_task(self._read(self._socket))
        await self.until(lambda: bool(self.welcome) or self.closed is not None)
        for frame in list(self.unacknowledged.values()):
            with suppress(ConnectionClosed):
                await self._socket.send(json.dumps(frame))

    async def drop(self) -> None:
        """Lose the connection, as in a tunnel."""
        if self._socket is not None and self._socket.transport is not None:
            self._socket.transport.abort()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
        self.welcome = {}

    @property
    def last(self) -> tuple[str, int] | None:
        return max(((m["conv"], m["seq"]) for m in self.messages.values()), default=None)

    @property
    def texts(self) -> list[str]:
        shown = sorted(self.messages.values(), key=lambda m: (m["conv"], m["seq"]))
        return [m["body"].get("text", "") for m in shown]

    async def send(self, type_: str, id_: str | None = None, *, conv: str | None = None, **body: Any) -> str:
        """Send a frame; keep it until it is acknowledged when it is one of those that are."""
        frame: Framed = {"v": 1, "id": id_ or f"{self.name}-{next(self._numbers)}", "type": type_, "body": body}
        if conv is not None:
            frame["conv"] = conv
        if type_ not in {"typing", "ping"}:
            self.unacknowledged[frame["id"]] = frame
        await self.raw(json.dumps(frame))
        return str(frame["id"])

    async def raw(self, text: str | bytes) -> None:
        assert self._socket is not None
        with suppress(ConnectionClosed):
            await self._socket.send(text)

    async def say(self, text: str, id_: str | None = None) -> str:
        """Send a message and wait until it is acknowledged."""
        sent = await self.send("message", id_, text=text)
        await self.until(lambda: sent not in self.unacknowledged)
        return sent

    async def answer(self, id_: str) -> Framed:
        """Wait for the ack or refusal of a frame."""
        await self.until(lambda: any(answer.get("id") == id_ for answer in self.answers))
        return next(answer for answer in self.answers if answer.get("id") == id_)

    async def shows(self, *texts: str) -> None:
        """Wait until exactly these texts are shown, in this order."""
        await self.until(lambda: self.texts == list(texts), what=lambda: f"{self.texts} instead of {list(texts)}")

    async def until(
        self, true: Callable[[], bool], *, seconds: float = 15.0, what: Callable[[], str] = lambda: "it never happened"
    ) -> None:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(true)
        except TimeoutError:
            raise AssertionError(what()) from None

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                await self._take(json.loads(text))
        except ConnectionClosed:
            pass
        async with self._changed:
            self.closed = socket.close_code
            self._changed.notify_all()

    async def _take(self, frame: Framed) -> None:
        async with self._changed:
            match frame["type"]:
                case "welcome":
                    self.welcome = frame
                case "message":
                    self.messages[frame["id"]] = frame
                case "reset":
                    self.messages.clear()
                    self.resets += 1
                case "ack" | "refused" | "pong":
                    self.answers.append(frame)
                    if "retry_after" not in frame.get("body", {}):
                        self.unacknowledged.pop(frame.get("id", ""), None)
                case _:
                    self.signals.append(frame)
            self._changed.notify_all()


async def visitor_token(base: str, **headers: str) -> Framed:
    """Ask for a new visitor's token."""
    async with httpx.AsyncClient() as http:
        response = await http.post(f"{base}/visitor", headers=headers)
        response.raise_for_status()
        given: Framed = response.json()
        return given
