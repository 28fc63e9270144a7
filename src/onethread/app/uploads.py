"""Routes of files: agents put them in and look at them."""

from typing import Annotated, Final, Protocol, cast
from urllib.parse import unquote

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse

from onethread.access.acting import Acting, needs
from onethread.access.acting import House as AccessHouse
from onethread.app.media import MediaLinks
from onethread.channels.contract import Media
from onethread.conversations import actions as conversations
from onethread.kernel.errors import Invalid, NotFound
from onethread.platform import store_file
from onethread.platform.files import PREFIX, Files
from onethread.platform.wire import Body

routes = APIRouter(tags=["files"])

_LONGEST_NAME: Final = 255
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


class House(AccessHouse, Protocol):
    """What these routes need of `request.app.state.house`."""

    @property
    def files(self) -> Files: ...
    @property
    def media(self) -> MediaLinks: ...


class FileShown(Body):
    """A stored file, ready to be named in a message's `media`."""

    ref: str
    name: str
    media_type: str
    size: int


_RAW_BODY: Final[dict[str, object]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "name": "X-File-Name",
            "in": "header",
            "required": False,
            "description": "What the file is called, percent-encoded.",
            "schema": {"type": "string", "maxLength": 1000},
        }
    ],
}


@routes.post("/files", operation_id="upload_file", status_code=201, openapi_extra={**needs("files.write"), **_RAW_BODY})
async def upload_file(request: Request, actor: Acting) -> FileShown:
    """Store a file: the request's body as it is. What it really is is read from its content."""
    actor.require("files.write")
    house = cast("House", request.app.state.house)
    name = _name(request.headers.get("x-file-name", ""))
    kept = await house.files.put(request.stream(), claimed_type=request.headers.get("content-type"))
    if kept.size == 0:
        raise Invalid("The file is empty.", field="body")
    if actor.id is not None:
        async with house.database.transaction() as tx:
            await store_file.remember_upload(tx, bytes.fromhex(kept.sha256), actor.id)
    return FileShown(ref=str(kept), name=name, media_type=kept.media_type, size=kept.size)


@routes.get(
    "/files/{sha256}",
    operation_id="open_file",
    status_code=307,
    response_class=RedirectResponse,
    openapi_extra=needs("conversations.read"),
)
async def open_file(request: Request, actor: Acting, sha256: Digest, name: str = "file") -> RedirectResponse:
    """Lead to a file's content, at an address that holds for some hours.

    For whoever may read a message or a draft that names it, and for whoever uploaded it.
    """
    actor.require("conversations.read")
    house = cast("House", request.app.state.house)
    ref = f"{PREFIX}{sha256}"
    async with house.database.transaction() as tx:
        theirs = actor.id is not None and await store_file.was_uploaded_by(tx, bytes.fromhex(sha256), actor.id)
        may_open = theirs or await conversations.may_open_file(tx, actor, ref)
    found = (await house.files.about([ref])).get(ref) if may_open else None
    if found is None:
        raise NotFound("There is no such file.")
    return RedirectResponse(house.media.link(Media(ref, _name(name), found.media_type, found.size)), 307)


def _name(written: str) -> str:
    """Return a file name without folders and control characters."""
    name = unquote(written).replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in name if letter.isprintable())[:_LONGEST_NAME] or "file"


def router() -> APIRouter:
    """Return the routes of files, without the prefix of the API's version."""
    return routes
