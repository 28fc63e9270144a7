"""What is kept of a mail that came: its raw bytes, or the words why they could not be kept. Pure."""

from collections.abc import Sequence
from typing import Final

from onethread.adapters.channels.email.wire.charsets import decoded
from onethread.adapters.channels.email.wire.reading import fingerprint, sender_key
from onethread.channels.contract import ReceiptDraft
from onethread.kernel.text import one_line

REFUSED: Final = "refused"


def draft_of(raw: bytes, trace: bytes = b"") -> ReceiptDraft:
    """Return the receipt of a mail; `trace` are header fields our own door puts above it.

    The id is made of the bytes alone: the same mail is the same, whichever way and however often it comes.
    """
    return ReceiptDraft(fingerprint(raw), sender_key(raw), trace + raw, form="mime")


def refusal_of(external_id: str, reason: str) -> ReceiptDraft:
    """Return a receipt for a mail that could not be kept; it will be parked with the reason."""
    return ReceiptDraft(external_id, "unknown", reason.encode(), form=REFUSED)


def reason_of(body: bytes) -> str:
    """Return the reason a refused mail was kept with."""
    return one_line(decoded(body[:2000], "utf-8"), most=300) or "This mail could not be kept."


def trace_of(mail_from: str, recipients: Sequence[str]) -> bytes:
    """Return what the envelope said as header fields, as mail servers write it on final delivery."""
    lines = [f"Return-Path: <{one_line(mail_from, most=320).strip('<>')}>"]
    lines += [f"Delivered-To: {one_line(recipient, most=320)}" for recipient in recipients]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
