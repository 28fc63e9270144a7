"""A mail server that takes everything and counts it: what we handed over, and how often."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import BytesHeaderParser
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session


class Sink:
    """`taken` counts the Message-IDs it said yes to; it takes up to `slow` seconds to say so."""

    def __init__(self, *, slow: float = 0.0, dice: random.Random | None = None) -> None:
        self.taken: Counter[str] = Counter()
        self.port = 0
        self._slow = slow
        self._dice = dice or random.Random(1)

    @classmethod
    @asynccontextmanager
    async def listening(cls, *, slow: float = 0.0) -> AsyncIterator[Self]:
        """Listen on a free port of this machine."""
        sink = cls(slow=slow)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(sink, hostname="sink", loop=loop), "127.0.0.1", 0)
        sink.port = server.sockets[0].getsockname()[1]
        try:
            yield sink
        finally:
            server.close()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name there
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken[str(BytesHeaderParser().parsebytes(content)["Message-ID"])] += 1
        await asyncio.sleep(self._dice.random() * self._slow)
        return "250 2.0.0 taken"
