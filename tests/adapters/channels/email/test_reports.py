"""Bounces, read receipts and complaints about mail of ours."""

import pytest

from onethread.channels.contract import Ignored, OptedOut, StatusCame, reference_of
from tests.adapters.channels.email.offices import ADDRESS, DELIVERY, came, mail, message_of
from tests.cast import ana


def report(kind: str, *parts: str, to: str = ADDRESS) -> bytes:
    bodies = "".join(f"--b\r\n{part}\r\n" for part in ("Content-Type: text/plain\r\n\r\nAbout your mail", *parts))
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.test\r\nTo: {to}\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: multipart/report; report-type={kind}; boundary=b\r\n\r\n{bodies}--b--\r\n"
    ).encode()


OUR_ID = f"<{reference_of(DELIVERY)}@shop.test>"
OUR_HEADERS = f"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: {OUR_ID}\r\nTo: {ana.email}\r\n"


def dsn(action: str, status: str, diagnostic: str = "") -> bytes:
    return report(
        "delivery-status",
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\r\n"
        f"Final-Recipient: rfc822; {ana.email}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {diagnostic}\r\n",
        OUR_HEADERS,
    )


@pytest.mark.parametrize(
    ("action", "status", "diagnostic", "expected"),
    [
        ("failed", "5.1.1", "550 5.1.1 No such user", ("failed", True)),
        ("failed", "5.2.2", "552 5.2.2 Mailbox full", ("failed", False)),
        ("failed", "5.7.1", "550 5.7.1 Spam", ("failed", False)),
        ("failed", "5.0.0", "550 5.1.1 unknown", ("failed", True)),
        ("failed", "5.0.0", "550 User unknown", ("failed", True)),
        ("failed", "4.4.1", "connection timed out", ("failed", False)),
        ("delivered", "2.0.0", "250 ok", ("delivered", False)),
        ("relayed", "2.0.0", "250 ok", ("sent", False)),
    ],
)
def test_delivery_reports(action: str, status: str, diagnostic: str, expected: tuple[str, bool]) -> None:
    (one,) = came(dsn(action, status, diagnostic))
    assert isinstance(one, StatusCame)
    assert (one.status, one.permanent) == expected
    assert one.external_id == OUR_ID
    assert status in one.reason or "5.1.1" in one.reason or "User unknown" in one.reason


def test_a_delay_is_no_news() -> None:
    (one,) = came(dsn("delayed", "4.4.1", "connection timed out"))
    assert isinstance(one, Ignored) and "Delayed" in one.why


def test_a_bounce_without_our_headers_is_known_by_its_address() -> None:
    raw = report(
        "delivery-status",
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.test\r\n\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\n",
        to=f"support+b.{reference_of(DELIVERY)}@shop.test",
    )
    (one,) = came(raw)
    assert isinstance(one, StatusCame)
    assert (one.delivery_id, one.status) == (DELIVERY, "failed")


def test_a_bounce_in_mere_words_is_known_by_its_address() -> None:
    written = mail(
        "Sorry.\n\n<ana@example.com>: host mx said: 550 5.1.1 User unknown",
        sender="Mail System <MAILER-DAEMON@old.test>",
        to=f"support+b.{reference_of(DELIVERY)}@shop.test",
        Return_Path="<>",
    )
    (one,) = came(written)
    assert isinstance(one, StatusCame)
    assert (one.delivery_id, one.status, one.permanent) == (DELIVERY, "failed", True)


def test_a_report_about_nothing_of_ours_is_ignored() -> None:
    (one,) = came(report("delivery-status", "Content-Type: message/delivery-status\r\n\r\nAction: failed\r\n"))
    assert isinstance(one, Ignored)


def test_a_read_receipt_says_read() -> None:
    raw = report(
        "disposition-notification",
        "Content-Type: message/disposition-notification\r\n\r\n"
        f"Original-Message-ID: {OUR_ID}\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n",
    )
    (one,) = came(raw)
    assert isinstance(one, StatusCame)
    assert (one.status, one.external_id) == ("read", OUR_ID)


def test_a_complaint_ends_marketing() -> None:
    raw = report(
        "feedback-report",
        "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n",
        f"Content-Type: message/rfc822\r\n\r\nMessage-ID: {OUR_ID}\r\nTo: {ana.email}\r\n\r\nBuy now",
    )
    status, left = came(raw)
    assert isinstance(status, StatusCame) and status.complaint and status.external_id == OUR_ID
    assert isinstance(left, OptedOut) and (left.sender.value, left.purpose) == (ana.email, "marketing")


def test_a_vacation_answer_is_an_automatic_message() -> None:
    message = message_of(mail("I am away.", Auto_Submitted="auto-replied (vacation)", In_Reply_To=OUR_ID))
    assert message.automatic and message.answers == (OUR_ID,)
