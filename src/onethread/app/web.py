"""Everything that is served over HTTP, as one ASGI callable."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

import onethread
from onethread.access import api as access
from onethread.app import health, live, media, operations, uploads
from onethread.app.build import House
from onethread.app.guard import LARGEST_UPLOAD, Guard
from onethread.app.problems import MEDIA_TYPE, Problem, speak_problems
from onethread.app.repeats import Repeats
from onethread.app.strictness import as_declared
from onethread.app.unsubscribe import UnsubscribeDoor
from onethread.channels import api as channels
from onethread.channels.door import HookDoor
from onethread.channels.ports import ServesWeb
from onethread.conversations import api as conversations
from onethread.conversations.unsubscribing import PATH as UNSUBSCRIBE
from onethread.customers import api as customers

PREFIX: Final = "/api/v1"
# One line a room: its routes.
ROOMS: Final[tuple[Callable[[], APIRouter], ...]] = (
    access.router,
    customers.router,
    channels.router,
    conversations.router,
    operations.router,
    live.router,
    uploads.router,
)
_CHANNELS: Final = "/channels/"
_HOOKS: Final = "/hooks/"


class Site:
    """The front: the webhook door first and straight, then channels' own pages, files, and the API."""

    def __init__(self, house: House) -> None:
        self._door = HookDoor(house.database, house.accounts, house.channels, house.reception)
        self._media = Guard(house.media)
        self._unsubscribe = Guard(UnsubscribeDoor(house.database, house.unsubscribe, house.clock))
        self._channels: Mapping[str, ASGIApp] = {
            name: channel.web(house.ports) for name, channel in house.channels.items() if isinstance(channel, ServesWeb)
        }
        self._api = make_api(docs=house.settings.api_docs, largest_upload=house.settings.files_max_mb * 1_000_000)
        self._api.state.house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if path.startswith(_HOOKS):
            app: ASGIApp = self._door
        elif path.startswith(_CHANNELS):
            name = path.removeprefix(_CHANNELS).partition("/")[0]
            app = self._channels.get(name, self._api)
            scope["root_path"] = _CHANNELS + name if app is not self._api else ""
        elif path.startswith(UNSUBSCRIBE):
            app = self._unsubscribe
        elif path.startswith(media.PATH):
            app = self._media
        else:
            app = self._api
        await app(scope, receive, send)


def make_api(*, docs: bool = False, largest_upload: int = LARGEST_UPLOAD) -> FastAPI:
    """Return the API without a house: enough to describe it; `app.state.house` must be set to serve it."""
    app = Api(
        title="Onethread",
        version=onethread.__version__,
        summary="Every channel. One customer. One thread.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=f"{PREFIX}/docs" if docs else None,
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
        middleware=[Middleware(Guard, observe=health.observe, largest_upload=largest_upload), Middleware(Repeats)],
    )
    speak_problems(app)
    app.include_router(health.router())
    for room in ROOMS:
        app.include_router(room(), prefix=PREFIX, dependencies=[Depends(as_declared)])
    return app


def describe() -> str:
    """Return the description of the API as it is committed: sorted, indented, with a line feed at the end."""
    return json.dumps(make_api().openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class Api(FastAPI):
    """FastAPI whose description tells the refusals as they are."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            described = get_openapi(
                title=self.title,
                version=self.version,
                summary=self.summary,
                routes=self.routes,
                separate_input_output_schemas=self.separate_input_output_schemas,
            )
            self.openapi_schema = _with_problems(described)
        return self.openapi_schema


def _with_problems(described: dict[str, Any]) -> dict[str, Any]:
    """Put our problem in the place of the framework's own validation error, on every route."""
    components = described.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for foreign in ("HTTPValidationError", "ValidationError"):
        schemas.pop(foreign, None)
    shape = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(shape.pop("$defs"))
    schemas["Problem"] = shape
    components.setdefault("responses", {})["Problem"] = {
        "description": "Refused: what is wrong and what to do about it.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations_of_path in described["paths"].values():
        for operation in operations_of_path.values():
            operation["responses"].pop("422", None)
            for wide in ("4XX", "5XX"):
                operation["responses"].setdefault(wide, {"$ref": "#/components/responses/Problem"})
            _tell_of_key(operation, operations_of_path)
    components["schemas"] = dict(sorted(schemas.items()))
    return described


_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeat a write with the same key and it is carried out once; the answer is kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def _tell_of_key(operation: dict[str, Any], siblings: Mapping[str, Any]) -> None:
    if any(siblings.get(method) is operation for method in ("post", "put", "patch", "delete")) and operation.get(
        "security"
    ):
        operation.setdefault("parameters", []).append(_KEY)
