"""Routes before anybody is known: set-up, sign-in, single sign-on, invitations, password resets."""

import hmac
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Cookie, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, StringConstraints

from onethread.access import queries
from onethread.access.acting import ANYBODY, COOKIE, SIGNED_IN, Acting, address_of, device_of
from onethread.access.actions import brands, invitations, passwords, sign_in, sign_on
from onethread.access.actions.agents import NewAgent
from onethread.access.actions.brands import NewBrand
from onethread.access.actions.sign_in import SignedIn
from onethread.access.api_shapes import Code, Email, Locale, Name, Password, Secret, TimeZone, house_of
from onethread.access.model import AccessRules, Role
from onethread.access.oidc import SignOn, SignOnFailed, is_same_issuer
from onethread.kernel.errors import NotFound
from onethread.platform.wire import Body

routes = APIRouter(tags=["access"])

STATE_COOKIE: Final = "onethread_sign_on"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class SignInBody(Body):
    email: Email
    password: Password
    code: Code | None = None  # of the authenticator, or a recovery code


class SetupBody(Body):
    organisation: Name
    brand: Name
    country: Annotated[str, StringConstraints(min_length=2, max_length=2, to_upper=True)]
    email: Email
    name: Name
    password: Password
    locale: Locale = "en"
    time_zone: TimeZone = "UTC"


class AcceptBody(Body):
    token: Secret
    password: Password
    name: Name | None = None
    locale: Locale = "en"
    time_zone: TimeZone = "UTC"


class ResetRequestBody(Body):
    email: Email


class ResetBody(Body):
    token: Secret
    password: Password


class Setup(BaseModel):
    """What the sign-in page shows: whether to set up first, and the name of the organisation's own sign-in."""

    needed: bool
    single_sign_on: str | None


class OpenedSession(BaseModel):
    """A session was opened and its cookie set; `csrf` accompanies every write as X-CSRF-Token."""

    agent_id: str
    name: str
    role: Role
    csrf: str
    expires_at: datetime


@routes.get("/setup", operation_id="get_setup", openapi_extra=ANYBODY)
async def get_setup(request: Request) -> Setup:
    """Say whether this installation still has to be set up, and how people sign in."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        founded = await queries.is_founded(tx)
    return Setup(needed=not founded, single_sign_on=house.sign_on.provider.name if house.sign_on else None)


@routes.post("/setup", operation_id="set_up", status_code=201, openapi_extra=ANYBODY)
async def set_up(request: Request, response: Response, body: SetupBody) -> OpenedSession:
    """Found the organisation, its first brand and its owner, and sign the owner in; once only."""
    house = house_of(request)
    brand = NewBrand(body.brand, body.country, body.locale, body.time_zone)
    owner = NewAgent(body.email, body.name, "owner", body.locale, body.time_zone)
    now = house.clock()
    async with house.database.transaction() as tx:
        founded = await brands.found_organisation(
            tx, name=body.organisation, brand=brand, owner=owner, password=body.password, now=now
        )
        opened = await sign_in.open_session(
            tx, founded.owner.id, way="password", device=device_of(request), rules=house.access, now=now
        )
    return _with_cookie(response, opened, house.access)


@routes.post("/session", operation_id="sign_in", status_code=201, openapi_extra=ANYBODY)
async def open_session(request: Request, response: Response, body: SignInBody) -> OpenedSession:
    """Sign in by address and password, and by a code where a second factor is set up."""
    house = house_of(request)
    opened = await sign_in.sign_in(
        house.database,
        house.secrets,
        email=body.email,
        password=body.password,
        code=body.code,
        device=device_of(request),
        rules=house.access,
        now=house.clock(),
    )
    return _with_cookie(response, opened, house.access)


@routes.delete("/session", operation_id="sign_out", status_code=204, openapi_extra=SIGNED_IN)
async def close_session(request: Request, response: Response, actor: Acting) -> None:
    """Sign out of this browser."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await sign_in.sign_out(tx, actor, now=house.clock())
    response.delete_cookie(COOKIE, path="/")


