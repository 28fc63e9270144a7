"""Files by their content: stored once under their SHA-256, in a local folder or an S3-compatible bucket."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from onethread.kernel.errors import NotFound, TooLarge, Unavailable
from onethread.platform import store_file
from onethread.platform.db import Database
from onethread.platform.media_types import HEAD, media_type

PREFIX: Final = "file:"
MOST: Final = 50 * 1024 * 1024  # bytes, when nothing else is said
_IN_MEMORY: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class FileRef:
    """One stored file. `sha256` in hexadecimal, `size` in bytes."""

    sha256: str
    size: int
    media_type: str

    def __str__(self) -> str:
        return PREFIX + self.sha256


class Files:
    """Puts, opens and deletes files. Never call it inside a transaction: the store may be far away."""

    def __init__(self, database: Database, store: ObjectStore, *, most: int = MOST, folder: Path | None = None) -> None:
        self._database = database
        self._store = store
        self._most = most
        self._folder = folder  # where a local store keeps its files, to flush them to the disk

    @classmethod
    def at(cls, database: Database, place: Path | str, *, most: int = MOST) -> Self:
        """Use a folder, or a bucket by URL (`s3://bucket/prefix`; credentials from the environment, AWS_…)."""
        if isinstance(place, Path):
            return cls(database, LocalStore(prefix=place, mkdir=True), most=most, folder=place)
        return cls(database, from_url(place), most=most)

    async def put(
        self, content: bytes | AsyncIterable[bytes], *, claimed_type: str | None = None, most: int | None = None
    ) -> FileRef:
        """Store a file and return its reference; the same content is stored once.

        `most` (bytes) narrows the limit. Raises TooLarge, Unavailable.
        """
        limit = min(most or self._most, self._most)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            digest, size, head = await _receive(_pieces(content), spool, limit)
            kind = media_type(head, claimed_type)
            sha256 = digest.hex()
            spool.seek(0)
            try:
                await self._store.put_async(_path(sha256), spool)
            except BaseError as failed:
                raise Unavailable("The file store cannot be reached; try again soon.", retry_after=5) from failed
        if self._folder is not None:
            await asyncio.to_thread(_flush, self._folder / _path(sha256))
        async with self._database.transaction() as tx:
            row = await store_file.remember_file(tx, digest, size=size, media_type=kind)
        return FileRef(sha256, row.size, row.media_type)

    async def about(self, refs: Sequence[str]) -> dict[str, FileRef]:
        """Return what is known about files, by the reference asked for (`file:<sha256>` or the bare digest)."""
        digests = {ref: _digest(ref) for ref in refs}
        async with self._database.transaction() as tx:
            rows = await store_file.known_files(tx, [digest for digest in digests.values() if digest])
        known = {row.sha256: FileRef(row.sha256.hex(), row.size, row.media_type) for row in rows}
        return {ref: known[digest] for ref, digest in digests.items() if digest in known}

    async def read(self, ref: str) -> bytes:
        """Return the whole content. Raises NotFound, Unavailable."""
        return b"".join([piece async for piece in self.stream(ref)])

    async def stream(self, ref: str) -> AsyncIterator[bytes]:
        """Yield the content in pieces. Raises NotFound, Unavailable."""
        digest = _digest(ref)
        if digest is None:
            raise NotFound("There is no such file.")
        try:
            found = await self._store.get_async(_path(digest.hex()))
            async for piece in found.stream(min_chunk_size=_CHUNK):
                yield bytes(piece)
        except FileNotFoundError as missing:
            raise NotFound("There is no such file.") from missing
        except BaseError as failed:
            raise Unavailable("The file store cannot be reached; try again soon.", retry_after=5) from failed

    async def delete(self, refs: Sequence[str]) -> int:
        """Erase files for good and return how many there were; the caller knows that nobody needs them."""
        digests = [digest for digest in map(_digest, refs) if digest]
        for digest in digests:
            try:
                await obstore.delete_async(self._store, _path(digest.hex()))
            except FileNotFoundError:
                continue
            except BaseError as failed:
                raise Unavailable("The file store cannot be reached; try again soon.", retry_after=5) from failed
        async with self._database.transaction() as tx:
            return await store_file.forget_files(tx, digests)


def _flush(path: Path) -> None:
    """Make a file and its name survive a power cut: the local store renames without it."""
    for place in (path, path.parent):
        held = os.open(place, os.O_RDONLY)
        try:
            os.fsync(held)
        finally:
            os.close(held)


async def _receive(pieces: AsyncIterator[bytes], spool: IO[bytes], limit: int) -> tuple[bytes, int, bytes]:
    """Spool the pieces; return digest, size and the first bytes."""
    sha256, size, head = hashlib.sha256(), 0, b""
    async for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLarge(f"A file may have {limit // 1_000_000} MB at most.", most=limit)
        if len(head) < HEAD:
            head += piece[: HEAD - len(head)]
        sha256.update(piece)
        spool.write(piece)
    return sha256.digest(), size, head


async def _pieces(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    async for piece in content:
        yield piece


def _digest(ref: str) -> bytes | None:
    """Read `file:<sha256>` or the bare digest; None for anything else, which no file can be named."""
    try:
        digest = bytes.fromhex(ref.removeprefix(PREFIX))
    except ValueError:
        return None
    return digest if len(digest) == 32 else None


def _path(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"
