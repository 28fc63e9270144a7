"""Talking to the organisation's sign-in server: OpenID Connect, authorization code with PKCE."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from onethread.access.model import OidcProvider
from onethread.kernel.errors import NotSignedIn, Unavailable

log = structlog.get_logger(__name__)

# Never HS256 (our own client secret would sign) and never none.
_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"]
_SKEW: Final = 120  # seconds a provider's clock may be off
_METADATA_LIFE: Final = timedelta(hours=1)
_KEYS_AT_MOST_EVERY: Final = timedelta(minutes=1)  # else anybody could make us fetch with invented key ids

T = TypeVar("T")


class SignOnFailed(NotSignedIn):
    code = "sign_on_failed"
    title = "The organisation's sign-in did not succeed"


@dataclass(frozen=True, slots=True)
class Departure:
    """Where a browser is sent, and what we must remember until it comes back."""

    address: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for. `email` is set only where the provider verified it."""

    issuer: str
    subject: str
    email: str | None


class _Metadata(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    nonce: str
    azp: str | None = None
    email: str | None = None
    # Some providers write it as text.
    email_verified: bool | str = False


class SignOn:
    """One provider. What it publishes (addresses, signing keys) is kept for a while."""

    def __init__(self, provider: OidcProvider, http: httpx.AsyncClient, *, redirect_uri: str) -> None:
        self.provider = provider
        self._http = http
        self._redirect_uri = redirect_uri
        self._metadata: _Metadata | None = None
        self._metadata_at: datetime | None = None
        self._keys: KeySet | None = None
        self._keys_at: datetime | None = None

    async def departure(self, *, now: datetime) -> Departure:
        """Prepare a sign-in; raises Unavailable when the provider cannot be asked where to go."""
        metadata = await self._discovered(now)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return Departure(f"{metadata.authorization_endpoint}{joint}{urlencode(asked)}", state, nonce, verifier)

    async def arrival(self, *, code: str, verifier: str, nonce: str, now: datetime) -> Person:
        """Exchange the code and return whom it vouches for; raises SignOnFailed and Unavailable."""
        metadata = await self._discovered(now)
        token = await self._exchanged(metadata, code, verifier)
        claims = await self._verified(metadata, token, nonce, now)
        verified = claims.email_verified is True or claims.email_verified == "true"
        return Person(metadata.issuer, claims.sub, claims.email if verified else None)

    async def _exchanged(self, metadata: _Metadata, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        auth: httpx.Auth | None = None
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            auth = httpx.BasicAuth(_quoted(self.provider.client_id), _quoted(self.provider.client_secret))
        else:
            form |= {"client_id": self.provider.client_id, "client_secret": self.provider.client_secret}
        try:
            answer = await self._http.post(metadata.token_endpoint, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)
        except httpx.HTTPError as lost:
            raise _unreachable() from lost
        if answer.status_code >= 500:
            raise _unreachable()
        if answer.status_code != 200:
            raise _failed("the code was refused")
        return _read(answer, _Tokens).id_token

    async def _verified(self, metadata: _Metadata, token: str, nonce: str, now: datetime) -> _Claims:
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=_SKEW,
            iss={"essential": True, "value": metadata.issuer},
            aud={"essential": True, "value": self.provider.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            decoded = await self._decoded(metadata, token, now)
            registry.validate(decoded.claims)
            claims = msgspec.convert(decoded.claims, _Claims)
        except (JoseError, msgspec.ValidationError, ValueError) as wrong:
            raise _failed(str(wrong)) from wrong
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.azp not in (None, self.provider.client_id) or (len(audiences) > 1 and claims.azp is None):
            raise _failed("the token was issued to another client")
        return claims

    async def _decoded(self, metadata: _Metadata, token: str, now: datetime) -> jwt.Token:
        """Check the signature; a key we do not know may be a fresh one, so look once more."""
        keys = await self._published_keys(metadata, now, at_least=None)
        try:
            return jwt.decode(token, keys, algorithms=_ALGORITHMS)
        except (InvalidKeyIdError, BadSignatureError):
            fresh = await self._published_keys(metadata, now, at_least=now - _KEYS_AT_MOST_EVERY)
            return jwt.decode(token, fresh, algorithms=_ALGORITHMS)

    async def _discovered(self, now: datetime) -> _Metadata:
        if self._metadata and self._metadata_at and now - self._metadata_at < _METADATA_LIFE:
            return self._metadata
        issuer = self.provider.issuer
        metadata = _read(await self._got(issuer.rstrip("/") + "/.well-known/openid-configuration"), _Metadata)
        # Whether an issuer ends in a slash is decided over there; people who configure us rarely know.
        if not is_same_issuer(metadata.issuer, issuer):
            raise _failed("the provider names another issuer than the one configured")
        self._metadata, self._metadata_at = metadata, now
        return metadata

    async def _published_keys(self, metadata: _Metadata, now: datetime, *, at_least: datetime | None) -> KeySet:
        """Return the signing keys, fetched no earlier than `at_least` (None: within the hour)."""
        oldest = at_least or now - _METADATA_LIFE
        if self._keys is None or self._keys_at is None or self._keys_at <= oldest:
            published = _read(await self._got(metadata.jwks_uri), _Keys)
            self._keys, self._keys_at = KeySet.import_key_set({"keys": _usable(published.keys)}), now
        return self._keys

    async def _got(self, url: str) -> httpx.Response:
        try:
            answer = await self._http.get(url)
        except httpx.HTTPError as lost:
            raise _unreachable() from lost
        if answer.status_code != 200:
            raise _unreachable()
        return answer


def is_same_issuer(one: str, other: str) -> bool:
    """Compare two issuers, a slash at the end aside."""
    return one.rstrip("/") == other.rstrip("/")


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _quoted(text: str) -> str:
    # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
    return urlencode({"": text})[1:]


def _usable(keys: list[dict[str, Any]]) -> list[Any]:
    """Leave out what signs nothing we accept; providers publish encryption keys in the same set."""
    return [key for key in keys if key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig"]


def _read(answer: httpx.Response, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=shape)
    except msgspec.MsgspecError as wrong:
        raise _failed("the provider's answer cannot be read") from wrong


def _failed(why: str) -> SignOnFailed:
    log.warning("access.sign_on_failed", why=why)
    return SignOnFailed("The organisation's sign-in server did not vouch for you. Start again from the sign-in page.")


def _unreachable() -> Unavailable:
    log.warning("access.sign_on_unreachable")
    return Unavailable("The organisation's sign-in server does not answer.", retry_after=30)
