"""What an `identify` frame proves: the signature of the company's own site over its user."""

import hmac
from datetime import datetime

import msgspec

from onethread.adapters.channels.webchat.wire.frames import FormBody, IdentifyBody
from onethread.channels.contract import Account, Claim, ClaimKind, Handle, Unreadable
from onethread.kernel.identifier import IdentifierKind

_SIGNED = "The company's site signed that its visitor is this user."
_TYPED_WITH_USER = "The page named this without a signature over it."
_TYPED = "The visitor typed it into the chat's form."


class _User(msgspec.Struct, frozen=True):
    """The signed text. `exp` (seconds since 1970): after it the signature proves nothing any more."""

    user_id: str
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    locale: str | None = None
    exp: float | None = None


class Identity(msgspec.Struct, frozen=True):
    """Who the visitor is said to be."""

    claims: tuple[Claim, ...]
    name: str | None
    locale: str | None


_user = msgspec.json.Decoder(_User).decode


def read_identity(body: IdentifyBody, account: Account, *, signed: bool, now: datetime) -> Identity:
    """Check the proof and return the claims. `signed`: the whole request bore the company's signature.

    Raises Unreadable when there is no proof, or when it does not hold.
    """
    if body.user is not None:
        user = _read_user(body.user)
        _check(body, body.user, account, signed=signed)
        if user.exp is not None and user.exp < now.timestamp():
            raise Unreadable("body.user: exp has passed; the page must sign its user again.")
        claims = _claims(account, user.user_id, user.email, user.phone, contact="identify", reason=_SIGNED)
        return Identity(claims, user.name or body.name, user.locale or body.locale)
    if body.user_id is None:
        raise Unreadable("body.user: Who is it? Give user (with its hash) or user_id (with its hash).")
    _check(body, body.user_id, account, signed=signed)
    contact: ClaimKind = "identify" if signed and body.hash is None else "typed"
    reason = _SIGNED if contact == "identify" else _TYPED_WITH_USER
    claims = _claims(account, body.user_id, body.email, body.phone, contact=contact, reason=reason)
    return Identity(claims, body.name, body.locale)


def read_form(body: FormBody) -> Identity:
    """Return what was typed. It proves nothing: it only suggests."""
    if not (body.email or body.phone or body.name):
        raise Unreadable("body: The form is empty.")
    return Identity(_contacts(body.email, body.phone, "typed", _TYPED), body.name, body.locale)


def identity_hash(secret: str, text: str) -> str:
    """Return the hash with which a site proves its user: HMAC-SHA256 in hexadecimal."""
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def _read_user(text: str) -> _User:
    try:
        user = _user(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise Unreadable(f"body.user: This must be a JSON text of an object: {wrong}") from None
    if any("\0" in word for word in (user.user_id, user.email, user.phone, user.name, user.locale) if word):
        raise Unreadable("body.user: A text holds a null character.")
    if not user.user_id.strip() or len(user.user_id) > 200:
        raise Unreadable("body.user: user_id must have 1 to 200 characters.")
    return user


def _check(body: IdentifyBody, text: str, account: Account, *, signed: bool) -> None:
    if body.hash is None:
        if signed:
            return
        raise Unreadable("body.hash: Without its hash nobody is identified.")
    secret = account.setting("identify_secret")
    if not secret:
        raise Unreadable("body.hash: The account has no identify secret, so nobody can be identified.")
    if not hmac.compare_digest(identity_hash(secret, text).encode(), body.hash.lower().encode()):
        raise Unreadable("body.hash: The hash does not fit the user.")


def _claims(
    account: Account, user_id: str, email: str | None, phone: str | None, *, contact: ClaimKind, reason: str
) -> tuple[Claim, ...]:
    known = Claim(Handle("external", user_id, scope=str(account.brand_id)), "identify", _SIGNED)
    return (known, *_contacts(email, phone, contact, reason))


def _contacts(email: str | None, phone: str | None, kind: ClaimKind, reason: str) -> tuple[Claim, ...]:
    given: tuple[tuple[IdentifierKind, str | None], ...] = (("email", email), ("phone", phone))
    return tuple(Claim(Handle(handle, value), kind, reason) for handle, value in given if value and value.strip())
