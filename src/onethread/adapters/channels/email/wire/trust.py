"""Whether our own mail server vouches for the sender (RFC 8601), in a word and a sentence."""

import re
from dataclasses import dataclass
from typing import Final

from onethread.adapters.channels.email.wire.headers import Headers
from onethread.channels.contract import Trust

_COMMENT: Final = re.compile(r"\([^()]*\)")
_RESULT: Final = re.compile(r"\s*(dmarc|dkim|spf)\s*=\s*([a-z]+)", re.IGNORECASE)
_PROPERTY: Final = re.compile(
    r"\b(header\.from|header\.d|header\.i|smtp\.mailfrom)\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE
)
_LONGEST: Final = 16_384


@dataclass(frozen=True, slots=True)
class Verdict:
    trust: Trust
    reason: str


def judge(headers: Headers, *, authserv_id: str, sender: str) -> Verdict:
    """Judge the From address `sender` by the topmost Authentication-Results of our own server.

    Headers of other servers, and further ones in our server's name, may have been written by the sender.
    """
    if not authserv_id:
        return Verdict("unverified", "No mail server of ours checks senders for this mailbox.")
    for value in headers.all("authentication-results"):
        server, _, results = _COMMENT.sub(" ", value[:_LONGEST]).partition(";")
        if server.split()[:1] and server.split()[0].lower() == authserv_id.lower():
            return _weigh(results, sender.rpartition("@")[2].lower())
    return Verdict("unverified", f"{authserv_id} said nothing about this mail.")


def _weigh(results: str, domain: str) -> Verdict:
    failed = ""
    passed = ""
    for part in results.split(";")[:100]:
        match = _RESULT.match(part)
        if match is None:
            continue
        method, result = match[1].lower(), match[2].lower()
        properties = {name.lower(): value.lower() for name, value in _PROPERTY.findall(part)}
        if method == "dmarc" and result == "fail":
            return Verdict("failed", f"DMARC fails: this did not come from {domain}.")
        if result == "pass" and _speaks_for(method, properties, domain):
            passed = passed or f"{method.upper()} passes for {domain}."
        elif result in {"fail", "permerror"}:
            failed = failed or f"{method.upper()} fails."
    if passed:
        return Verdict("verified", passed)
    if failed:
        return Verdict("unverified", failed)
    return Verdict("unverified", f"Neither DKIM nor SPF speaks for {domain}.")


def _speaks_for(method: str, properties: dict[str, str], domain: str) -> bool:
    if method == "dmarc":
        return properties.get("header.from", domain).rpartition("@")[2] == domain
    named = (
        properties.get("smtp.mailfrom", "")
        if method == "spf"
        else (properties.get("header.d") or properties.get("header.i", ""))
    )
    return _aligned(named.rpartition("@")[2], domain)


def _aligned(signer: str, domain: str) -> bool:
    """Relaxed alignment, told without a list of public suffixes: the signer is the domain or above it.

    A signer of one label, `com`, speaks for nobody.
    """
    return signer == domain or ("." in signer and domain.endswith(f".{signer}"))
