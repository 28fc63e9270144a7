"""The whole house in this process, behind a real server on a free port: for tests of doors."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from onethread.access.actions.agents import NewAgent, create_agent
from onethread.access.actions.brands import NewBrand, found_organisation
from onethread.access.actions.keys import create_key
from onethread.access.model import SYSTEM, Permission, Role
from onethread.access.queries import brands
from onethread.app.build import House, open_house
from onethread.app.settings import Settings
from onethread.app.web import Site
from onethread.channels import actions as channel_actions
from onethread.kernel.clock import utc_now
from onethread.kernel.ids import AccountId, AgentId, BrandId, TeamId
from tests.cast import corner_shop


@dataclass(frozen=True, slots=True)
class Served:
    """A running house and where it is reached."""

    house: House
    site: Site
    port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def found(self) -> BrandId:
        """Found the organisation unless it is there; return its brand."""
        async with self.house.database.transaction() as tx:
            there = await brands(tx)
            if there:
                return there[0].id
            founded = await found_organisation(
                tx,
                name="Corner Shops",
                brand=NewBrand(name=corner_shop.name, default_country=corner_shop.default_country),
                owner=NewAgent(email="olga@cornershop.example", name="Olga Owner", role="owner"),
                password="a long enough pass phrase",
                now=utc_now(),
            )
            return founded.brand.id

    async def account(self, channel: str, settings: Mapping[str, str]) -> AccountId:
        brand_id = await self.found()
        async with self.house.database.transaction() as tx:
            line = await channel_actions.add_account(
                tx,
                SYSTEM,
                self.house.channels[channel].declaration,
                brand_id=brand_id,
                name=f"The {channel}",
                settings=settings,
                secrets=self.house.secrets,
            )
        self.house.accounts.forget()
        return line.id

    async def key(self, role: Role = "owner", *, scopes: Sequence[Permission] | None = None) -> str:
        """Create an API key and return its secret."""
        await self.found()
        async with self.house.database.transaction() as tx:
            issued = await create_key(
                tx, SYSTEM, name=f"a {role}'s key {secrets.token_hex(2)}", role=role, scopes=scopes, now=utc_now()
            )
        return issued.secret

    async def agent(
        self, name: str, role: Role = "agent", *, teams: tuple[TeamId, ...] = (), only_own_teams: bool = False
    ) -> AgentId:
        """Create an agent who can sign in with `a long enough pass phrase`."""
        await self.found()
        new = NewAgent(
            email=f"{name.lower()}@cornershop.example", name=name, role=role, teams=teams, only_own_teams=only_own_teams
        )
        async with self.house.database.transaction() as tx:
            agent = await create_agent(tx, SYSTEM, new, password="a long enough pass phrase", now=utc_now())
        return agent.id


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(conninfo: str, data: Path, port: int | None = None) -> AsyncIterator[Served]:
    """Serve the house on a database until the block ends; connections that are open then are cut."""
    port = port or free_port()
    settings = Settings(
        data=data,
        host="127.0.0.1",
        port=port,
        database_url=SecretStr(conninfo),
        outward_allow=("127.0.0.1",),
    )
    async with open_house(settings) as house:
        site = Site(house)
        config = uvicorn.Config(
            site,
            host="127.0.0.1",
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server._serve([listening(port)]))  # without taking over this process's signals
        while not server.started:
            await asyncio.sleep(0.01)
            if running.done():
                running.result()
        try:
            yield Served(house, site, port)
        finally:
            server.should_exit = True
            server.force_exit = True
            await running


def listening(port: int) -> socket.socket:
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", port))
    return place
