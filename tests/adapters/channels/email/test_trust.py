"""Whether the sender is who they say: only our own mail server may vouch."""

import pytest

from tests.adapters.channels.email.offices import mail, message_of


@pytest.mark.parametrize(
    ("results", "trust"),
    [
        ("mx.shop.test; dmarc=pass header.from=example.com", "verified"),
        ("mx.shop.test; dkim=pass header.d=example.com", "verified"),
        ("mx.shop.test; dkim=pass (2048 bit; unprotected) header.d=example.com header.i=@example.com", "verified"),
        ("mx.shop.test; spf=pass smtp.mailfrom=ana@example.com", "verified"),
        ("MX.shop.test 1; dkim=pass header.d=example.com", "verified"),
        ("mx.shop.test; dmarc=fail header.from=example.com; spf=pass smtp.mailfrom=example.com", "failed"),
        ("mx.shop.test; dkim=pass header.d=mallory.test", "unverified"),
        ("mx.shop.test; dkim=pass header.d=com", "unverified"),
        ("mx.shop.test; dkim=pass header.d=notexample.com", "unverified"),
        ("mx.shop.test; dmarc=pass header.from=mallory.test", "unverified"),
        ("mx.shop.test; spf=pass smtp.mailfrom=mallory.test", "unverified"),
        ("mx.shop.test; none", "unverified"),
        ("mx.mallory.test; dmarc=pass header.from=example.com", "unverified"),
        ("mx.shop.test.mallory.test; dmarc=pass header.from=example.com", "unverified"),
        ("mx.shop.test; x=y (; dmarc=pass header.from=example.com", "verified"),
        ("", "unverified"),
        (";;;=;", "unverified"),
    ],
)
def test_only_our_own_server_vouches_for_a_sender(results: str, trust: str) -> None:
    message = message_of(mail(Authentication_Results=results))
    assert message.trust == trust
    assert message.trust_reason


def test_only_the_topmost_verdict_of_our_server_counts() -> None:
    raw = (
        b"Authentication-Results: mx.shop.test; dkim=fail header.d=example.com\r\n"
        b"Authentication-Results: mx.shop.test; dkim=pass header.d=example.com\r\n"
    ) + mail().as_bytes()
    assert message_of(raw).trust == "unverified"
