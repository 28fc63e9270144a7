"""Files for browsers: signed addresses that hold for a while, served apart from the API."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from onethread.channels.contract import Media
from onethread.kernel.errors import NotFound
from onethread.platform.files import PREFIX, Files
from onethread.platform.secrets import Secrets

PATH: Final = "/media/"
_PURPOSE: Final = "media"
_LIFE: Final = timedelta(hours=12)
# What a browser may show by itself; everything else (HTML and SVG above all) is only ever downloaded.
_SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
_PLAYED: Final = ("audio/", "video/")


class MediaLinks:
    """Makes the addresses and serves them."""

    def __init__(self, files: Files, secrets: Secrets, address: str, clock: Callable[[], datetime]) -> None:
        self._files = files
        self._secrets = secrets
        self._address = address
        self._clock = clock

    def link(self, media: Media) -> str:
        """Return an address of a stored file that holds for 12 hours; the reference itself when it is not stored."""
        if not media.ref.startswith(PREFIX):
            return media.ref
        # Ends with the hour, so that the same file keeps its address (and its place in the cache) for a while.
        ends = (self._clock() + _LIFE).replace(minute=0, second=0, microsecond=0)
        token = self._secrets.sign(bytes.fromhex(media.ref.removeprefix(PREFIX)), purpose=_PURPOSE, expires_at=ends)
        return f"{self._address}{PATH}{token}/{quote(media.name or 'file', safe='')}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        token, _, name = request.url.path.removeprefix(PATH).partition("/")
        digest = self._secrets.verify(token, purpose=_PURPOSE, now=self._clock())
        if digest is None or request.method not in {"GET", "HEAD"}:
            raise NotFound("This address of a file has expired or never was one.")
        ref = digest.hex()
        found = (await self._files.about([ref])).get(ref)
        if found is None:
            raise NotFound("This file is no longer there.")
        shown = found.media_type in _SHOWN or found.media_type.startswith(_PLAYED)
        headers = {
            "content-length": str(found.size),
            "content-disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(name or 'file')}",
            "content-security-policy": "default-src 'none'; sandbox",
            "cache-control": "private, max-age=3600, immutable",
            "cross-origin-resource-policy": "cross-origin",
        }
        if request.method == "HEAD":
            return Response(None, 200, headers, found.media_type)
        return StreamingResponse(self._files.stream(ref), 200, headers, found.media_type)
