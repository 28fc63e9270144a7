"""Answers of ours as mails: what the head says, what is inside, what cannot be smuggled in."""

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from onethread.adapters.channels.email.client import CannotBeSealed, Seal, sign
from onethread.adapters.channels.email.wire import compose
from onethread.adapters.channels.email.wire.compose import CannotBeWritten, Enclosure, Identity, Letter
from onethread.channels.contract import Content, Handle, Media, Outgoing, reference_of
from tests.adapters.channels.email.offices import ADDRESS, DELIVERY, outgoing
from tests.cast import ana, hanako, maryam, somchai

IDENTITY = Identity(ADDRESS)
REFERENCE = reference_of(DELIVERY)


def read(letter: Letter) -> EmailMessage:
    message = email.message_from_bytes(letter.raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def written(sent: Outgoing, identity: Identity = IDENTITY, *enclosures: Enclosure) -> EmailMessage:
    return read(compose.write(sent, identity, enclosures))


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    body = message.get_body((kind,))
    assert isinstance(body, EmailMessage)
    return str(body.get_content())


def test_the_head_of_an_answer() -> None:
    letter = compose.write(outgoing(), IDENTITY)
    head = {name.lower(): str(value) for name, value in read(letter).items()}
    assert head["from"] == f"Bruno via Corner Shop <{ADDRESS}>"
    assert head["to"] == f"{ana.name} <{ana.email}>"
    assert head["subject"] == "Re: My order"
    assert head["message-id"] == letter.external_id == f"<{REFERENCE}@shop.test>"
    assert head["in-reply-to"] == "<1@example.com>"
    assert head["references"] == "<0@example.com> <1@example.com>"
    assert head["reply-to"] == "Bruno via Corner Shop <support+r.4tk7x9@shop.test>"
    assert head["x-onethread"] == REFERENCE
    assert head["auto-submitted"] == "no"
    assert letter.envelope_sender == f"support+b.{REFERENCE}@shop.test"
    assert letter.recipient == ana.email


def test_a_second_attempt_is_the_same_mail() -> None:
    assert (
        compose.write(outgoing(), IDENTITY).external_id == compose.write(outgoing(repeated=True), IDENTITY).external_id
    )


def test_a_first_mail_answers_nothing() -> None:
    message = written(outgoing(answers=(), content=Content(text="Your papers", subject="Welcome")))
    assert message["Subject"] == "Welcome"
    assert message["In-Reply-To"] is None and message["References"] is None


def test_without_a_subject_the_words_begin_it() -> None:
    assert (
        written(outgoing(answers=(), content=Content(text="Your papers\nare here")))["Subject"]
        == "Your papers are here"
    )


def test_one_re_is_enough() -> None:
    assert written(outgoing(content=Content(text="x", subject="AW: Re: My order")))["Subject"] == "Re: My order"


def test_the_brand_speaks_when_nobody_is_named() -> None:
    assert written(outgoing(sender_name=""))["From"] == f"Corner Shop <{ADDRESS}>"
    assert written(outgoing(sender_name="Corner Shop"))["From"] == f"Corner Shop <{ADDRESS}>"
    named = replace(IDENTITY, display_name="The Shop")
    assert written(outgoing(sender_name=""), named)["From"] == f"The Shop <{ADDRESS}>"


@pytest.mark.parametrize("person", [somchai, maryam, hanako], ids=lambda person: person.locale)
def test_every_script_arrives_whole(person: object) -> None:
    hello, name = person.hello, person.name  # type: ignore[attr-defined]
    message = written(
        outgoing(content=Content(text=hello, html=f"<p>{hello}</p>", subject=hello), sender_name=name, brand_name="ร้าน")
    )
    assert message["Subject"] == f"Re: {hello}"
    assert message["From"].addresses[0].display_name == f"{name} via ร้าน"
    assert text_of(message).strip() == hello
    assert f"<p>{hello}</p>" in text_of(message, "html")


def test_the_signature_stands_below() -> None:
    signed = replace(IDENTITY, signature="Corner Shop\n<Main Street 1>")
    message = written(outgoing(content=Content(text="Hi", html="<p>Hi</p>")), signed)
    assert text_of(message).replace("\r\n", "\n") == "Hi\n\n-- \nCorner Shop\n<Main Street 1>\n"
    assert "Corner Shop<br>&lt;Main Street 1&gt;" in text_of(message, "html")


def test_leaving_is_offered_by_click_and_by_mail() -> None:
    message = written(outgoing(unsubscribe_url="https://shop.test/u/1"))
    assert message["List-Unsubscribe"] == (
        f"<https://shop.test/u/1>, <mailto:support%2Bu.{REFERENCE}@shop.test?subject=unsubscribe>"
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert written(outgoing(unsubscribe_url="http://localhost/u"))["List-Unsubscribe-Post"] is None


@pytest.mark.parametrize(
    "url", ["https://x/ y", "https://x/>,<https://evil", "https://x/\r\nBcc: e@evil", "https://é/"]
)
def test_an_unfit_address_for_leaving_is_refused(url: str) -> None:
    with pytest.raises(CannotBeWritten):
        compose.write(outgoing(unsubscribe_url=url), IDENTITY)


def test_enclosures_and_pictures_go_along() -> None:
    picture = Enclosure(Media("file:1", "pic.png", "image/png", inline_id="pic@x"), b"\x89PNG")
    invoice = Enclosure(Media("file:2", "ใบเสร็จ.pdf", "application/pdf"), b"%PDF-1.7")
    mail_in_mail = Enclosure(Media("file:3", "old.eml", "message/rfc822"), b"Subject: x\n\nhello")
    content = Content(text="See", html='<p>See</p><img src="cid:pic@x">')
    message = written(outgoing(content=content), IDENTITY, picture, invoice, mail_in_mail)
    kinds = {part.get_content_type(): part for part in message.walk()}
    assert kinds["image/png"]["Content-ID"] == "<pic@x>"
    assert kinds["image/png"].get_payload(decode=True) == b"\x89PNG"
    assert kinds["application/pdf"].get_filename() == "ใบเสร็จ.pdf"
    assert kinds["application/octet-stream"].get_payload(decode=True) == b"Subject: x\n\nhello"
    assert text_of(message).strip() == "See"


@pytest.mark.parametrize(
    "changes",
    [
        {"sender_name": "Bruno\r\nBcc: evil@evil.test"},
        {"brand_name": "Shop\nBcc: evil@evil.test"},
        {"content": Content(text="x", subject="Hi\r\nBcc: evil@evil.test")},
        {"to": Handle("email", ana.email, name="Ana\r\nBcc: evil@evil.test")},
        {"answers": ("<1@example.com>\r\nBcc: evil@evil.test", "<2@x>")},
        {"token": "x\r\nBcc: evil@evil.test"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_nothing_smuggles_a_header_in(changes: dict[str, object]) -> None:
    try:
        message = written(outgoing(**changes))
    except CannotBeWritten:
        return
    assert message["Bcc"] is None


@pytest.mark.parametrize("address", ["", "nobody", "a@b@c", "ana@example.com\r\nBcc: e@evil", "<ana@example.com>"])
def test_an_impossible_recipient_is_refused(address: str) -> None:
    with pytest.raises(CannotBeWritten):
        compose.write(outgoing(to=Handle("email", address)), IDENTITY)


def test_an_address_in_letters_of_its_own_needs_a_server_that_knows_them() -> None:
    letter = compose.write(outgoing(to=Handle("email", "สมชาย@example.co.th")), IDENTITY)
    assert letter.needs_utf8
    assert "สมชาย@example.co.th".encode() in letter.raw


@given(st.text(max_size=200), st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_written_arrives(text: str, subject: str, name: str) -> None:
    letter = compose.write(outgoing(content=Content(text=text, html=text, subject=subject), sender_name=name), IDENTITY)
    message = email.message_from_bytes(letter.raw, policy=email.policy.default)
    assert message["Message-ID"] == letter.external_id
    assert message["Bcc"] is None
    assert b"\r\r" not in letter.raw and letter.raw.count(b"\n") == letter.raw.count(b"\r\n")


# ---------------------------------------------------------------- DKIM


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_a_sealed_mail_is_known_as_ours_and_cannot_be_changed(key: rsa.RSAPrivateKey) -> None:
    raw = sign(
        compose.write(outgoing(unsubscribe_url="https://shop.test/u/1"), IDENTITY).raw,
        Seal("shop.test", "s1", pem(key)),
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])

    def verified(mail: bytes) -> bool:
        return bool(dkim.verify(mail, dnsfunc=lambda name, timeout=5: record, minkey=1024))

    assert verified(raw)
    assert not verified(raw.replace(b"on its way", b"lost"))
    assert not verified(raw.replace(b"https://shop.test/u/1", b"https://evil.test/1"))
    assert not verified(raw.replace(b"One-Click", b"Two-Click"))
    head, _, rest = raw.partition(b"\r\nFrom:")
    assert not verified(head + b"\r\nFrom: evil@evil.test\r\nFrom:" + rest)


@pytest.mark.parametrize("broken", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_broken_key_is_told(broken: str) -> None:
    with pytest.raises(CannotBeSealed):
        sign(compose.write(outgoing(), IDENTITY).raw, Seal("shop.test", "s1", broken))
