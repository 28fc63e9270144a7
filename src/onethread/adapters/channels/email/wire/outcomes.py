"""What an answer of a mail server means for a delivery (RFC 5321, RFC 3463)."""

import re
from typing import Final, Literal

from onethread.adapters.channels.email.wire import reports
from onethread.channels.contract import NeedsAttention, Outcome, TryLater, Unreachable

Stage = Literal["greeting", "login", "sender", "recipient", "content"]

_SOON: Final = 60.0  # seconds: the server is busy or cannot be reached
_LATER: Final = 300.0  # greylisting servers want to wait about that long
_FULL: Final = 3600.0  # somebody has to make room first

# A refusal that speaks of us and not of the recipient: nothing this account sends would be taken.
_ABOUT_US: Final = re.compile(
    r"relay(?:ing)?\b|authenticat|not logged in|log ?in|sender address rejected|not (?:permitted|allowed|authorized) to"
    r"|access denied|client host rejected|block(?:ed)? (?:using|by)|blacklist|spf|dkim|dmarc",
    re.IGNORECASE,
)


def refused(stage: Stage, code: int, text: str, *, server: str, user: str = "") -> Outcome:
    """Read a refusal: `code` is the three-digit reply, `text` what the server wrote beside it."""
    enhanced = reports.enhanced_code(text)
    said = reports.status_words(str(code), text)
    if stage == "login" and code >= 500:
        return NeedsAttention(
            f"{server} refused the user name or password{f' of {user}' if user else ''} ({said}). "
            "Enter them again in the settings of this mailbox."
        )
    if code < 500:
        return TryLater(_patience(code, enhanced), said)
    if code == 530:
        return NeedsAttention(f"{server} asks for a user name and password ({said}). Enter them in the settings.")
    if stage in {"greeting", "sender"}:
        return NeedsAttention(f"{server} takes no mail from this mailbox ({said}). Ask its operator to allow it.")
    if enhanced.startswith("5.7") and _ABOUT_US.search(text):
        return NeedsAttention(
            f"{server} does not let this mailbox send there ({said}). Check its user name, its address and the "
            "SPF, DKIM and DMARC records of its domain."
        )
    if enhanced in {"5.3.4", "5.2.3"} or (code == 552 and not enhanced):
        return Unreachable(f"The mail is too large for the recipient's server ({said}).", permanent=False)
    # A policy or a full mailbox of one recipient says nothing about the next mail; a dead address does.
    return Unreachable(said, permanent=stage == "recipient" and reports.is_dead(enhanced, text))


def unreached(what: str) -> TryLater:
    """Nothing was handed over, because the server could not be reached or went away."""
    return TryLater(_SOON, what, no_line=True)


def _patience(code: int, enhanced: str) -> float:
    if enhanced.endswith(".2.2") or code == 452:
        return _FULL
    return _SOON if code == 421 else _LATER
