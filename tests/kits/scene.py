"""One of everything on a running server: what a stranger to it must neither see nor touch."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from onethread.access.actions.agents import NewAgent, create_agent
from onethread.access.actions.teams import create_team
from onethread.access.model import SYSTEM, Role
from onethread.kernel.clock import utc_now
from onethread.platform import signing
from onethread.platform.db import Database
from tests.kits.server import PASSWORD, Server
from tests.kits.shop import HOOK_SECRET, said

Found = TypeVar("Found")


@dataclass(frozen=True)
class Scene:
    """Ids of real things of the first brand: by the names the paths of the API give them."""

    server: Server
    ids: Mapping[str, str]

    @property
    def conversation(self) -> str:
        return self.ids["conversation_id"]

    @classmethod
    def on(cls, server: Server) -> "Scene":
        """Let a visitor write, answer them with a file, and let something come in that nobody can read."""
        with server.client() as owner, httpx.Client(base_url=server.url, trust_env=False) as outside:
            account = _ok(
                owner.post(
                    "accounts",
                    json={
                        "channel": "webchat",
                        "brand_id": str(server.brand_id),
                        "name": "Chat",
                        "settings": {"hook_secret": HOOK_SECRET},
                    },
                )
            )["id"]
            words = f"Where is parcel {secrets.token_hex(4)}?"
            visitor = uuid4()
            _hook(outside, account, said(visitor, "1", words))
            _hook(outside, account, said(uuid4(), "1", f"{words} (another customer)"))
            frame = {"v": 1, "id": "2", "type": "edit", "body": {"own": "1", "text": " "}}
            _hook(outside, account, json.dumps({"visitor": str(visitor), "frame": frame}).encode())

            def heard() -> list[dict[str, Any]] | None:
                rows = _ok(owner.get("conversations", params={"limit": 200}))["items"]
                mine = [row for row in rows if row["last_text"].startswith(words)]
                return sorted(mine, key=lambda row: len(row["last_text"])) if len(mine) == 2 else None

            def parked() -> dict[str, Any] | None:
                query = {"state": "parked", "account_id": account}
                return next(iter(_ok(owner.get("receipts", params=query))["items"]), None)

            (row, other), receipt = _wait_for(heard), _wait_for(parked)
            file = _ok(
                owner.post(
                    "files",
                    content=f"%PDF-1.7 {words}".encode(),
                    headers={"x-file-name": "label.pdf", "content-type": "application/pdf"},
                )
            )
            answer = _ok(
                owner.post(
                    f"conversations/{row['id']}/messages",
                    json={"text": "Here it is", "media": [file], "hold_seconds": 0},
                )
            )
            webhook = _ok(
                owner.post(
                    "webhooks",
                    json={"url": "http://127.0.0.1:9/", "types": ["TeamChanged"], "brand_id": str(server.brand_id)},
                )
            )["webhook"]
        ids = {
            "account_id": account,
            "brand_id": str(server.brand_id),
            "conversation_id": row["id"],
            "customer_id": row["customer_id"],
            "delivery_id": answer["deliveries"][0]["id"],
            "message_id": answer["id"],
            "other_conversation_id": other["id"],
            "other_customer_id": other["customer_id"],
            "receipt": str(receipt["seq"]),
            "sha256": file["ref"].removeprefix("file:"),
            "webhook_id": webhook["id"],
        }
        return cls(server, ids)

    def key_of_another_brand(self, role: Role = "admin") -> str:
        """Make another brand, and a key that is limited to it."""
        name = f"Other {secrets.token_hex(3)}"
        with self.server.client() as owner:
            brand = _ok(owner.post("brands", json={"name": name, "default_country": "TH"}))["id"]
            key: str = _ok(owner.post("keys", json={"name": name, "role": role, "brands": [brand]}))["secret"]
        return key

    @contextmanager
    def agent(self, role: Role, *, of_an_idle_team: bool = False) -> Iterator[httpx.Client]:
        """Give the browser of an agent who signed in; limited, if so said, to a team that has no work."""
        email = asyncio.run(_hire(self.server.database, role, of_an_idle_team=of_an_idle_team))
        with self.server.client("") as browser:
            signed_in = _ok(browser.post("session", json={"email": email, "password": PASSWORD}))
            browser.headers["x-csrf-token"] = signed_in["csrf"]
            yield browser


def filled(body: Any, ids: Mapping[str, str]) -> Any:
    """Return a body with the ids that stand in it by their names, a receipt's as the number it is."""
    match body:
        case dict():
            return {name: filled(value, ids) for name, value in body.items()}
        case list():
            return [filled(value, ids) for value in body]
        case "{receipt}":
            return int(ids["receipt"])
        case str():
            return body.format(**ids)
    return body


async def _hire(conninfo: str, role: Role, *, of_an_idle_team: bool) -> str:
    database = Database(conninfo)
    await database.open()
    email = f"{secrets.token_hex(4)}@cornershop.example"
    try:
        async with database.transaction() as tx:
            team = await create_team(tx, SYSTEM, name=email, members=(), now=utc_now())
            teams = (team.id,) if of_an_idle_team else ()
            new = NewAgent(email, "Nok", role, only_own_teams=of_an_idle_team, teams=teams)
            await create_agent(tx, SYSTEM, new, password=PASSWORD, now=utc_now())
    finally:
        await database.close()
    return email


def _hook(outside: httpx.Client, account: str, body: bytes) -> None:
    signed = signing.sign([HOOK_SECRET], id_=f"msg_{uuid4().hex}", at=utc_now(), body=body)
    answer = outside.post(f"/hooks/{account}", content=body, headers=signed)
    assert answer.status_code == 200, answer.text


def _ok(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def _wait_for(look: Callable[[], Found | None]) -> Found:
    deadline = time.monotonic() + 30
    while (found := look()) is None:
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found
