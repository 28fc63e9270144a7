"""One signed request to a webhook, through the guarded client; whatever happens is an answer."""

from collections.abc import Mapping
from typing import Final

import httpx

from onethread.platform.outward import AddressRefused, Bounds
from onethread.platform.webhooks.model import Answer
from onethread.platform.webhooks.sender import TIMEOUT, Post

# We repeat by ourselves, over hours; what they answer beyond the status is of no use to us.
BOUNDS: Final = Bounds(connect=5.0, read=TIMEOUT, total=TIMEOUT, most_bytes=64 * 1024, tries=1)


def post_through(client: httpx.AsyncClient) -> Post:
    """Return the way webhooks are posted: one try, no redirects."""

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        try:
            response = await client.post(url, content=body, headers=dict(headers))
        except AddressRefused:
            return Answer(None, "The address is not public, and the operator has not allowed it.", final=True)
        except httpx.TimeoutException:
            return Answer(None, f"No answer within {TIMEOUT:.0f} seconds.")
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return Answer(None, f"The connection failed ({type(error).__name__}).")
        if response.is_success:
            return Answer(response.status_code)
        later = response.headers.get("retry-after", "")
        words = f"The other side answered {response.status_code}."
        return Answer(response.status_code, words, float(later) if later.isdecimal() else None)

    return post
