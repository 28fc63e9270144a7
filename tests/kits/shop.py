"""A shop on running servers: its web chat, what its customers write, and what is in its database afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, LiteralString, Self
from uuid import UUID, uuid4

import httpx

from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Unavailable
from onethread.platform import signing
from onethread.platform.db import Database
from tests.kits.server import Server
from tests.machines.waiting import until

HOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Shop:
    """What a test needs to write to a shop, to answer for it, and to look at what became of it."""

    server: Server
    database: Database
    api: httpx.AsyncClient
    chat: str  # the id of its web chat account
    mailbox: str = ""  # the id of its e-mail account, when it has one
    others: Sequence[Server] = field(default=())  # further processes on the same database

    @classmethod
    @asynccontextmanager
    async def on(cls, server: Server) -> AsyncIterator[Self]:
        """Open a shop with a web chat on a running server."""
        database = Database(server.database, connections=4)
        await database.open()
        key = {"authorization": f"Bearer {server.owner_key}"}
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=key, trust_env=False, timeout=30) as api:
            shop = cls(server, database, api, "")
            shop.chat = await shop.account("webchat", {"hook_secret": HOOK_SECRET})
            try:
                yield shop
            finally:
                await database.close()

    async def account(self, channel: str, settings: Mapping[str, str]) -> str:
        """Set up an account; return its id."""
        body = {"channel": channel, "brand_id": str(self.server.brand_id), "name": channel, "settings": settings}
        return str((await self.post("/accounts", body))["id"])

    # ------------------------------------------------------------ what customers do

    async def hook(
        self,
        http: httpx.AsyncClient,
        body: bytes,
        *,
        account: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Post a signed webhook."""
        signed = signing.sign([HOOK_SECRET], id_=f"msg_{uuid4().hex}", at=utc_now(), body=body)
        return await http.post(f"/hooks/{account or self.chat}", content=body, headers={**signed, **(headers or {})})

    async def hear(self, visitor: UUID, client_id: str, text: str) -> None:
        """Take one message of a visitor in, acknowledged."""
        async with self.line() as http:
            response = await self.hook(http, said(visitor, client_id, text))
        assert response.status_code == 200, response.text

    def line(self, server: Server | None = None) -> httpx.AsyncClient:
        """Return a connection of its own, to one of the servers."""
        limits = httpx.Limits(max_connections=1)
        return httpx.AsyncClient(base_url=(server or self.server).url, limits=limits, trust_env=False, timeout=30)

    # ------------------------------------------------------------ what the shop does

    async def get(self, path: str, **query: str | int) -> Any:
        response = await self.api.get(path, params=query)
        assert response.is_success, response.text
        return response.json()

    async def post(self, path: str, body: Mapping[str, object]) -> Any:
        response = await self.api.post(path, json=body)
        assert response.is_success, response.text
        return response.json()

    async def answer(self, conversation: str, text: str, **more: object) -> dict[str, Any]:
        """Answer in a conversation; the message leaves at once."""
        sent: dict[str, Any] = await self.post(
            f"/conversations/{conversation}/messages", {"text": text, "hold_seconds": 0, **more}
        )
        return sent

    async def conversations(self, **wanted: str | int) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get("/conversations", limit=200, **wanted))["items"]
        return items

    async def texts(self, conversation: str) -> list[str]:
        """Return what was said in a conversation, in its order."""
        lines = await self.messages(conversation)
        return [line["content"].get("text", "") for line in lines]

    async def messages(self, conversation: str) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = (await self.get(f"/conversations/{conversation}/messages", limit=200))["items"]
        return lines

    # ------------------------------------------------------------ what became of it

    async def value(self, sql: LiteralString, *params: object) -> Any:
        [(value,)] = await self.rows(sql, *params)
        return value

    async def rows(self, sql: LiteralString, *params: object) -> list[tuple[Any, ...]]:
        """Ask the database; one that was killed meanwhile is asked again."""
        async with asyncio.timeout(30):
            while True:
                with suppress(Unavailable):
                    async with self.database.transaction() as tx:
                        return await tx.tuples(sql, params)
                await asyncio.sleep(0.1)

    async def applied(self, *, seconds: float = 30.0) -> None:
        """Wait until every receipt was tried; one that speaks of what is not here yet goes on waiting."""

        async def nothing_waits() -> bool:
            left = await self.value("SELECT count(*) FROM channels.receipt WHERE state = 'waiting' AND reason IS NULL")
            return bool(left == 0)

        await until(nothing_waits, seconds=seconds)

    async def parked(self) -> list[str]:
        return [reason for (reason,) in await self.rows("SELECT reason FROM channels.receipt WHERE state = 'parked'")]


def said(visitor: UUID, client_id: str, text: str) -> bytes:
    """Return what a company's own app posts when its visitor says something."""
    frame = {"v": 1, "id": client_id, "type": "message", "body": {"text": text}}
    return json.dumps({"visitor": str(visitor), "frame": frame}, ensure_ascii=False).encode()


def beside(server: Server) -> Server:
    """Return another server process on the same database and the same keys; start it."""
    other = Server(
        server.data,
        server.conninfo,
        environment=dict(server.environment),
        owner_key=server.owner_key,
        brand_id=server.brand_id,
    )
    other.start()
    return other
