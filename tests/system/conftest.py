"""Whole systems: the server really runs, as one process or as several on one database."""

from collections.abc import AsyncIterator

import pytest

from tests.kits.server import Server
from tests.kits.shop import Shop, beside


@pytest.fixture
async def shop(server: Server) -> AsyncIterator[Shop]:
    """A shop on the server that is shared: its accounts are new, the database is not."""
    async with Shop.on(server) as shop:
        yield shop


@pytest.fixture
async def chain(own_server: Server) -> AsyncIterator[Shop]:
    """A shop on two server processes that share one database."""
    other = beside(own_server)
    try:
        async with Shop.on(own_server) as shop:
            shop.others = (other,)
            yield shop
    finally:
        other.kill()
