"""Accounts as the hot paths see them: no query for each webhook, and yet never out of date when it matters."""

import asyncio
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

from onethread.access.model import SYSTEM
from onethread.channels import actions
from onethread.channels.accounts import Accounts
from onethread.kernel.ids import AccountId
from onethread.platform.db import Database, Tx
from tests.kits.world import World


async def another(world: World, name: str) -> AccountId:
    """Set up an account without telling anybody, as another process would."""
    async with world.database.transaction() as tx:
        line = await actions.add_account(
            tx,
            SYSTEM,
            world.channels["tincan"].declaration,
            brand_id=world.brand_id,
            name=name,
            settings={"secret": "s"},
            secrets=world.secrets,
        )
    return line.id


async def test_an_account_set_up_by_another_process_is_known_at_once(database: Database) -> None:
    world = await World.open(database)
    accounts = Accounts(database, world.secrets)
    assert len(await accounts.all()) == 1
    for name in ("first", "second"):
        account_id = await another(world, name)
        found = await accounts.get(account_id)
        assert found is not None and found.name == name


async def test_what_changes_while_the_accounts_are_read_is_read_again(database: Database) -> None:
    world = await World.open(database)
    accounts = Accounts(database, world.secrets)
    async with database.transaction() as tx:
        await tx.run("LOCK TABLE channels.account IN ACCESS EXCLUSIVE MODE")
        reading = asyncio.create_task(accounts.all())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        accounts.forget()
        await tx.run("UPDATE channels.account SET name = 'renamed'")
    await reading
    [account] = await accounts.all()
    assert account.name == "renamed"


class Counted(Database):
    """A database that counts who comes."""

    transactions = 0

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        self.transactions += 1
        return super().transaction()


async def test_strangers_who_guess_ids_cost_little(database: Database) -> None:
    world = await World.open(database)
    counted = Counted(database.conninfo)
    await counted.open()
    accounts = Accounts(counted, world.secrets)
    await accounts.all()
    assert await asyncio.gather(*(accounts.get(AccountId(uuid4())) for _ in range(200))) == [None] * 200
    assert counted.transactions == 2
    await counted.close()
