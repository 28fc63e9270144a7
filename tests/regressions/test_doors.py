"""What strangers and clients may send to a door without breaking it."""

import json

import httpx
import pytest

from tests.kits.server import Server

BODIES = {
    "null": b'{"text": "a null \\u0000"}',
    "half": b'{"text": "half a letter \\ud800"}',
    "null name": b'{"text": "x", "a\\u0000": 1}',
    "large": b'{"text": "x", "mentions": [' + b"9" * 5000 + b"]}",
    "deep": b'{"text": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    "nan": b'{"text": NaN}',
}


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/json", "application/x+json; charset=utf-16"], ids=str
)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_no_body_is_a_defect_whatever_it_says_it_is(server: Server, body: bytes, media_type: str | None) -> None:
    headers = {"authorization": f"Bearer {server.owner_key}"}
    if media_type is not None:
        headers["content-type"] = media_type
    somewhere = "01a201f0-0746-7c51-a991-d05aefae5f79"
    with httpx.Client(base_url=server.url) as client:
        for method, path in (
            ("POST", f"/api/v1/conversations/{somewhere}/notes"),
            ("PATCH", f"/api/v1/conversations/{somewhere}"),
            ("PUT", f"/api/v1/conversations/{somewhere}/draft"),
            ("POST", "/api/v1/session"),
        ):
            answer = client.request(method, path, content=body, headers=headers)
            assert 400 <= answer.status_code < 500, (path, answer.status_code, answer.text)


@pytest.mark.parametrize(
    "cursor", [["9999-12-31T23:59:59+14:00", None], ["0001-01-01T00:00:00-14:00", None], 10**30, -1, "x"], ids=str
)
def test_no_cursor_is_a_defect(server: Server, cursor: object) -> None:
    import base64

    if isinstance(cursor, list):
        cursor = [cursor[0], "01a201f0-0746-7c51-a991-d05aefae5f79"]
    written = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")
    headers = {"authorization": f"Bearer {server.owner_key}"}
    with httpx.Client(base_url=server.url) as client:
        for path in ("conversations", "customers", "receipts", "dead-letters", "webhooks", "audit", "agents"):
            answer = client.get(f"/api/v1/{path}", params={"cursor": written}, headers=headers)
            assert answer.status_code < 500, (path, answer.status_code, answer.text)
