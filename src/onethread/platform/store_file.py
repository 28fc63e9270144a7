"""SQL of the tables platform.file and platform.upload."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

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


async def remember_upload(tx: Tx, sha256: bytes, actor_id: UUID) -> None:
    """Keep who brought a file: they may look at it before anybody else does."""
    await tx.run(
        "INSERT INTO platform.upload (sha256, actor_id) VALUES (%s, %s) ON CONFLICT DO NOTHING", (sha256, actor_id)
    )


async def was_uploaded_by(tx: Tx, sha256: bytes, actor_id: UUID) -> bool:
    """Tell whether somebody brought a file themselves."""
    return bool(
        await tx.value(
            "SELECT EXISTS (SELECT FROM platform.upload WHERE sha256 = %s AND actor_id = %s)", (sha256, actor_id)
        )
    )


async def forget_files(tx: Tx, sha256s: Sequence[bytes]) -> int:
    """Delete what is known about files; return how many there were."""
    return await tx.run("DELETE FROM platform.file WHERE sha256 = ANY (%s::bytea[])", (list(sha256s),))
