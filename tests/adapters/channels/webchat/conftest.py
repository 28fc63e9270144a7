"""The house with one web chat, really served."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from onethread.kernel.ids import AccountId
from tests.adapters.channels.webchat.client import VisitorScreen, visitor_token
from tests.adapters.channels.webchat.payloads import HOOK_SECRET, IDENTIFY_SECRET
from tests.kits.site import Served, serving


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop with a chat on its website; `api` is an agent's program."""

    served: Served
    account_id: AccountId
    api: httpx.AsyncClient

    @property
    def base(self) -> str:
        return f"{self.served.http}/channels/webchat/{self.account_id}"

    async def token(self) -> str:
        return str((await visitor_token(self.base))["token"])

    async def visitor(self, token: str | None = None) -> VisitorScreen:
        return VisitorScreen(self.base, token or await self.token())

    async def conversations(self) -> list[dict[str, Any]]:
        response = await self.api.get("/api/v1/conversations")
        response.raise_for_status()
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    async def conversation(self) -> str:
        """Wait until there is one conversation; return its id."""
        async with asyncio.timeout(15):
            while not (items := await self.conversations()):  # noqa: ASYNC110  it is another process's to say
                await asyncio.sleep(0.02)
        (only,) = items
        return str(only["id"])

    async def answer(self, conversation_id: str, text: str) -> dict[str, Any]:
        response = await self.api.post(f"/api/v1/conversations/{conversation_id}/messages", json={"text": text})
        assert response.is_success, response.text
        sent: dict[str, Any] = response.json()
        return sent


@pytest.fixture
async def served(fresh_conninfo: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(fresh_conninfo, tmp_path) as served:
        yield served


@pytest.fixture
async def shop(served: Served) -> AsyncIterator[Shop]:
    settings = {"hook_secret": HOOK_SECRET, "identify_secret": IDENTIFY_SECRET}
    account_id = await served.account("webchat", settings)
    key = await served.key("owner")
    async with httpx.AsyncClient(base_url=served.http, headers={"authorization": f"Bearer {key}"}) as api:
        yield Shop(served, account_id, api)
