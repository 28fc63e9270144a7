"""Who is acting: the dependency by which every room's routes learn it from a key or a session."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, Protocol, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from onethread.access.actions.sign_in import Device
from onethread.access.credentials import digest, is_csrf_of, session_lives
from onethread.access.model import PERMISSIONS_OF, AccessRules, Actor, Permission
from onethread.access.store import sessions, tokens
from onethread.kernel.errors import NotAllowed, NotSignedIn
from onethread.platform.db import Database

COOKIE: Final = "onethread_session"
CSRF_HEADER: Final = "X-CSRF-Token"
_LOOKING_ONLY: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_bearer = HTTPBearer(scheme_name="key", description="An API key: `Authorization: Bearer otk_…`", auto_error=False)
_cookie = APIKeyCookie(
    name=COOKIE,
    scheme_name="session",
    description=f"The session of a browser; writes carry its token in {CSRF_HEADER}.",
    auto_error=False,
)


class CsrfFailed(NotAllowed):
    code = "csrf_failed"
    title = "This request did not come from our own page"


class House(Protocol):
    """What recognising somebody needs of `request.app.state.house`."""

    @property
    def database(self) -> Database: ...
    @property
    def access(self) -> AccessRules: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


async def acting(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    session: Annotated[str | None, Security(_cookie)],
) -> Actor:
    """Return who acts: the key of the Authorization header, else the agent of the session cookie.

    Raises NotSignedIn, and CsrfFailed for a write with a cookie but without its token.
    """
    house = cast("House", request.app.state.house)
    if bearer is not None:
        return await of_key(house, bearer.credentials, address=address_of(request))
    if session is None:
        raise NotSignedIn("Sign in, or send an API key in the Authorization header.")
    if request.method not in _LOOKING_ONLY and not is_csrf_of(session, request.headers.get(CSRF_HEADER, "")):
        raise CsrfFailed(f"Send the token of your session in the header {CSRF_HEADER}.")
    return await of_session(house, session, address=address_of(request))


Acting = Annotated[Actor, Depends(acting)]


async def of_key(house: House, secret: str, *, address: str | None) -> Actor:
    """Return the actor behind an API key; raises NotSignedIn for one unknown, revoked or too old."""
    async with house.database.transaction() as tx:
        key = await tokens.used_key(tx, digest(secret), now=house.clock())
    if key is None:
        raise NotSignedIn("This API key is unknown, revoked or too old.")
    actor = Actor(
        kind="key",
        name=key.name,
        role=key.role,
        permissions=PERMISSIONS_OF[key.role],
        id=key.id,
        brands=frozenset(key.brands) or None,
        address=address,
    )
    return actor.narrowed(None if key.scopes is None else frozenset(key.scopes))


async def of_session(house: House, secret: str, *, address: str | None) -> Actor:
    """Return the agent behind a session's secret; raises NotSignedIn once it is over.

    For WebSockets too, whose Origin the caller checks: they carry the cookie and no token.
    """
    now, rules = house.clock(), house.access
    async with house.database.transaction() as tx:
        seen = await sessions.seen_session(tx, digest(secret), now=now, idle_since=now - rules.session_idle)
    if seen is None or not session_lives(seen.seen_at, seen.expires_at, now, rules=rules):
        raise NotSignedIn("Your session has ended; sign in again.")
    return Actor(
        kind="agent",
        name=seen.name,
        role=seen.role,
        permissions=PERMISSIONS_OF[seen.role],
        id=seen.agent_id,
        brands=frozenset(seen.brands) or None,
        teams=frozenset(seen.teams) if seen.only_own_teams else None,
        session=seen.session_id,
        address=address,
    )


def address_of(request: Request) -> str | None:
    """Return the network address a request came from, as the server (told of its proxies) knows it."""
    return request.client.host if request.client else None


def device_of(request: Request) -> Device:
    """Return the browser a request came from."""
    user_agent = request.headers.get("user-agent", "")
    return Device("".join(c for c in user_agent if c.isprintable()), address_of(request))


# What the permission test reads of every route. A route for whoever is signed in says so, a public one too.
ANYBODY: Final[dict[str, object]] = {"x-permission": "anybody", "security": []}
SIGNED_IN: Final[dict[str, object]] = {"x-permission": "signed_in"}


def needs(*any_of: Permission) -> dict[str, object]:
    """Return the `openapi_extra` of a route whose action requires the permission.

    Of several, each part of what is asked for requires its own; whoever has none is refused.
    """
    return {"x-permission": "|".join(any_of)}
