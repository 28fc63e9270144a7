"""What mail servers and mail programs report about mail of ours: bounces, read receipts, complaints."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from onethread.adapters.channels.email.wire import headers as fields
from onethread.adapters.channels.email.wire.headers import Headers
from onethread.adapters.channels.email.wire.mime import Part, read_headers
from onethread.channels.contract import Came, Handle, Ignored, OptedOut, StatusCame, StatusWord, id_of_reference
from onethread.kernel.ids import DeliveryId
from onethread.kernel.text import one_line

_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_MOST_GROUPS: Final = 100
_REASON: Final = 300

# RFC 3463 and the registry of enhanced status codes: faults of the address itself, not of the moment.
_ADDRESS_IS_DEAD: Final = {"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4"}
# Servers without enhanced codes say it in prose.
_SAYS_DEAD: Final = re.compile(
    r"user unknown|unknown user|no such (?:user|mailbox|recipient|address|person)|(?:does not|doesn't) exist"
    r"|(?:mailbox|recipient|account|user|address) (?:not found|unknown|unavailable|disabled|rejected)"
    r"|invalid (?:recipient|mailbox|address)|unknown (?:recipient|mailbox|address)|host or domain name not found",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Mail:
    """The mail of ours that a report speaks of."""

    external_id: str | None
    delivery_id: DeliveryId | None


def read(message: Part, *, bounced: str | None, at: datetime) -> list[Came] | None:
    """Read a report; None when the mail is none. `bounced` is the delivery our bounce address named."""
    if message.media_type != "multipart/report":
        return None
    kind = message.params.get("report-type", "").lower()
    parts = {part.media_type: part for part in message.parts}
    ours = _about(parts, bounced)
    status = parts.get("message/delivery-status") or parts.get("message/global-delivery-status")
    if status is not None:
        return _delivery(_groups(status), ours, at)
    notice = parts.get("message/disposition-notification") or parts.get("message/global-disposition-notification")
    if notice is not None:
        return _disposition(_groups(notice), ours, at)
    feedback = parts.get("message/feedback-report")
    if feedback is not None:
        return _complaint(_groups(feedback), ours, parts, at)
    return [Ignored(f"A report of a kind we do not read: {one_line(kind, most=40) or 'unnamed'}.")]


def status_words(code: str, text: str) -> str:
    """Say why a mail was not delivered, for people: the code and what the other server said."""
    return one_line(f"{code} {text}".strip(), most=_REASON)


def is_dead(code: str, text: str) -> bool:
    """Tell whether a refusal for good says that the address itself cannot be reached."""
    if code and not code.endswith(".0.0"):
        return code in _ADDRESS_IS_DEAD
    return _SAYS_DEAD.search(text) is not None


def enhanced_code(text: str) -> str:
    """Return the enhanced status code (`5.1.1`) in what a server said, or nothing."""
    found = _STATUS.search(text)
    return found[0] if found else ""


# ---------------------------------------------------------------- the mail it is about


def _about(parts: dict[str, Part], bounced: str | None) -> _Mail:
    original = _original(parts)
    external_id = fields.message_id(original.get("message-id")) if original else None
    reference = bounced or (original.get("x-onethread") if original else "")
    delivery = id_of_reference(reference) if reference else None
    return _Mail(external_id, DeliveryId(delivery) if delivery else None)


def _original(parts: dict[str, Part]) -> Headers | None:
    for media_type in ("text/rfc822-headers", "message/global-headers"):
        if part := parts.get(media_type):
            return read_headers(part.body)
    for media_type in ("message/rfc822", "message/global"):
        if part := parts.get(media_type):
            return part.message.headers if part.message else read_headers(part.body)
    return None


def _groups(part: Part) -> list[Headers]:
    """Read the blocks of fields of a report: the first is about the message, the others about recipients."""
    blocks = re.split(rb"\r?\n(?:[ \t]*\r?\n)+", part.body.strip())[:_MOST_GROUPS]
    return [read_headers(block + b"\r\n\r\n") for block in blocks if block.strip()]


# ---------------------------------------------------------------- delivery status (RFC 3464)


def _delivery(groups: Sequence[Headers], ours: _Mail, at: datetime) -> list[Came]:
    if ours.external_id is None and ours.delivery_id is None:
        return [Ignored("A delivery report that names no mail of ours.")]
    came = [_recipient(group, ours, at) for group in groups if group.get("action")]
    return list(came) or [Ignored("A delivery report without any recipient.")]


def _recipient(group: Headers, ours: _Mail, at: datetime) -> Came:
    action = group.get("action").partition(" ")[0].strip().lower()
    diagnostic = group.get("diagnostic-code").partition(";")[2].strip()
    code = _code(group.get("status"), diagnostic)
    reason = status_words(code, diagnostic)
    if action == "failed":
        dead = is_dead(code, diagnostic)
        return StatusCame("failed", at, ours.external_id, ours.delivery_id, reason or "Returned.", permanent=dead)
    if action in {"delivered", "relayed", "expanded"}:
        # Beyond a relay or a list nothing is known, so that is no more than sent.
        status: StatusWord = "delivered" if action == "delivered" else "sent"
        return StatusCame(status, at, ours.external_id, ours.delivery_id, reason)
    if action == "delayed":
        return Ignored(f"Delayed, and still being tried: {reason}".strip(" :"))
    return Ignored("A delivery report with an action we do not know.")


def _code(status: str, diagnostic: str) -> str:
    """Return the enhanced code. The remote server's own is more exact than a reporting server's `5.0.0`."""
    found = _STATUS.search(status)
    if found is None or found[0].endswith(".0.0"):
        found = _STATUS.search(diagnostic) or found
    return found[0] if found else ""


# ---------------------------------------------------------------- read receipts (RFC 8098)


def _disposition(groups: Sequence[Headers], ours: _Mail, at: datetime) -> list[Came]:
    group = groups[0] if groups else None
    external_id = ours.external_id or (fields.message_id(group.get("original-message-id")) if group else None)
    if group is None or (external_id is None and ours.delivery_id is None):
        return [Ignored("A read receipt that names no mail of ours.")]
    if group.get("disposition").rpartition(";")[2].strip().lower().startswith("displayed"):
        return [StatusCame("read", at, external_id, ours.delivery_id)]
    return [Ignored("A receipt that does not say the mail was shown.")]


# ---------------------------------------------------------------- complaints (RFC 5965)


def _complaint(groups: Sequence[Headers], ours: _Mail, parts: dict[str, Part], at: datetime) -> list[Came]:
    group = groups[0] if groups else None
    if group is None or group.get("feedback-type").strip().lower() in {"not-spam", "auth-failure"}:
        return [Ignored("Feedback that is no complaint.")]
    came: list[Came] = []
    if ours.external_id or ours.delivery_id:
        came.append(
            StatusCame("delivered", at, ours.external_id, ours.delivery_id, "Reported as spam.", complaint=True)
        )
    if address := _complainer(group, _original(parts)):
        came.append(OptedOut(Handle("email", address), "marketing", at, "Reported our mail as spam."))
    return came or [Ignored("A complaint that names neither a mail of ours nor who complains.")]


def _complainer(group: Headers, original: Headers | None) -> str | None:
    """Providers hide the address; what they leave of it stands in one of these."""
    for value in (group.get("original-rcpt-to"), original.get("to") if original else ""):
        found = fields.addresses_in(value)
        if len(found) == 1:
            return found[0]
    return None
