"""Requests that are repeated with the same key are carried out once; the answer is kept and given again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec

from onethread.kernel.errors import Conflict, Invalid
from onethread.kernel.ids import new_id
from onethread.platform import store_idempotency as store
from onethread.platform.db import Database, Tx, before_commit
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


class AnswerLost(Conflict):
    code = "answer_lost"
    title = "The request was carried out, but its answer was lost"


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

        Raises KeyReused when the key came with another request, InProgress while it is being carried out,
        AnswerLost when a server died between its commit and its answer.
        """
        mine = new_id()
        async with self.database.transaction() as tx:
            if await store.claim(tx, _place(request), request.fingerprint, mine, lease=_LEASE, kept=KEPT):
                return Claim(request, mine)
            found = await store.known(tx, _place(request))
        if found is None:  # it was given up a moment ago
            raise InProgress("The same request just ended without an answer; repeat it.", retry_after=1)
        if found.request != request.fingerprint:
            raise KeyReused("This Idempotency-Key came with a different request before. Use a fresh key.")
        if found.answer is not None:
            return msgspec.msgpack.decode(self.secrets.decrypt(found.answer, purpose=PURPOSE), type=Kept)
        if found.lost:
            raise AnswerLost("It was carried out, but the server stopped before it could answer. Look at what it did.")
        raise InProgress("The first request with this key is still being carried out.", retry_after=1)

    @contextmanager
    def carrying_out(self, claim: Claim) -> Iterator[None]:
        """Have the transactions of the block note that they carry the request out, so that nobody does it twice.

        A transaction whose claim was taken over meanwhile is rolled back (InProgress).
        """
        under_way = True

        async def note(tx: Tx) -> None:
            # Tasks that were started inside and outlive the request carry this along; it is over for them.
            if under_way and not await store.mark_carried_out(tx, _place(claim.request), claim.id):
                raise InProgress("Another server has taken this request over.", retry_after=1)

        token = before_commit.set(note)
        try:
            yield
        finally:
            under_way = False
            before_commit.reset(token)

    async def keep(self, claim: Claim, answer: Kept) -> None:
        """Keep the answer, encrypted: it may hold a secret that is shown once."""
        sealed = self.secrets.encrypt(msgspec.msgpack.encode(answer), purpose=PURPOSE)
        async with self.database.transaction() as tx:
            await store.keep(tx, _place(claim.request), claim.id, sealed)

    async def give_up(self, claim: Claim) -> None:
        """Let the request be tried again: it had no answer worth keeping. One that wrote something stays claimed."""
        async with self.database.transaction() as tx:
            await store.release(tx, _place(claim.request), claim.id)


async def forget(tx: Tx, *, now: datetime) -> int:
    """Forget answers whose time is over; return how many."""
    return await store.forget(tx, before=now - KEPT)


def _place(request: Request) -> Place:
    return request.actor, request.key, request.method, request.path
