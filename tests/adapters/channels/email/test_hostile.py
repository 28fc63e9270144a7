"""Whatever bytes come as mail: they are read, or refused in words; nothing else leaves the parser."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.adapters.channels.email.wire import reading
from onethread.channels.contract import Came, Unreadable
from tests.adapters.channels.email.offices import OURS, mail, with_picture
from tests.adapters.channels.email.test_reports import dsn
from tests.cast import noon
from tests.kits.channel import assert_storable

CORPUS = Path(__file__).parent / "corpus"
OTHER_MESSAGES = sorted(CORPUS.glob("*/*.msg")) + sorted(CORPUS.glob("replies/**/*.eml"))


@pytest.mark.parametrize("path", OTHER_MESSAGES, ids=lambda p: p.stem)
def test_every_message_of_the_corpus_is_read_or_refused_in_words(path: Path) -> None:
    assert_tamed(path.read_bytes())


@given(st.data())
def test_no_mutation_of_a_mail_escapes(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw)))
        piece = data.draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)))
        raw = raw[:place] + piece + raw[place + data.draw(st.integers(0, 30)) :]
    assert_tamed(raw)


@given(st.binary(max_size=300))
def test_no_noise_escapes(noise: bytes) -> None:
    assert_tamed(noise)
    assert_tamed(b"From: ana@example.com\r\n" + noise)
    assert_tamed(b"From: ana@example.com\r\nContent-Type: text/html\r\n\r\n" + noise)


@pytest.mark.parametrize(
    "raw",
    [
        mail("x" * 2_000_000).as_bytes(),
        b"From: ana@example.com\r\n\r\n" + b"\x00" * 100_000,
        b"From: ana\x00@example.com\r\nMessage-ID: <\x00a@b>\r\nContent-ID: <\x00>\r\n\r\nx",
        b"From: ana@example.com\r\nSubject: =?utf-8?B?" + base64.b64encode(b"\xff" * 50_000) + b"?=\r\n\r\nx",
        b"From: " + b"(" * 8000 + b"ana@example.com\r\n\r\nx",
        b"From: ana@example.com\r\nTo: " + b"a@b.c, " * 20_000 + b"\r\n\r\nx",
        b"From: ana@example.com\r\nReferences: " + b"<a@b> " * 20_000 + b"\r\n\r\nx",
        b"From: ana@example.com\r\nContent-Type: text/plain" + b'; a="' * 30_000 + b"\r\n\r\nx",
        b"From: ana@example.com\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--\r\n--\r\n",
        b"From: ana@example.com\r\nContent-Type: multipart/mixed; boundary=a\nb\r\n\r\n--a\r\n",
    ],
    ids=[
        "long",
        "nulls",
        "nulls in the head",
        "subject",
        "comments",
        "recipients",
        "references",
        "parameters",
        "no boundary",
        "broken",
    ],
)
def test_a_mail_out_of_all_measure_is_read_or_refused_in_words(raw: bytes) -> None:
    assert_tamed(raw)


def assert_tamed(raw: bytes) -> None:
    """A mail is read into what can be stored, or refused with a reason; nothing else."""
    assert_storable(reading.sender_key(raw))
    try:
        read: list[Came] = list(reading.read(raw, external_id=reading.fingerprint(raw), received_at=noon, ours=OURS))
    except Unreadable as refused:
        assert refused.detail
        assert_storable(refused.detail)
        return
    assert read
    assert_storable(read)


SEEDS = [
    mail().as_bytes(),
    with_picture().as_bytes(),
    dsn("failed", "5.1.1", "550 no"),
    *(path.read_bytes() for path in OTHER_MESSAGES if path.stat().st_size < 4000),
]
PIECES = [
    *(
        b"\x00",
        b"\r\n",
        b"\n\n",
        b"\r",
        b"--",
        b"--b--",
        b"=?utf-8?B?",
        b"?=",
        b"=?",
        b'"',
        b"<",
        b">",
        b"(",
        b")",
        b";",
    ),
    *(b"\xff", b"\xed\xa0\x80", b"Content-Type: multipart/mixed; boundary=", b"Content-Type: message/rfc822\r\n"),
    *(b"Content-Transfer-Encoding: base64\r\n", b"charset=utf-7", b"charset=idna", b"filename*0*=", b"From: x@y\r\n"),
    *(b"<blockquote>", b"<pre>", b"&#0;", b"&#xd800;", b"<img src=cid:", b"On 1.1.2026 1:00 x@y.z wrote:\r\n", b"> "),
    *(b"Date: ", b"Message-ID: <", b"multipart/report; report-type=delivery-status", b"+b.x@shop.test", b"99999999999"),
]
