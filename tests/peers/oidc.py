"""A small OpenID Connect provider on loopback that signs real tokens, and lies when a test wants it to."""

import asyncio
import base64
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import uvicorn
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "onethread"
CLIENT_SECRET = "a secret: with % and ü"


@cache
def signing_key(kid: str) -> RSAKey:
    """Return a key of that id; making one takes a while, so every test has the same."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass(slots=True)
class Grant:
    """What the provider remembers of an authorization until its code is exchanged."""

    challenge: str
    redirect_uri: str
    nonce: str


@dataclass(slots=True)
class Provider:
    """The provider. Tests set `lies` (claims put over the true ones) and the person at the keyboard."""

    issuer: str = ""
    slash: str = ""  # some providers' names end in one
    now: int = 0
    subject: str = "0001"
    email: str = "olga@cornershop.example"
    email_verified: object = True
    lies: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: signing_key("first"))
    sign_with: Any = None
    algorithm: str = "RS256"
    down: bool = False
    grants: dict[str, Grant] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def rotate(self) -> None:
        """Sign with a fresh key from now on, as providers do without a word."""
        self.key = signing_key("second")

    def forge_with_client_secret(self) -> None:
        """Sign like somebody who knows the client's secret but not the provider's key."""
        self.sign_with, self.algorithm = OctKey.import_key(CLIENT_SECRET.encode().ljust(32, b"!")), "HS256"

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _metadata(self, request: Request) -> Response:
        self.asked.append("metadata")
        if self.down:
            return Response(status_code=503)
        return JSONResponse(
            {
                "issuer": self.issuer + self.slash,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        encrypting = signing_key("encryption").as_dict(private=False) | {"use": "enc"}
        return JSONResponse({"keys": [self.key.as_dict(private=False), encrypting]})

    async def _authorize(self, request: Request) -> Response:
        """Let whoever is at the keyboard in, at once."""
        asked = request.query_params
        if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256":
            return Response(status_code=400)
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(asked["code_challenge"], asked["redirect_uri"], asked["nonce"])
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer + self.slash})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", status_code=302)

    async def _token(self, request: Request) -> Response:
        self.asked.append("token")
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        grant = self.grants.pop(form.get("code", ""), None)
        if not _knows_the_client(request) or grant is None:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        if grant.redirect_uri != form["redirect_uri"] or grant.challenge != _challenge(form["code_verifier"]):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        return JSONResponse({"access_token": "unused", "token_type": "Bearer", "id_token": self._id_token(grant.nonce)})

    def _id_token(self, nonce: str) -> str:
        claims = {
            "iss": self.issuer + self.slash,
            "sub": self.subject,
            "aud": CLIENT_ID,
            "exp": self.now + 300,
            "iat": self.now,
            "nonce": nonce,
            "email": self.email,
            "email_verified": self.email_verified,
        } | self.lies
        header = {"alg": self.algorithm, "kid": self.key.kid} | self.header
        told = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, told, self.sign_with or self.key, algorithms=[self.algorithm])


@asynccontextmanager
async def provider_on_loopback() -> AsyncIterator[Provider]:
    """Run a provider on a free port of this machine."""
    provider = Provider()
    config = uvicorn.Config(provider.application(), log_level="error", lifespan="off", ws="none", loop="none")
    server = uvicorn.Server(config)
    # Listening before it is served: whoever comes early waits in the queue of the socket.
    door = socket.create_server(("127.0.0.1", 0))
    provider.issuer = f"http://127.0.0.1:{door.getsockname()[1]}"
    running = asyncio.create_task(server.serve(sockets=[door]))
    try:
        yield provider
    finally:
        server.should_exit = True
        await running


def answer_in(location: str) -> dict[str, str]:
    """Return what a redirect back to us carries."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _knows_the_client(request: Request) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme != "Basic":
        return False
    client, _, secret = base64.b64decode(given).decode().partition(":")
    return parse_qs(f"c={client}&s={secret}") == {"c": [CLIENT_ID], "s": [CLIENT_SECRET]}
