"""Header fields as strangers write them."""

from datetime import UTC, datetime, timedelta

import pytest

from onethread.adapters.channels.email.wire import charsets, headers
from tests.cast import noon


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Hello", "Hello"),
        ("=?UTF-8?B?2LPZhNin2YU=?=", "سلام"),
        ("=?utf-8?q?Caf=C3=A9_au_lait?= today", "Café au lait today"),
        ("=?UTF-8?B?4Liq4Lin4Lix4Liq?= =?UTF-8?B?4LiU4Li1?=", "สวัสดี"),
        ("=?UTF-8?B?4Liq4Lin4Lix4Li?= =?UTF-8?B?quC4lOC4tQ==?=", "สวัสดี"),  # a letter split between two words
        ("=?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは"),
        ("=?shift_jis?B?h0A=?=", "①"),  # a letter only Windows knows
        ("=?windows-874?B?ysfRyrTV?=", "สวัสดี"),
        ("Re: =?utf-8*en?Q?a?= b", "Re: a b"),
        ("=?utf-8?B?!!!?=", ""),
        ("=?no-such-charset?Q?a=C3=A9?=", "aé"),
        ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
        ("=?rot13?Q?uryyb?=", "uryyb"),
    ],
)
def test_encoded_words(written: str, read: str) -> None:
    assert headers.words(written) == read


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('attachment; filename="price list.pdf"', "price list.pdf"),
        ("attachment; filename=a.pdf; size=3", "a.pdf"),
        ("attachment; filename*=UTF-8''%D8%B3%D9%84%D8%A7%D9%85.txt", "سلام.txt"),
        ('attachment; filename*0="one "; filename*1="two.txt"', "one two.txt"),
        ("attachment; filename*0*=UTF-8''%E0%B8%AA; filename*1*=%E0%B8%A7.txt", "สว.txt"),
        ('attachment; filename="=?utf-8?B?2LPZhNin2YU=?="', "سلام"),
        (r'attachment; filename="a\"b.txt"', 'a"b.txt'),
        ('attachment; filename="unclosed.txt', '"unclosed.txt'),
    ],
)
def test_parameters(written: str, name: str) -> None:
    assert headers.params(written)[1]["filename"] == name


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        ("ana@example.com", "", "ana@example.com"),
        ("Ana Lima <ana@example.com>", "Ana Lima", "ana@example.com"),
        ('"Lima, Ana" <ana@example.com>', "Lima, Ana", "ana@example.com"),
        ("=?UTF-8?B?2YXYsduM2YU=?= <maryam@example.ir>", "مریم", "maryam@example.ir"),
        ("ana@example.com (Ana Lima)", "Ana Lima", "ana@example.com"),
        ("<ana@example.com>", "", "ana@example.com"),
        ("'ana@example.com' <ana@example.com>", "ana@example.com", "ana@example.com"),
        ("ana@example.com, bruno@example.com", "", "ana@example.com"),
    ],
)
def test_addresses(written: str, name: str, address: str) -> None:
    assert headers.mailboxes(written)[0] == headers.Mailbox(name, address)


@pytest.mark.parametrize("written", ["", "undisclosed-recipients:;", "nobody", "(" * 5000, "\x00", '"' * 9000, "<" * 9])
def test_what_is_no_address_reads_as_none(written: str) -> None:
    assert headers.mailboxes(written) == []


def test_message_ids_keep_their_brackets_and_get_those_a_program_forgot() -> None:
    assert headers.message_ids("<a@x> junk <b@y>\t<c d>") == ["<a@x>", "<b@y>"]
    assert headers.message_id("a@x") == "<a@x>"
    assert headers.message_id("") is None
    assert headers.message_id("<" + "a" * 2000 + "@x>") is None


@pytest.mark.parametrize(
    "written", ["", "yesterday", "Thu, 32 Foo 2026 99:99:99 +9999", "1", "Mon, 1 Jan 0070 00:00:00 +0000", "9" * 5000]
)
def test_a_date_that_is_none_is_the_time_it_came(written: str) -> None:
    assert headers.date(written, otherwise=noon) == noon


def test_no_date_lies_in_the_future() -> None:
    assert headers.date("Fri, 01 Jan 2038 00:00:00 +0000", otherwise=noon) == noon
    assert headers.date("Mon, 16 Nov 2026 12:30:00 +0100", otherwise=noon) == noon - timedelta(minutes=30)
    assert headers.date("Sun, 15 Nov 2026 12:30:00 -0000", otherwise=noon) == datetime(2026, 11, 15, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "charset", ["zlib", "hex", "idna", "undefined", "utf-8\x00", "x" * 5000, "", "utf-7", "utf-16"]
)
def test_no_charset_makes_decoding_fail(charset: str) -> None:
    text = charsets.decoded(b"\x00hello\xff\xd8\xed\xa0\x80", charset)
    text.encode()
    assert "\x00" not in text
