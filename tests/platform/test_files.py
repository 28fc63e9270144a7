from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.kernel.errors import NotFound, TooLarge
from onethread.platform.db import Database
from onethread.platform.files import Files
from onethread.platform.media_types import HEAD, may_be_shown, media_type

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
ZIP = b"PK\x03\x04" + bytes(64)
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.fixture
def files(database: Database, tmp_path: Path) -> Files:
    return Files.at(database, tmp_path / "files", most=100_000)


def on_disk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_was_put_comes_back(files: Files) -> None:
    ref = await files.put(PNG)
    assert (ref.size, ref.media_type) == (len(PNG), "image/png")
    assert await files.read(str(ref)) == PNG
    assert await files.about([str(ref), ref.sha256, "file:00", "junk"]) == {str(ref): ref, ref.sha256: ref}


async def test_the_same_content_is_stored_once(files: Files, tmp_path: Path) -> None:
    assert await files.put(PNG) == await files.put(PNG)
    assert len(on_disk(tmp_path)) == 1


async def test_a_stream_is_stored_like_bytes(files: Files) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(PNG), 7):
            yield PNG[start : start + 7]

    assert await files.put(pieces()) == await files.put(PNG)


async def test_a_file_above_the_limit_is_refused_before_it_is_all_there(files: Files, tmp_path: Path) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 10_000
            yield bytes(10_000)

    with pytest.raises(TooLarge):
        await files.put(endless())
    assert read <= 120_000
    with pytest.raises(TooLarge):
        await files.put(PNG, most=10)
    assert on_disk(tmp_path) == []


@pytest.mark.parametrize("ref", ["", "file:", "file:zz", "../../etc/passwd", "file:" + "0" * 64, "file:" + "0" * 62])
async def test_no_such_file(files: Files, ref: str) -> None:
    with pytest.raises(NotFound):
        await files.read(ref)


async def test_a_deleted_file_is_gone(files: Files, tmp_path: Path) -> None:
    ref = await files.put(PNG)
    assert await files.delete([str(ref), "junk"]) == 1
    assert on_disk(tmp_path) == []
    assert await files.about([str(ref)]) == {}


@pytest.mark.parametrize(
    ("head", "claimed", "kind"),
    [
        (PNG, "text/html", "image/png"),
        (b"hello", None, "text/plain"),
        (b"a,b\n1,2", "text/csv; charset=utf-8", "text/csv"),
        ("สวัสดี".encode()[:-1], "text/plain", "text/plain"),
        (b"hello", "image/png", "text/plain"),
        (b"hello", "text/html", "text/plain"),
        (b"<!DOCTYPE html><p>", "image/png", "text/html"),
        (b"\xef\xbb\xbf \n<HTML>", None, "text/html"),
        (b"<!-- hi --><svg onload=alert(1)>", "image/png", "image/svg+xml"),
        (b'<?xml version="1.0"?><svg xmlns="x">', None, "image/svg+xml"),
        (b"<script>alert(1)</script>", "text/plain", "text/html"),
        (ZIP, None, "application/zip"),
        (ZIP, DOCX, DOCX),
        (ZIP, "image/png", "application/zip"),
        (b"%PDF-1.7", "text/plain", "application/pdf"),
        (b"MZ\x90\x00" + bytes(100), "image/png", "application/x-msdownload"),
        (b"\x00\x01\x02", "image/png", "application/octet-stream"),
        (b"", "image/png", "application/octet-stream"),
    ],
)
def test_a_file_is_what_it_looks_like(head: bytes, claimed: str | None, kind: str) -> None:
    assert media_type(head, claimed) == kind


@given(st.binary(max_size=HEAD), st.none() | st.text(max_size=40))
def test_nothing_that_runs_is_ever_shown_because_of_a_claim(head: bytes, claimed: str | None) -> None:
    kind = media_type(head, claimed)
    assert not may_be_shown(kind) or kind == media_type(head, None) or kind.partition("/")[0] in {"audio", "video"}
