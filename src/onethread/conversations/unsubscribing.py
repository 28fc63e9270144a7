"""Links by which somebody stops our marketing with one click (RFC 8058), good for ever. Pure."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from onethread.kernel.ids import IdentifierId

PATH: Final = "/u/"
_MAC: Final = 12  # bytes


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Who wants no more marketing, and over which channel."""

    identifier_id: IdentifierId
    channel: str


@dataclass(frozen=True, slots=True)
class UnsubscribeLinks:
    """Makes and reads the links. `address` is our public one, `key` must never change."""

    address: str
    key: bytes

    def link(self, wish: Unsubscribe) -> str:
        """Return the address at which a POST carries the wish out."""
        said = wish.identifier_id.bytes + wish.channel.encode()
        token = base64.urlsafe_b64encode(self._mac(said) + said).decode().rstrip("=")
        return f"{self.address}{PATH}{token}"

    def read(self, token: str) -> Unsubscribe | None:
        """Return the wish of a token of ours, None for anything else."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            said = raw[_MAC:]
            if not hmac.compare_digest(raw[:_MAC], self._mac(said)):
                return None
            return Unsubscribe(IdentifierId(UUID(bytes=said[:16])), said[16:].decode())
        except ValueError:
            return None

    def _mac(self, said: bytes) -> bytes:
        return hmac.digest(self.key, said, hashlib.sha256)[:_MAC]
