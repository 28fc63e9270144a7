"""Standard Webhooks signatures (standardwebhooks.com, scheme v1): made and checked here, purely."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

PREFIX: Final = "whsec_"
TOLERANCE: Final = timedelta(minutes=5)
_MOST_SIGNATURES = 10  # a header with more of them only wants to keep us busy


def new_secret() -> str:
    """Return a fresh secret of 256 bits in its written form, `whsec_…`."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def sign(secrets_: Sequence[str], *, id_: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of a signed request; every secret signs, so that secrets can be changed."""
    stamp = str(int(at.timestamp()))
    signatures = [f"v1,{_signature(_key(secret), id_, stamp, body)}" for secret in secrets_]
    return {"webhook-id": id_, "webhook-timestamp": stamp, "webhook-signature": " ".join(signatures)}


def fault(secrets_: Sequence[str], *, id_: str, stamp: str, signatures: str, body: bytes, now: datetime) -> str | None:
    """Say in words why a signed request is not to be trusted, or return None when it is.

    `id_`, `stamp` and `signatures` are the three headers as they came. Never raises for what a stranger sent.
    """
    if not (id_ and stamp and signatures):
        return "The headers webhook-id, webhook-timestamp and webhook-signature are needed."
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
        return "The header webhook-timestamp must be in whole seconds."
    if abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        return "The time of the signature is more than five minutes away from ours."
    given = [part[3:] for part in signatures.split(" ", _MOST_SIGNATURES)[:_MOST_SIGNATURES] if part.startswith("v1,")]
    expected = [_signature(_key(secret), id_, stamp, body).encode() for secret in secrets_]
    fits = False
    for signature in given:
        for right in expected:  # every pair is compared, so that the time taken tells nothing
            fits |= hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), right)
    return None if fits else "The signature does not fit the body."


def is_secret(text: str) -> bool:
    """Tell whether a text can serve as a secret: base64 of 24 to 64 bytes, `whsec_` before it or not."""
    try:
        return 24 <= len(_key(text)) <= 64
    except (binascii.Error, ValueError):
        return False


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def _signature(key: bytes, id_: str, stamp: str, body: bytes) -> str:
    signed = f"{id_}.{stamp}.".encode("utf-8", "surrogatepass") + body
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
