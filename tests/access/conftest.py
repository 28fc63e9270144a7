"""The corner shop's first day: an organisation, a brand and an owner."""

import pytest

from onethread.access.actions.brands import Founded
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets, new_key
from tests.access.staff import found_corner_shop


@pytest.fixture
def secrets() -> Secrets:
    return Secrets.from_text(new_key())


@pytest.fixture
async def founded(database: Database) -> Founded:
    """The corner shop, set up and committed."""
    async with database.transaction() as tx:
        return await found_corner_shop(tx)
