"""Every refusal on the wire is one shape: problem+json (RFC 9457) with a stable code and a sentence."""

from collections.abc import Mapping
from typing import Final

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg.errors import DataError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from onethread.app.wording import sentence
from onethread.kernel.errors import Invalid, NotFound, Refused

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_RESERVED: Final = frozenset({"type", "title", "status", "code", "detail", "instance"})
_MOST_ERRORS: Final = 20
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class FieldError(BaseModel):
    """One thing that is wrong, and where."""

    field: str = Field(description="Where it is: body.text, query.limit, header.idempotency-key…")
    detail: str


class Problem(BaseModel):
    """What went wrong. `code` never changes; `detail` is a sentence a person can act on."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldError] | None = None
    instance: str | None = Field(None, description="Names an unexpected error in the server's log.")


def problem(refusal: Refused, *, instance: str | None = None) -> Response:
    """Return a refusal as a response; its fields become members of their own."""
    body = {
        "type": f"urn:onethread:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
        **{name: value for name, value in refusal.fields.items() if name not in _RESERVED},
    }
    if instance is not None:
        body["instance"] = instance
    headers = {}
    retry_after = refusal.fields.get("retry_after")
    if isinstance(retry_after, int | float):
        headers["retry-after"] = str(max(1, round(retry_after)))
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(_encode(body), refusal.status, headers, MEDIA_TYPE)


class Unexpected(Refused):
    """A defect of ours."""

    code = "unexpected"
    status = 500
    title = "Something went wrong on our side"


class _Other(Refused):
    """A refusal of the web framework, by its HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status  # type: ignore[misc]
        self.code, self.title = _OTHERS.get(status, ("refused", "The request was refused"))  # type: ignore[misc]


_OTHERS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("malformed", "The request could not be read"),
    404: ("not_found", "There is no such thing"),
    405: ("method_not_allowed", "This address does not take that method"),
    413: ("too_large", "This is too large"),
    415: ("unsupported", "This kind of content is not supported"),
}


def speak_problems(app: FastAPI) -> None:
    """Make every refusal of an application one of our problems."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(DataError, _unstorable)


def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Refused)
    return problem(error)


def _invalid(request: Request, error: Exception) -> Response:
    """Name every field that is wrong, by its path."""
    del request
    assert isinstance(error, RequestValidationError)
    errors = [
        {"field": ".".join(str(step) for step in one["loc"]), "detail": sentence(one)}
        for one in error.errors()[:_MOST_ERRORS]
    ]
    first = errors[0] if errors else {"field": "body", "detail": "This is not right."}
    return problem(Invalid(f"{first['field']}: {first['detail']}", errors=errors))


def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem(NotFound(f"There is nothing at {request.url.path}."))
    if error.status_code == 405:
        takes = _methods(request)
        response = problem(_Other(405, f"{request.url.path} takes {', '.join(takes)}, not {request.method}."))
        response.headers["allow"] = ", ".join(takes)
        return response
    detail = error.detail if isinstance(error.detail, str) and error.detail else "The request was refused."
    response = problem(_Other(error.status_code, detail if detail.endswith(".") else f"{detail}."))
    response.headers.update(error.headers or {})
    return response


def _unstorable(request: Request, error: Exception) -> Response:
    """A value that passed every check of ours but that PostgreSQL cannot hold."""
    log.warning("http.unstorable", route=getattr(request.scope.get("route"), "path", None), error=type(error).__name__)
    return problem(Invalid("A value in the request is outside of what can be stored."))


def _methods(request: Request) -> list[str]:
    """Return the methods an address takes, of all the routes that have it."""
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
