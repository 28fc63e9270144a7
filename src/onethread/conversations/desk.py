"""The desk: channels, accounts and brands as the receiver and the sender see them, without a query."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Protocol

from onethread.access import queries as access
from onethread.channels.contract import Account, Channel
from onethread.conversations.receiving.batch import BrandRules, Desk
from onethread.conversations.unsubscribing import UnsubscribeLinks
from onethread.kernel.ids import AccountId, BrandId
from onethread.platform.db import Database

_FRESH: Final = 2.0  # seconds a brand's rules may be out of date


class Accounts(Protocol):
    """Where the accounts are, without a query each time."""

    async def by_id(self) -> Mapping[AccountId, Account]: ...


class Desks:
    """Lays the desk: what changes seldom is read again every two seconds."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        channels: Mapping[str, Channel],
        token_key: bytes,
        unsubscribe: UnsubscribeLinks,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._channels = channels
        self._token_key = token_key
        self._unsubscribe = unsubscribe
        self._brands: dict[BrandId, BrandRules] = {}
        self._read_at = float("-inf")

    async def __call__(self) -> Desk:
        """Return the desk as it is now. Raises Unavailable when it was never read and cannot be."""
        now = time.monotonic()
        if now - self._read_at > _FRESH:
            self._read_at = now
            try:
                async with self._database.transaction() as tx:
                    brands = await access.brands(tx)
            except BaseException:
                self._read_at = float("-inf")
                raise
            self._brands = {
                brand.id: BrandRules(brand.default_country, timedelta(days=brand.reopen_days)) for brand in brands
            }
        accounts = await self._accounts.by_id()
        return Desk(self._channels, accounts, self._brands, self._token_key, self._unsubscribe)
