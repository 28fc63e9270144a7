"""The one webhook door: `POST /hooks/{account}`, raw ASGI, 200 only after the commit."""

import hashlib
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from onethread.channels import store
from onethread.channels.accounts import Accounts
from onethread.channels.contract import Account, Channel, Hook, HookAnswer, Unreadable
from onethread.channels.reception import Reception
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Malformed, NotFound, Refused, TooLarge, Unavailable
from onethread.kernel.ids import AccountId
from onethread.platform.db import Database

log = structlog.get_logger(__name__)

_MAX_BODY: Final = 52 * 1024 * 1024  # bytes: a 50 MB mail and its envelope
_OK: Final = HookAnswer(200, b'{"ok":true}', "application/json")
_PREFIX: Final = "/hooks/"
_MOST_AT_ONCE: Final = 256 * 1024 * 1024  # bytes of bodies read and not yet answered, of all requests together


class HookDoor:
    """An ASGI application that verifies, keeps and acknowledges strangers' webhooks."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        channels: Mapping[str, Channel],
        reception: Reception,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._channels = channels
        self._reception = reception
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._take(scope, receive)
        except Refused as refusal:
            answer = _problem(refusal)
        except Exception as error:  # a door catches, logs once and answers
            log.exception("hooks.failed", error=type(error).__name__)
            answer = _problem(Unavailable("This could not be kept; try again soon.", retry_after=5))
        headers = [
            (b"content-type", answer.media_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        if answer.status in {429, 503}:
            headers.append((b"retry-after", b"2"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _take(self, scope: Scope, receive: Receive) -> HookAnswer:
        account, channel = await self._find(scope["path"])
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            return await self._take_large(scope, receive, account, channel, body)
        if message["type"] == "http.disconnect":
            raise Malformed("The request ended before its body did.")
        return await self._keep(scope, account, channel, body)

    async def _take_large(
        self, scope: Scope, receive: Receive, account: Account, channel: Channel, first: bytes
    ) -> HookAnswer:
        """Read a body of several pieces. All of them together have a bound: nobody has shown a signature yet."""
        parts, size = [first], len(first)
        self._held += size
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Malformed("The request ended before its body did.")
                part: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > _MAX_BODY:
                    raise TooLarge("A webhook may have 52 MiB at the most.")
                if self._held > _MOST_AT_ONCE:
                    raise Unavailable("Too much is coming in at once; try again soon.", retry_after=2)
            return await self._keep(scope, account, channel, b"".join(parts))
        finally:
            self._held -= size

    async def _keep(self, scope: Scope, account: Account, channel: Channel, body: bytes) -> HookAnswer:
        hook = Hook(
            method=scope["method"],
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            query=scope["query_string"].decode("latin-1"),
            body=body,
            received_at=utc_now(),
        )
        answer = channel.verify(hook, account)
        if answer is not None:
            return answer
        try:
            drafts = channel.split(hook, account)
        except Unreadable as unreadable:
            # It was signed by whom we trust, so it is kept whole; sending it again would not help.
            await self._park(account.id, hook.body, unreadable.detail)
            return _OK
        await self._reception.receive(account.id, drafts)
        return _OK

    async def _find(self, path: str) -> tuple[Account, Channel]:
        try:
            account_id = AccountId(UUID(path[len(_PREFIX) :].rstrip("/")))
        except ValueError:
            raise NotFound("There is no account with this address.") from None
        account = await self._accounts.get(account_id)
        channel = self._channels.get(account.channel) if account is not None else None
        if account is None or channel is None:
            raise NotFound("There is no account with this address.")
        return account, channel

    async def _park(self, account_id: AccountId, body: bytes, reason: str) -> None:
        digest = hashlib.sha256(body).hexdigest()
        async with self._database.transaction() as tx:
            await store.park_request(tx, account_id, f"request:{digest}", body, reason)


def _problem(refusal: Refused) -> HookAnswer:
    body = {
        "type": f"urn:onethread:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
    }
    return HookAnswer(refusal.status, msgspec.json.encode(body), "application/problem+json")
