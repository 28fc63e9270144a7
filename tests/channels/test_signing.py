"""Signed webhooks at our door, beside the reference implementation."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from onethread.channels.contract import Forged, Hook
from onethread.channels.signing import sign_standard, verify_standard

SECRET = "whsec_" + base64.b64encode(b"corner shop, corner shop, 32 by.").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"the shop before it was renamed..").decode()
BODY = '{"text":"สวัสดี"}'.encode()
NOW = datetime.now(UTC).replace(microsecond=0)
SIGNED = sign_standard(SECRET, id_="msg_1", at=NOW, body=BODY)


def hook(headers: Mapping[str, str], *, body: bytes = BODY, at: datetime = NOW) -> Hook:
    return Hook("POST", headers, "", body, at)


def test_the_reference_accepts_what_we_sign() -> None:
    # Signed this moment: the reference looks at the clock itself.
    signed = sign_standard(SECRET, id_="msg_1", at=datetime.now(UTC), body=BODY)
    standardwebhooks.Webhook(SECRET).verify(BODY, signed)


def test_we_accept_what_the_reference_signs() -> None:
    signature = standardwebhooks.Webhook(SECRET).sign("msg_1", NOW, BODY.decode())
    verify_standard(hook({**SIGNED, "webhook-signature": signature}), [SECRET])


def test_either_of_two_secrets_and_of_two_signatures_may_fit() -> None:
    verify_standard(hook(SIGNED), [OLD_SECRET, SECRET])
    old = sign_standard(OLD_SECRET, id_="msg_1", at=NOW, body=BODY)["webhook-signature"]
    verify_standard(hook({**SIGNED, "webhook-signature": f"{old} {SIGNED['webhook-signature']}"}), [SECRET])


@pytest.mark.parametrize("late", [301, -301])
def test_an_old_or_early_request_is_refused(late: int) -> None:
    with pytest.raises(Forged, match="five minutes"):
        verify_standard(hook(SIGNED, at=NOW + timedelta(seconds=late)), [SECRET])


@pytest.mark.parametrize("secrets", [[], [""], ["too short"], ["whsec_not base 64"]])
def test_an_account_without_a_proper_secret_takes_nothing(secrets: list[str]) -> None:
    with pytest.raises(Forged):
        verify_standard(hook(SIGNED), secrets)


@pytest.mark.parametrize(
    "signature", ["", "v1", "v1,", "v1,AA", "v1,é", "v1," + "A" * 43 + "=", "v2,x", ", ,", "v1,\udcff", "v1,x " * 99]
)
def test_a_signature_of_another_length_or_alphabet_is_refused(signature: str) -> None:
    with pytest.raises(Forged):
        verify_standard(hook({**SIGNED, "webhook-signature": signature}), [SECRET])


@given(st.text(), st.text(), st.text(), st.binary())
def test_nothing_else_than_forged_is_ever_raised(id_: str, stamp: str, signature: str, body: bytes) -> None:
    headers = {"webhook-id": id_, "webhook-timestamp": stamp, "webhook-signature": signature}
    with pytest.raises(Forged):
        verify_standard(hook(headers, body=body), [SECRET])
