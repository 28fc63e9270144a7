"""SQL of the table platform.file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onethread.platform.db import Tx


@dataclass(frozen=True, slots=True)
class FileRow:
    """What is known about one stored file; `size` in bytes."""

    sha256: bytes
    size: int
    media_type: str
    created_at: datetime


async def remember_file(tx: Tx, sha256: bytes, *, size: int, media_type: str) -> FileRow:
    """Keep what is known about a file; the first to bring it says what it is."""
    rows = await tx.all(
        FileRow,
        """
        INSERT INTO platform.file (sha256, size, media_type)
        VALUES (%s, %s, %s)
            ON CONFLICT (sha256) DO UPDATE SET size = EXCLUDED.size
        RETURNING sha256, size, media_type, created_at
        """,
        (sha256, size, media_type),
    )
    return rows[0]


async def known_files(tx: Tx, sha256s: Sequence[bytes]) -> list[FileRow]:
    """Return what is known about those of the files that exist."""
    return await tx.all(
        FileRow,
        """
        SELECT sha256, size, media_type, created_at
          FROM platform.file
         WHERE sha256 = ANY (%s::bytea[])
        """,
        (list(sha256s),),
    )


async def forget_files(tx: Tx, sha256s: Sequence[bytes]) -> int:
    """Delete what is known about files; return how many there were."""
    return await tx.run("DELETE FROM platform.file WHERE sha256 = ANY (%s::bytea[])", (list(sha256s),))
