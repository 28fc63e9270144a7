"""Routes of one's own account: who am I, sessions, password, second factor."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel

from onethread.access import queries
from onethread.access.acting import COOKIE, SIGNED_IN, Acting
from onethread.access.actions import agents, passwords, second_factor, sign_in
from onethread.access.api_shapes import Code, Locale, Name, Password, TimeZone, house_of
from onethread.access.credentials import csrf_of
from onethread.access.model import Agent, Permission, Role, Session, SessionId
from onethread.kernel.ids import BrandId, TeamId
from onethread.platform.events.model import ActorKind
from onethread.platform.wire import Body, Page

routes = APIRouter(tags=["access"])


class Me(BaseModel):
    """Who is acting. `agent` and `csrf` are set for somebody who signed in; limits of None mean all."""

    kind: ActorKind
    id: UUID | None
    name: str
    role: Role | None
    permissions: Sequence[Permission]
    brands: Sequence[BrandId] | None
    teams: Sequence[TeamId] | None
    session: SessionId | None
    agent: Agent | None
    csrf: str | None


class MeBody(Body):
    name: Name | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None


class PasswordBody(Body):
    password: Password
    current_password: Password | None = None


class ProofBody(Body):
    current_password: Password | None = None


class CodeBody(Body):
    code: Code


class CodeAndProofBody(Body):
    code: Code
    current_password: Password | None = None


class Enrolment(BaseModel):
    """For the authenticator: the secret, and the same as the address of a QR code."""

    secret: str
    uri: str


class RecoveryCodes(BaseModel):
    """Each opens the account once when the telephone is lost; shown this once."""

    recovery_codes: list[str]


class Ended(BaseModel):
    """How many sessions ended."""

    sessions: int


@routes.get("/me", operation_id="get_me", openapi_extra=SIGNED_IN)
async def get_me(request: Request, actor: Acting) -> Me:
    """Say who is acting, what they may do and, to a browser, the token its writes need."""
    agent = None
    if actor.agent_id is not None:
        async with house_of(request).database.transaction() as tx:
            agent = await queries.agent(tx, actor.agent_id)
    return Me(
        kind=actor.kind,
        id=actor.id,
        name=actor.name,
        role=actor.role,
        permissions=sorted(actor.permissions),
        brands=None if actor.brands is None else sorted(actor.brands),
        teams=None if actor.teams is None else sorted(actor.teams),
        session=actor.session,
        agent=agent,
        csrf=csrf_of(request.cookies[COOKIE]) if actor.session else None,
    )


@routes.patch("/me", operation_id="change_me", openapi_extra=SIGNED_IN)
async def change_me(request: Request, actor: Acting, body: MeBody) -> Agent:
    """Change one's own name, language or time zone."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return await agents.change_oneself(
            tx, actor, name=body.name, locale=body.locale, time_zone=body.time_zone, now=house.clock()
        )


@routes.post("/me/password", operation_id="change_password", status_code=204, openapi_extra=SIGNED_IN)
async def change_password(request: Request, actor: Acting, body: PasswordBody) -> None:
    """Choose a new password; every other session ends."""
    house = house_of(request)
    await passwords.change_password(
        house.database,
        house.secrets,
        actor,
        current_password=body.current_password,
        password=body.password,
        now=house.clock(),
    )


@routes.get("/me/sessions", operation_id="list_my_sessions", openapi_extra=SIGNED_IN)
async def list_sessions(request: Request, actor: Acting) -> Page[Session]:
    """List the browsers one is signed in with."""
    house = house_of(request)
    now = house.clock()
    agent_id = sign_in.the_agent(actor)
    async with house.database.transaction() as tx:
        found = await queries.sessions(tx, agent_id, now=now, idle_since=now - house.access.session_idle)
    return Page(items=found)


@routes.delete("/me/sessions", operation_id="sign_out_elsewhere", openapi_extra=SIGNED_IN)
async def close_other_sessions(request: Request, actor: Acting) -> Ended:
    """Sign out of every other browser."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        return Ended(sessions=await sign_in.sign_out_elsewhere(tx, actor, now=house.clock()))


@routes.delete("/me/sessions/{session_id}", operation_id="close_my_session", status_code=204, openapi_extra=SIGNED_IN)
async def close_session(request: Request, actor: Acting, session_id: SessionId) -> None:
    """Sign out of one browser."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        await sign_in.close_session(tx, actor, session_id, now=house.clock())


@routes.post("/me/second-factor", operation_id="enrol_second_factor", status_code=201, openapi_extra=SIGNED_IN)
async def enrol(request: Request, actor: Acting, body: ProofBody) -> Enrolment:
    """Begin setting up a second factor; it is in force once a code confirms it."""
    house = house_of(request)
    enrolled = await second_factor.enrol_second_factor(
        house.database, house.secrets, actor, current_password=body.current_password, now=house.clock()
    )
    return Enrolment(secret=enrolled.secret, uri=enrolled.uri)


@routes.post("/me/second-factor/confirm", operation_id="confirm_second_factor", openapi_extra=SIGNED_IN)
async def confirm(request: Request, actor: Acting, body: CodeBody) -> RecoveryCodes:
    """Put the second factor into force by a code it shows."""
    house = house_of(request)
    async with house.database.transaction() as tx:
        codes = await second_factor.confirm_second_factor(tx, house.secrets, actor, code=body.code, now=house.clock())
    return RecoveryCodes(recovery_codes=codes)


@routes.post(
    "/me/second-factor/disable", operation_id="disable_second_factor", status_code=204, openapi_extra=SIGNED_IN
)
async def disable(request: Request, actor: Acting, body: CodeAndProofBody) -> None:
    """Take one's own second factor away."""
    house = house_of(request)
    await second_factor.disable_second_factor(
        house.database,
        house.secrets,
        actor,
        current_password=body.current_password,
        code=body.code,
        now=house.clock(),
    )


@routes.post("/me/recovery-codes", operation_id="renew_recovery_codes", openapi_extra=SIGNED_IN)
async def renew_codes(request: Request, actor: Acting, body: CodeAndProofBody) -> RecoveryCodes:
    """Replace the recovery codes."""
    house = house_of(request)
    codes = await second_factor.renew_recovery_codes(
        house.database,
        house.secrets,
        actor,
        current_password=body.current_password,
        code=body.code,
        now=house.clock(),
    )
    return RecoveryCodes(recovery_codes=codes)
