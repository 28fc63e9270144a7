"""An HTTP server that takes whatever is posted and answers as the test likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Taken:
    """One request that came; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Answers with `answers` one after another, then always with `always`; between hold and release, not at all."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.taken: list[Taken] = []
        self.answers: list[int] = []
        self.always = 200
        self._came = asyncio.Condition()
        self._open = asyncio.Event()
        self._open.set()

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator[Self]:
        """Listen on a free port of this machine."""
        receivers: list[Self] = []
        server = await asyncio.start_server(lambda reader, writer: receivers[0]._serve(reader, writer), "127.0.0.1", 0)
        receivers.append(cls(server.sockets[0].getsockname()[1]))
        try:
            yield receivers[0]
        finally:
            receivers[0].release()
            server.close()

    async def requests(self, count: int) -> list[Taken]:
        """Wait until so many requests came; return them."""
        async with asyncio.timeout(20), self._came:
            await self._came.wait_for(lambda: len(self.taken) >= count)
        return self.taken[:count]

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            async with self._came:
                self.taken.append(Taken(head[0].split(" ")[1], headers, body))
                self._came.notify_all()
            await self._open.wait()
            status = self.answers.pop(0) if self.answers else self.always
            writer.write(f"HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
