"""What we give visitors to show again: who they are, and that they uploaded a file."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from onethread.adapters.channels.webchat.wire.frames import File
from onethread.channels.contract import Account, Media
from onethread.kernel.ids import AccountId
from onethread.platform.secrets import Secrets

VISITOR_FOR: Final = timedelta(days=180)  # slides: every visit of a token older than a day renews it
_RENEW_AFTER: Final = timedelta(days=1)
PROOF_FOR: Final = timedelta(days=1)

_VISITOR: Final = "webchat.visitor"
_UPLOAD: Final = "webchat.upload"


@dataclass(frozen=True, slots=True)
class VisitorToken:
    """A token as it is given to a browser."""

    visitor: UUID
    token: str
    expires_at: datetime


class _Upload(msgspec.Struct, array_like=True, frozen=True):
    account: bytes
    visitor: bytes
    ref: str
    size: int
    media_type: str


_upload: Final = msgspec.msgpack.Decoder(_Upload).decode


class Tokens:
    """Gives and checks tokens. A token holds for one account only."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def give(self, account_id: AccountId, visitor: UUID, now: datetime) -> VisitorToken:
        expires_at = now + VISITOR_FOR
        issued = int(now.timestamp()).to_bytes(5, "big")
        token = self._secrets.sign(account_id.bytes + visitor.bytes + issued, purpose=_VISITOR, expires_at=expires_at)
        return VisitorToken(visitor, token, expires_at)

    def visitor_of(self, account_id: AccountId, token: str, now: datetime) -> UUID | None:
        """Return whose token it is, None when it is not one of this account, or has expired."""
        payload = self._payload(account_id, token, now)
        return UUID(bytes=payload[16:32]) if payload is not None else None

    def renewed(self, account_id: AccountId, token: str, now: datetime) -> VisitorToken | None:
        """Return a fresh token in the place of one that is more than a day old, else None."""
        payload = self._payload(account_id, token, now)
        if payload is None or int.from_bytes(payload[32:], "big") > (now - _RENEW_AFTER).timestamp():
            return None
        return self.give(account_id, UUID(bytes=payload[16:32]), now)

    def _payload(self, account_id: AccountId, token: str, now: datetime) -> bytes | None:
        payload = self._secrets.verify(token, purpose=_VISITOR, now=now)
        if payload is None or len(payload) != 37 or payload[:16] != account_id.bytes:
            return None
        return payload

    def prove(self, account_id: AccountId, visitor: UUID, media: Media, now: datetime) -> str:
        """Return our word that this visitor uploaded the file."""
        upload = _Upload(account_id.bytes, visitor.bytes, media.ref, media.size or 0, media.media_type)
        return self._secrets.sign(msgspec.msgpack.encode(upload), purpose=_UPLOAD, expires_at=now + PROOF_FOR)

    def proved(self, file: File, *, account: Account, visitor: UUID, now: datetime) -> Media | None:
        """Return the file if the proof is ours, for this very visitor and still fresh."""
        payload = self._secrets.verify(file.proof, purpose=_UPLOAD, now=now)
        if payload is None:
            return None
        upload = _upload(payload)
        if (upload.account, upload.visitor, upload.ref) != (account.id.bytes, visitor.bytes, file.ref):
            return None
        return Media(file.ref, file.name, upload.media_type, upload.size)
