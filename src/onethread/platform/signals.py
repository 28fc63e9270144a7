"""Carries passing signals (typing, looking) between processes by NOTIFY; nothing of them is stored."""

import asyncio
import secrets
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
from psycopg import AsyncConnection, InterfaceError, OperationalError

from onethread.platform.db import Database
from onethread.platform.live import Hub, Signal

log = structlog.get_logger(__name__)

_PAUSE: Final = 0.03  # seconds in which signals gather for one NOTIFY
_MOST_BYTES: Final = 7_900  # PostgreSQL takes payloads shorter than 8,000 bytes
_MOST_WAITING: Final = 2_000  # signals not carried yet; more than that are forgotten, as signals may be


class _Parcel(msgspec.Struct, array_like=True, frozen=True):
    """What travels: from which process, and its signals."""

    sender: str
    signals: list[Signal]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Parcel).decode


class SignalCarrier:
    """Tells other processes the signals of this hub, and this hub theirs."""

    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self._name = secrets.token_hex(8)
        self._waiting: list[Signal] = []
        self._woken = asyncio.Event()
        hub.carry = self._take

    async def run(self) -> None:
        """Carry until cancelled; while the database is away, signals are simply lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="signals:listen")
            group.create_task(self._tell(), name="signals:tell")

    def _take(self, signal: Signal) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(signal)
            self._woken.set()

    async def _tell(self) -> None:
        while True:
            with suppress(OperationalError, InterfaceError):
                async with await self._database.connect() as conn:
                    while True:
                        await self._woken.wait()
                        await asyncio.sleep(_PAUSE)
                        self._woken.clear()
                        waiting, self._waiting = self._waiting, []
                        for parcel in self._packed(waiting):
                            await conn.execute("SELECT pg_notify('onethread_live', %s)", (parcel.decode(),))
            await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        while True:
            with suppress(OperationalError, InterfaceError):
                async with await self._database.connect() as conn:
                    await conn.execute("LISTEN onethread_live")
                    await self._hear(conn)
            await asyncio.sleep(0.5)

    async def _hear(self, conn: AsyncConnection[Any]) -> None:
        async for notice in conn.notifies():
            try:
                parcel = _decode(notice.payload)
            except msgspec.MsgspecError:
                log.warning("live.signal_unreadable", size=len(notice.payload))
                continue
            if parcel.sender != self._name:
                for signal in parcel.signals:
                    self._hub.hear(signal)

    def _packed(self, signals: list[Signal]) -> list[bytes]:
        """Return as few payloads as the signals fit into."""
        whole = _encode(_Parcel(self._name, signals))
        if len(whole) <= _MOST_BYTES:
            return [whole]
        if len(signals) == 1:
            return []  # too long to be a signal
        half = len(signals) // 2
        return self._packed(signals[:half]) + self._packed(signals[half:])
