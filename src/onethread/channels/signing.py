"""The Standard Webhooks signature at the webhook door, for channels that have none of their own."""

from collections.abc import Sequence
from datetime import datetime

from onethread.channels.contract import Forged, Hook
from onethread.platform import signing


def verify_standard(hook: Hook, secrets: Sequence[str]) -> None:
    """Check `webhook-id`, `-timestamp` and `-signature` against the raw body. Raises Forged, nothing else.

    Without a proper secret nothing holds: an account that never set one takes no webhooks.
    """
    usable = [secret for secret in secrets if signing.is_secret(secret)]
    if not usable:
        raise Forged("This account has no webhook secret, so it takes no webhooks.")
    fault = signing.fault(
        usable,
        id_=hook.headers.get("webhook-id", ""),
        stamp=hook.headers.get("webhook-timestamp", ""),
        signatures=hook.headers.get("webhook-signature", ""),
        body=hook.body,
        now=hook.received_at,
    )
    if fault is not None:
        raise Forged(fault)


def sign_standard(secret: str, *, id_: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers with which a sender signs `body`."""
    return signing.sign([secret], id_=id_, at=at, body=body)
