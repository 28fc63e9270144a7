"""The accounts as the hot paths see them: opened once, looked up without a query."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from onethread.channels import queries
from onethread.channels.contract import Account
from onethread.channels.queries import AccountRow
from onethread.kernel.ids import AccountId
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets, Undecipherable

log = structlog.get_logger(__name__)

_FRESH: Final = 2.0  # seconds an account may be out of date in another process
_UNKNOWN: Final = 0.25  # seconds between looks for accounts that nobody here has heard of

_PURPOSE: Final = "channels.account"


class Accounts:
    """The enabled accounts with their secrets opened, re-read at most every two seconds."""

    def __init__(self, database: Database, secrets: Secrets) -> None:
        self._database = database
        self._secrets = secrets
        self._by_id: dict[AccountId, Account] = {}
        self._read_at = float("-inf")  # when the last reading began
        self._forgotten = 0
        self._reading: asyncio.Task[None] | None = None

    async def get(self, account_id: AccountId) -> Account | None:
        await self._refresh()
        if account_id not in self._by_id:
            await self._look_again()
        account = self._by_id.get(account_id)
        return account if account is not None and account.enabled else None

    async def all(self) -> Sequence[Account]:
        """Return the enabled accounts, oldest first."""
        await self._refresh()
        return [account for account in self._by_id.values() if account.enabled]

    async def by_id(self) -> Mapping[AccountId, Account]:
        """Return every account, switched off or not: what came in before still has to be applied."""
        await self._refresh()
        return self._by_id

    def forget(self) -> None:
        """Read the accounts anew at the next look-up."""
        self._forgotten += 1
        self._read_at = float("-inf")

    async def _refresh(self) -> None:
        if time.monotonic() - self._read_at < _FRESH:
            return
        reading = self._under_way()
        if self._by_id and self._read_at > float("-inf"):
            return  # a little old is good enough while the fresh ones are on their way
        await asyncio.shield(reading)

    async def _look_again(self) -> None:
        """Look for an account that another process may have set up this moment: its first webhook must not bounce."""
        asked = time.monotonic()
        while self._read_at < asked:
            if self._reading is None:
                await asyncio.sleep(max(0.0, self._read_at + _UNKNOWN - time.monotonic()))
            if self._read_at < asked:
                await asyncio.shield(self._under_way())

    def _under_way(self) -> asyncio.Task[None]:
        """Return the reading under way, one at a time."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="accounts")
        return self._reading

    async def _read(self) -> None:
        began, forgotten = time.monotonic(), self._forgotten
        try:
            async with self._database.transaction() as tx:
                rows = await queries.accounts(tx)
            self._by_id = {account.id: account for row in rows if (account := self._opened(row)) is not None}
            # What was changed while we read is not in it.
            self._read_at = began if forgotten == self._forgotten else float("-inf")
        finally:
            self._reading = None

    def _opened(self, row: AccountRow) -> Account | None:
        """Return the account, None when our key for its secrets was lost: the others go on without it."""
        try:
            return opened(row, self._secrets)
        except Undecipherable:
            log.error("accounts.undecipherable", account=str(row.id), channel=row.channel)
            return None


def opened(row: AccountRow, secrets: Secrets) -> Account:
    """Return the account with its secrets decrypted."""
    return Account(
        id=row.id,
        channel=row.channel,
        brand_id=row.brand_id,
        name=row.name,
        settings={**row.settings, **open_secrets(row.secrets, secrets)},
        enabled=row.enabled,
    )


def open_secrets(sealed: bytes | None, secrets: Secrets) -> dict[str, str]:
    if sealed is None:
        return {}
    return msgspec.json.decode(secrets.decrypt(sealed, purpose=_PURPOSE), type=dict[str, str])


def seal_secrets(values: dict[str, str], secrets: Secrets) -> bytes | None:
    return secrets.encrypt(msgspec.json.encode(values), purpose=_PURPOSE) if values else None