@routes.get(
    "/session/oidc",
    operation_id="begin_sign_on",
    status_code=303,
    response_class=RedirectResponse,
    openapi_extra=ANYBODY,
)
async def begin_sign_on(request: Request, return_to: Annotated[str, Query(max_length=2000)] = "/") -> RedirectResponse:
    """Send the browser to the organisation's sign-in server."""
    house = house_of(request)
    sent = await sign_on.begin_sign_on(house.database, _provider(house.sign_on), return_to=return_to, now=house.clock())
    answer = RedirectResponse(sent.address, status_code=303)
    # Only the browser that left may come back: an attacker's answer does not fit its cookie.
    answer.set_cookie(
        STATE_COOKIE, sent.state, max_age=600, httponly=True, samesite="lax", secure=_is_secure(house.access)
    )
    return answer


@routes.get(
    "/session/oidc/callback",
    operation_id="finish_sign_on",
    status_code=303,
    response_class=RedirectResponse,
    openapi_extra=ANYBODY,
)
async def finish_sign_on(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    iss: Annotated[str | None, Query(max_length=2000)] = None,
    kept: Annotated[str, Cookie(alias=STATE_COOKIE, include_in_schema=False)] = "",
) -> RedirectResponse:
    """Take the browser back from the organisation's sign-in server and open its session."""
    house = house_of(request)
    provider = _provider(house.sign_on)
    if not kept or not hmac.compare_digest(kept.encode(), state.encode()):
        raise SignOnFailed("This sign-in was not begun in this browser. Start again from the sign-in page.")
    if not code or (iss is not None and not is_same_issuer(iss, provider.provider.issuer)):
        raise SignOnFailed("The organisation's sign-in server did not let you in.")
    returned = await sign_on.finish_sign_on(
        house.database,
        provider,
        state=state,
        code=code,
        device=device_of(request),
        rules=house.access,
        now=house.clock(),
    )
    answer = RedirectResponse(house.access.public_url + returned.return_to, status_code=303)
    answer.delete_cookie(STATE_COOKIE)
    _set_cookie(answer, returned.signed_in, house.access)
    return answer


@routes.post("/invitations/accept", operation_id="accept_invitation", status_code=201, openapi_extra=ANYBODY)
async def accept_invitation(request: Request, response: Response, body: AcceptBody) -> OpenedSession:
    """Join by the link of an invitation and be signed in."""
    house = house_of(request)
    opened = await invitations.accept_invitation(
        house.database,
        secret=body.token,
        name=body.name,
        password=body.password,
        locale=body.locale,
        time_zone=body.time_zone,
        device=device_of(request),
        rules=house.access,
        now=house.clock(),
    )
    return _with_cookie(response, opened, house.access)


@routes.post("/password-resets", operation_id="request_password_reset", status_code=202, openapi_extra=ANYBODY)
async def request_reset(request: Request, body: ResetRequestBody) -> None:
    """Have a link for a new password sent; the answer is the same whether anybody has the address."""
    house = house_of(request)
    await passwords.request_password_reset(
        house.database, house.secrets, email=body.email, rules=house.access, now=house.clock()
    )


@routes.post("/password-resets/use", operation_id="reset_password", status_code=204, openapi_extra=ANYBODY)
async def use_reset(request: Request, body: ResetBody) -> None:
    """Set a new password by the link of a letter; every session ends."""
    house = house_of(request)
    await passwords.reset_password(
        house.database,
        house.secrets,
        secret=body.token,
        password=body.password,
        address=address_of(request),
        now=house.clock(),
    )


def _with_cookie(response: Response, opened: SignedIn, rules: AccessRules) -> OpenedSession:
    _set_cookie(response, opened, rules)
    actor = opened.actor
    assert actor.role is not None
    return OpenedSession(
        agent_id=str(actor.id), name=actor.name, role=actor.role, csrf=opened.csrf, expires_at=opened.expires_at
    )


def _set_cookie(response: Response, opened: SignedIn, rules: AccessRules) -> None:
    response.set_cookie(
        COOKIE,
        opened.secret,
        max_age=int(rules.session_absolute.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=_is_secure(rules),
    )


def _is_secure(rules: AccessRules) -> bool:
    """Leave `Secure` out only for a trial on one's own machine."""
    place = urlsplit(rules.public_url)
    return place.scheme == "https" or place.hostname not in _LOOPBACK


def _provider(sign_on_: SignOn | None) -> SignOn:
    if sign_on_ is None:
        raise NotFound("Single sign-on is not set up here.")
    return sign_on_
