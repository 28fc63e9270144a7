"""Keeps secrets at rest (AES-256-GCM) and signs small tokens (HMAC), a separate key for each purpose."""

import base64
import binascii
import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_EXPIRY_BYTES: Final = 4
_MAC_BYTES: Final = 12  # 96 bits: nobody guesses it online, and a token still fits a mail address


class Undecipherable(Exception):
    """None of our keys opens this: the key was lost, or the bytes are not ours."""


class Secrets:
    """Encrypts and signs with the first key, reads with all of them; so keys can be changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one secret key is needed")
        if any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError(f"a secret key has {_KEY_BYTES} bytes, written as base64")
        self._keys = tuple(keys)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read keys written as base64 (standard or URL-safe), newest first, apart by commas or lines."""
        try:
            keys = [_read_key(word) for word in text.replace(",", "\n").split() if word]
        except binascii.Error as wrong:
            raise ValueError("a secret key must be base64") from wrong
        return cls(keys)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read the key file, making it (0600) with a fresh key when there is none."""
        with suppress(FileExistsError):
            _write_new(path, new_key())
        return cls.from_text(path.read_text(encoding="ascii"))

    def encrypt(self, plain: bytes, *, purpose: str) -> bytes:
        """Return the bytes to keep; only `decrypt` for the same purpose opens them."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + AESGCM(_derived(self._keys[0], purpose)).encrypt(nonce, plain, None)

    def decrypt(self, kept: bytes, *, purpose: str) -> bytes:
        """Return what was encrypted. Raises Undecipherable."""
        if kept[:1] == _VERSION:
            nonce, body = kept[1 : 1 + _NONCE_BYTES], kept[1 + _NONCE_BYTES :]
            for key in self._keys:
                with suppress(InvalidTag, ValueError):
                    return AESGCM(_derived(key, purpose)).decrypt(nonce, body, None)
        raise Undecipherable(f"no key of ours opens this ({purpose})")

    def sign(self, payload: bytes, *, purpose: str, expires_at: datetime | None = None) -> str:
        """Return a token of lower-case letters and digits: it survives mail addresses, URLs and host names.

        It carries `payload` in clear; its length is 1.6 x (len(payload) + 16).
        """
        expiry = int(expires_at.timestamp()) if expires_at else 0
        body = expiry.to_bytes(_EXPIRY_BYTES, "big") + payload
        return _written(body + _mac(self._keys[0], purpose, body))

    def verify(self, token: str, *, purpose: str, now: datetime) -> bytes | None:
        """Return the payload of a token we signed for this purpose and that has not expired, else None."""
        try:
            raw = _read(token)
        except (binascii.Error, ValueError):
            return None
        if len(raw) < _EXPIRY_BYTES + _MAC_BYTES:
            return None
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        genuine = False
        for key in self._keys:  # all of them, so that the time taken tells nothing
            genuine |= hmac.compare_digest(mac, _mac(key, purpose, body))
        expiry = int.from_bytes(body[:_EXPIRY_BYTES], "big")
        if not genuine or (expiry and expiry <= now.timestamp()):
            return None
        return body[_EXPIRY_BYTES:]

    def stable_key(self, purpose: str) -> bytes:
        """Return a key (32 bytes) for marks that must still be known years later, when keys were added since."""
        return _derived(self._keys[-1], purpose)


def new_key() -> str:
    """Return a fresh key as it is written in the key file."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode("ascii")


def add_key(path: Path) -> None:
    """Put a fresh key before those of the file: new secrets use it, old ones can still be read."""
    old = path.read_text(encoding="ascii")
    making = path.with_name(path.name + ".new")
    making.unlink(missing_ok=True)
    _write_new(making, f"{new_key()}\n{old}")
    making.replace(path)


def _write_new(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: a half-written key would lock everything away.
    making = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text.rstrip("\n") + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(making, path)
    finally:
        making.unlink()


@lru_cache(maxsize=256)
def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"onethread:" + purpose.encode()).derive(key)


def _mac(key: bytes, purpose: str, body: bytes) -> bytes:
    return hmac.digest(_derived(key, "sign:" + purpose), body, "sha256")[:_MAC_BYTES]


def _read_key(word: str) -> bytes:
    return base64.b64decode(word.replace("-", "+").replace("_", "/"), validate=True)


def _written(raw: bytes) -> str:
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def _read(token: str) -> bytes:
    padded = token.upper() + "=" * (-len(token) % 8)
    return base64.b32decode(padded)
