"""MIME trees, beside those that Apache James mime4j finds in hostile messages."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from onethread.adapters.channels.email.wire import mime
from onethread.adapters.channels.email.wire.mime import Part
from onethread.channels.contract import Unreadable

CORPUS = Path(__file__).parent / "corpus" / "mime"
MESSAGES = sorted(CORPUS.glob("*.msg"))

# Of these mime4j loses text: lines after a line that should have been a header. We keep all of it in the body.
KEEPS_MORE_TEXT = {
    "basic-plain-with-bad-header-separator",
    "malformedHeader-nocrlfcrlf",
    "malformedHeader-noheader",
    "malformedHeaderStartsBody-nocrlfcrlf",
    "malformedHeaderStartsBody-noheader",
}

Tree = tuple[str, list[str], object]


def expected(node: ET.Element) -> Tree:
    header = node.find("header")
    fields = [(field.text or "").partition(":")[0].strip().lower() for field in (header if header is not None else ())]
    for child in node:
        if child.tag == "multipart":
            return "multipart", fields, [expected(part) for part in child if part.tag == "body-part"]
        if child.tag == "message":
            return "message", fields, expected(child)
        if child.tag in {"text-body", "binary-body"}:
            return child.tag.partition("-")[0], fields, (CORPUS / child.attrib["name"]).read_bytes()
    raise AssertionError("a tree ends in a body")


def found(part: Part) -> Tree:
    if part.is_multipart:
        return "multipart", part.headers.names(), [found(child) for child in part.parts]
    if part.message is not None:
        return "message", part.headers.names(), found(part.message)
    return "text" if part.media_type.startswith("text/") else "binary", part.headers.names(), part.body


def test_the_corpus_is_whole() -> None:
    assert len(MESSAGES) == 32


@pytest.mark.parametrize("path", [p for p in MESSAGES if p.stem not in KEEPS_MORE_TEXT], ids=lambda p: p.stem)
def test_a_hostile_message_has_the_tree_of_mime4j(path: Path) -> None:
    tree = ET.parse(path.with_name(f"{path.stem}_decoded.xml")).getroot()
    assert found(mime.read(path.read_bytes())) == expected(tree)


@pytest.mark.parametrize("stem", sorted(KEEPS_MORE_TEXT))
def test_no_text_is_lost_behind_a_broken_header(stem: str) -> None:
    raw = (CORPUS / f"{stem}.msg").read_bytes()
    kind, fields, body = found(mime.read(raw))
    wanted_kind, wanted_fields, wanted = expected(ET.parse(CORPUS / f"{stem}_decoded.xml").getroot())
    assert kind == wanted_kind
    assert set(fields) <= set(wanted_fields)
    assert isinstance(body, bytes) and isinstance(wanted, bytes)
    assert set(wanted.splitlines()) <= set(body.splitlines())
    assert raw.endswith(body)


def nested(depth: int) -> bytes:
    heads = (b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    return b"From: ana@example.com\r\n" + b"".join(heads) + b"\r\nhello\r\n"


def test_parts_nested_without_end_are_refused() -> None:
    assert list(mime.read(nested(20)).walk())[-1].body == b"hello\r\n"
    with pytest.raises(Unreadable, match="nested"):
        mime.read(nested(5000))


def test_messages_within_messages_without_end_are_refused() -> None:
    with pytest.raises(Unreadable, match="nested"):
        mime.read(b"Content-Type: message/rfc822\r\n\r\n" * 5000)


def test_parts_without_number_are_refused() -> None:
    with pytest.raises(Unreadable, match="parts"):
        mime.read(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5000)


def test_lines_that_look_like_boundaries_without_number_are_refused() -> None:
    with pytest.raises(Unreadable, match="boundaries"):
        mime.read(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--bx\n" * 100_000)


@pytest.mark.parametrize(
    "head", [b"X-Long: " + b"a" * 300_000 + b"\r\n", b"X: y\r\n" * 30_000, b"X:\r\n" + b" a\r\n" * 100_000]
)
def test_a_huge_header_is_refused(head: bytes) -> None:
    with pytest.raises(Unreadable, match="header"):
        mime.read(head + b"From: ana@example.com\r\n\r\nhello")


def test_a_part_is_found_again_by_its_path() -> None:
    message = mime.read((CORPUS / "example.msg").read_bytes())
    part = message.at("2")
    assert part is not None and part.media_type == "image/png"
    assert part.size == len(part.body)
    assert message.at("9.9") is None


@pytest.mark.parametrize("body", [b"QUJD", b"QUJ", b"QUJDRA=", b"Q\r\nUJ D!", b"=", b"A", b"\xff\x00", b"====QUJD"])
def test_broken_base64_gives_what_can_be_read(body: bytes) -> None:
    part = mime.read(b"Content-Transfer-Encoding: base64\r\n\r\n" + body)
    assert isinstance(part.body, bytes)
    assert part.size >= 0
