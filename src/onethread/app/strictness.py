"""What every route of the API demands first: query parameters it knows, and JSON where it reads JSON."""

from collections.abc import Collection, Iterator
from typing import Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from onethread.kernel.errors import Invalid, Unsupported

# Where another server sends the browser, with whatever else it likes to say.
_FROM_STRANGERS: Final = frozenset({"finish_sign_on"})
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


async def as_declared(connection: HTTPConnection) -> None:
    """Refuse a query parameter the route does not know or that is there twice, and a body that is not JSON."""
    route = connection.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    if route.operation_id not in _FROM_STRANGERS:
        _check_query(connection, _names(route))
    if route.body_field is not None and connection.scope["method"] in _WRITES and _has_body(connection):
        media_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise Unsupported("The body must be JSON, sent with the header Content-Type: application/json.")


def _check_query(connection: HTTPConnection, known: Collection[str]) -> None:
    errors = []
    given = [name for name, _ in connection.query_params.multi_items()]
    for name in dict.fromkeys(given):
        if name not in known:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            errors.append({"field": f"query.{name}", "detail": f"There is no such parameter here; {takes}."})
        elif given.count(name) > 1:
            errors.append({"field": f"query.{name}", "detail": "Say this once."})
    if errors:
        raise Invalid(f"{errors[0]['field']}: {errors[0]['detail']}", errors=errors)


def _names(route: APIRoute) -> frozenset[str]:
    """Return the query parameters a route takes, those of its dependencies included."""
    known = _KNOWN.get(route.unique_id)
    if known is None:
        known = _KNOWN[route.unique_id] = frozenset(_taken(route.dependant))
    return known


def _taken(dependant: Dependant) -> Iterator[str]:
    yield from (one.alias for one in dependant.query_params)
    for further in dependant.dependencies:
        yield from _taken(further)


_KNOWN: Final[dict[str, frozenset[str]]] = {}


def _has_body(connection: HTTPConnection) -> bool:
    return connection.headers.get("content-length", "0") != "0" or "transfer-encoding" in connection.headers
