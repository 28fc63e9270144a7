"""What an administrator does with webhooks. Whether they may is decided at the door, above."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.kernel.errors import Conflict, Invalid, NotFound
from onethread.kernel.ids import BrandId, new_id
from onethread.platform import signing
from onethread.platform.db import Tx
from onethread.platform.secrets import Secrets
from onethread.platform.webhooks import store
from onethread.platform.webhooks.model import ROTATION, Webhook, WebhookId, check_types, check_url
from onethread.platform.webhooks.sender import PURPOSE

_MOST_WEBHOOKS = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """A webhook with its secret, which is shown this once."""

    webhook: Webhook
    secret: str


async def subscribe(
    tx: Tx,
    secrets: Secrets,
    *,
    url: str,
    types: Sequence[str],
    known: frozenset[str],
    brand_id: BrandId | None,
    secret: str | None = None,
) -> Shown:
    """Add a webhook; `known` are the event types there are. Raises Invalid and Conflict."""
    if len(await store.webhooks(tx, before=None, limit=_MOST_WEBHOOKS)) >= _MOST_WEBHOOKS:
        raise Conflict(f"There are {_MOST_WEBHOOKS} webhooks already; remove one first.")
    secret = _checked(secret)
    id_ = WebhookId(new_id())
    await store.insert_webhook(
        tx,
        id_,
        url=check_url(url),
        types=check_types(types, known),
        brand_id=brand_id,
        secret=secrets.encrypt(secret.encode(), purpose=PURPOSE),
    )
    return Shown(await one(tx, id_), secret)


async def change(
    tx: Tx,
    id_: WebhookId,
    *,
    url: str,
    types: Sequence[str],
    known: frozenset[str],
    brand_id: BrandId | None,
    enabled: bool,
) -> Webhook:
    """Change where a webhook goes and what it gets. Switching it on again sends what waited meanwhile."""
    types = check_types(types, known)
    await store.update_webhook(tx, id_, url=check_url(url), types=types, brand_id=brand_id, enabled=enabled)
    return await one(tx, id_)


async def rotate(tx: Tx, secrets: Secrets, id_: WebhookId, *, now: datetime) -> Shown:
    """Give a webhook a new secret; for a day requests are signed with the old one as well."""
    secret = signing.new_secret()
    sealed = secrets.encrypt(secret.encode(), purpose=PURPOSE)
    if not await store.rotate_secret(tx, id_, sealed, old_ends=now + ROTATION):
        raise _missing()
    return Shown(await one(tx, id_), secret)


async def remove(tx: Tx, id_: WebhookId) -> None:
    """Remove a webhook and its deliveries."""
    if not await store.delete_webhook(tx, id_):
        raise _missing()


async def replay(tx: Tx, id_: WebhookId, ids: Sequence[int] | None) -> int:
    """Send ended deliveries (every dead one for None) once more; return how many."""
    await one(tx, id_)
    return len(await store.revive(tx, id_, ids))


async def one(tx: Tx, id_: WebhookId) -> Webhook:
    """Return a webhook; raises NotFound."""
    found = await store.webhook(tx, id_)
    if found is None:
        raise _missing()
    return found


def _checked(secret: str | None) -> str:
    if secret is None:
        return signing.new_secret()
    if not signing.is_secret(secret):
        raise Invalid("A secret is whsec_ and 24 to 64 bytes in base64.", field="secret")
    return secret


def _missing() -> NotFound:
    return NotFound("There is no such webhook.")
