"""Requests that are repeated with the same key are carried out once; the answer is kept and given again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from onethread.kernel.errors import Conflict, Invalid
from onethread.kernel.ids import new_id
from onethread.platform import store_idempotency as store
from onethread.platform.db import Database, Tx
from onethread.platform.secrets import Secrets
from onethread.platform.store_idempotency import Place

KEPT: Final = timedelta(hours=24)
PURPOSE: Final = "idempotency"  # of the encryption of the answers
_LEASE: Final = timedelta(seconds=60)  # after it a claim whose process died may be taken over
LARGEST_ANSWER: Final = 1 << 20  # bytes; larger answers are not kept


class KeyReused(Invalid):
    code = "idempotency_key_reused"
    title = "This key was used for another request"


class InProgress(Conflict):
    """Field `retry_after` is in whole seconds."""

    code = "in_progress"
    title = "The same request is being carried out right now"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it is recognised again: who, which key, what."""

    actor: str
    key: str
    method: str
    path: str
    body: bytes
    query: bytes = b""

    @property
    def fingerprint(self) -> bytes:
        return sha256(len(self.query).to_bytes(4) + self.query + self.body).digest()


class Kept(msgspec.Struct, frozen=True):
    """An answer as it is given again."""

    status: int
    media_type: str
    body: bytes
    location: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry a request out."""

    request: Request
    id: UUID


class Idempotency:
    """Claims first, in a transaction of its own: of many equal requests at once, one is carried out."""

    def __init__(self, database: Database, secrets: Secrets) -> None:
        self.database = database
        self.secrets = secrets

    async def claim(self, request: Request) -> Claim | Kept:
        """Return the right to carry the request out, or the answer it got before.

        Raises KeyReused when the key came with another request, InProgress while it is being carried out.
        """
        mine = new_id()
        async with self.database.transaction() as tx:
            if await store.claim(tx, _place(request), request.fingerprint, mine, lease=_LEASE, kept=KEPT):
                return Claim(request, mine)
            found = await store.known(tx, _place(request))
        if found is None:  # it was given up a moment ago
            raise InProgress("The same request just ended without an answer; repeat it.", retry_after=1)
        fingerprint, answer = found
        if fingerprint != request.fingerprint:
            raise KeyReused("This Idempotency-Key came with a different request before. Use a fresh key.")
        if answer is None:
            raise InProgress("The first request with this key is still being carried out.", retry_after=1)
        return msgspec.msgpack.decode(self.secrets.decrypt(answer, purpose=PURPOSE), type=Kept)

    async def keep(self, claim: Claim, answer: Kept) -> None:
        """Keep the answer, encrypted: it may hold a secret that is shown once."""
        sealed = self.secrets.encrypt(msgspec.msgpack.encode(answer), purpose=PURPOSE)
        async with self.database.transaction() as tx:
            await store.keep(tx, _place(claim.request), claim.id, sealed)

    async def give_up(self, claim: Claim) -> None:
        """Let the request be tried again: it had no answer worth keeping."""
        async with self.database.transaction() as tx:
            await store.release(tx, _place(claim.request), claim.id)


async def forget(tx: Tx, *, now: datetime) -> int:
    """Forget answers whose time is over; return how many."""
    return await store.forget(tx, before=now - KEPT)


def _place(request: Request) -> Place:
    return request.actor, request.key, request.method, request.path
