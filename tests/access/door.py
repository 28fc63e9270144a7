"""The routes of this room behind a door of their own, as a browser or a machine meets them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from onethread.access.acting import CSRF_HEADER
from onethread.access.api import router
from onethread.access.model import AccessRules
from onethread.access.oidc import SignOn
from onethread.kernel.errors import Refused
from onethread.platform.db import Database
from onethread.platform.secrets import Secrets
from tests.access.staff import OWNER, PASSWORD, RULES
from tests.cast import noon

BASE = "http://127.0.0.1:8000"


@dataclass(slots=True)
class Moment:
    """A clock that stands until a test moves it."""

    now: datetime = noon

    def __call__(self) -> datetime:
        return self.now


@dataclass(slots=True)
class House:
    """What the application would be built with."""

    database: Database
    secrets: Secrets
    access: AccessRules = RULES
    clock: Callable[[], datetime] = field(default_factory=Moment)
    sign_on: SignOn | None = None


def application(house: House) -> FastAPI:
    """Serve the routes; a refusal becomes its status and code."""
    app = FastAPI()
    app.state.house = house
    app.include_router(router(), prefix="/api/v1")

    @app.exception_handler(Refused)
    async def refused(request: Request, no: Refused) -> JSONResponse:
        return JSONResponse({"code": no.code, "detail": no.detail, **no.fields}, status_code=no.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, wrong: RequestValidationError) -> JSONResponse:
        # FastAPI's own answer repeats the input, which may be text no answer can carry.
        return JSONResponse({"code": "invalid", "detail": [error["msg"] for error in wrong.errors()]}, status_code=422)

    return app


@asynccontextmanager
async def browser(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Open a browser at the door: it keeps cookies and follows nothing by itself."""
    transport = httpx.ASGITransport(application(house), client=("192.0.2.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url=f"{BASE}/api/v1/", headers={"user-agent": "Fx"}) as here:
        yield here


async def come_in(here: httpx.AsyncClient, email: str = OWNER.email, **more: str) -> dict[str, str]:
    """Sign a browser in and have it send its token with every write from now on."""
    answer = await here.post("session", json={"email": email, "password": PASSWORD, **more})
    assert answer.status_code == 201, answer.text
    here.headers[CSRF_HEADER] = answer.json()["csrf"]
    return answer.json()
