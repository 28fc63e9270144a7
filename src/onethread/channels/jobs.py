"""Background doors of the room: every account is asked, about once a minute, whether it works."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from onethread.channels import actions
from onethread.channels.accounts import Accounts
from onethread.channels.contract import Account, Channel, Health
from onethread.kernel.errors import Unavailable
from onethread.kernel.ids import AccountId
from onethread.platform.db import Database

log = structlog.get_logger(__name__)

_EVERY: Final = 50.0  # seconds between rounds: with the asking itself, a revoked password is red within a minute
_AT_ONCE: Final = 4
_PATIENCE: Final = 8.0  # seconds for a provider to say how an account is


class Checker:
    """Asks the channels how their accounts are and notes what became different. `run` goes on until cancelled.

    What it found before it does not say again: an account that fails only while sending stays as the sender saw it.
    """

    def __init__(self, database: Database, accounts: Accounts, channels: Mapping[str, Channel]) -> None:
        self._database = database
        self._accounts = accounts
        self._channels = channels
        self._found: dict[AccountId, Health] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.step()
            except Unavailable:
                log.info("accounts.not_checked")
            await asyncio.sleep(_EVERY)

    async def step(self) -> None:
        """Ask every enabled account once, a few at a time."""
        turns = asyncio.Semaphore(_AT_ONCE)
        accounts = [one for one in await self._accounts.all() if one.channel in self._channels]
        found = await asyncio.gather(*(self._ask(turns, one) for one in accounts))
        news = [(one.id, health) for one, health in zip(accounts, found, strict=True) if health != self._before(one)]
        if not news:
            return
        async with self._database.transaction() as tx:
            for account_id, health in sorted(news, key=lambda each: each[0]):
                await actions.report_health(tx, account_id, health)
        self._found.update(news)

    def _before(self, account: Account) -> Health | None:
        return self._found.get(account.id)

    async def _ask(self, turns: asyncio.Semaphore, account: Account) -> Health:
        async with turns:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await self._channels[account.channel].check(account)
            except TimeoutError:
                return Health(False, f"Its provider did not answer within {_PATIENCE:.0f} seconds.")
            except Exception as error:  # noqa: BLE001 - a door: a stranger's server may fail in any way
                log.warning("account.check_failed", channel=account.channel, error=type(error).__name__)
                return Health(False, f"The check failed ({type(error).__name__}).")
