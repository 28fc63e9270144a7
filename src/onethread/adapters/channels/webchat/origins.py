"""Which websites may open an account's chat."""

from functools import lru_cache
from urllib.parse import urlsplit

import idna


def allows(allowed_domains: str, origin: str | None, host: str) -> bool:
    """Tell whether a page of this origin may talk to the account; `host` is our own.

    Only browsers say an Origin, and only there it protects anybody: an app has none and needs its token.
    An empty list allows every website.
    """
    if not origin or not allowed_domains.strip():
        return True
    theirs = _host_of(origin)
    if theirs is None:
        return False
    if theirs == host.lower():
        return True
    return any(_covers(entry, theirs) for entry in _entries(allowed_domains))


def _host_of(origin: str) -> str | None:
    """Return `host` or `host:port` of an origin, None for `null` and nonsense."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in {"http", "https"} and parts.netloc else None


@lru_cache(maxsize=1024)
def _entries(allowed_domains: str) -> tuple[str, ...]:
    return tuple(_plain(entry) for entry in allowed_domains.replace(",", " ").split())


def _plain(entry: str) -> str:
    """Bring an entry as people write it (`https://Shop.example/`, `*.ร้าน.ไทย`) to the form of an origin."""
    host = entry.lower().partition("://")[2] or entry.lower()
    host = host.partition("/")[0]
    star = "*." if host.startswith("*.") else ""
    name, colon, port = host.removeprefix("*.").partition(":")
    try:
        name = idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host
    return f"{star}{name}{colon}{port}"


def _covers(entry: str, theirs: str) -> bool:
    if ":" not in entry:
        theirs = theirs.partition(":")[0]
    if entry.startswith("*."):
        return theirs.endswith(entry[1:])
    return theirs == entry
