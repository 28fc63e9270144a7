"""Mails as they come, read into messages."""

import pytest

from onethread.adapters.channels.email.wire import mime
from onethread.channels.contract import Ignored, MessageCame, OptedOut, Unreadable, reference_of
from tests.adapters.channels.email.offices import ADDRESS, DELIVERY, came, mail, message_of, with_picture
from tests.cast import Person, ana, bruno, hanako, maryam, somchai


def test_an_ordinary_mail_is_a_message() -> None:
    message = message_of(mail())
    assert message.sender.value == ana.email
    assert message.sender.name == "Ana Lima"
    assert message.content.text == "Hello, where is my order?"
    assert message.content.subject == "My order"
    assert message.external_id == "<1@example.com>"
    assert message.at.isoformat() == "2026-11-16T11:58:00+00:00"
    assert (message.token, message.answers, message.automatic) == (None, (), False)


@pytest.mark.parametrize("person", [somchai, maryam, hanako], ids=lambda person: person.locale)
def test_mail_in_any_script_is_read(person: Person) -> None:
    text, name, address = person.hello, person.name, person.email
    for charset in ("utf-8", {"th": "tis-620", "fa": "utf-8", "ja": "iso-2022-jp"}[person.locale]):
        written = mail(sender=f'"{name}" <{address}>', subject=text)
        written.set_content(text, charset=charset)
        message = message_of(written)
        assert (message.content.text, message.content.subject, message.sender.name) == (text, text, name)


def test_a_mail_without_an_id_gets_the_same_one_each_time() -> None:
    raw = mail(message_id=None).as_bytes()
    first, again = message_of(raw), message_of(raw)
    assert first.external_id == again.external_id
    assert first.external_id.endswith("@no-id>")
    assert first.external_id != message_of(mail("Other words", message_id=None)).external_id


def test_what_a_mail_answers_comes_nearest_first() -> None:
    message = message_of(mail(In_Reply_To="<3@shop.test>", References="<1@shop.test> <2@shop.test> <3@shop.test>"))
    assert message.answers == ("<3@shop.test>", "<2@shop.test>", "<1@shop.test>")


@pytest.mark.parametrize("field", ["To", "Cc", "Delivered-To", "X-Original-To"])
def test_the_reply_token_is_found_wherever_our_address_stands(field: str) -> None:
    written = mail(to="Somebody <else@example.com>")
    del written[field]
    written[field] = "Shop <Support+r.4tk7x9@SHOP.test>"
    assert message_of(written).token == "4tk7x9"


def test_a_token_at_a_strangers_address_is_none_of_ours() -> None:
    assert message_of(mail(to="support+r.4tk7x9@elsewhere.test")).token is None


@pytest.mark.parametrize(
    ("subject", "stripped"),
    [
        ("Re: My order", "My order"),
        ("RE: AW: Antwort: Fwd: My order", "My order"),
        ("WG: Bestellung", "Bestellung"),
        ("Re[2]: My order", "My order"),
        ("Re (3): My order", "My order"),
        ("SV: VS: Odp: My order", "My order"),
        ("ตอบกลับ: คำสั่งซื้อ", "คำสั่งซื้อ"),
        ("ส่งต่อ: Re: คำสั่งซื้อ", "คำสั่งซื้อ"),
        ("پاسخ: سفارش من", "سفارش من"),
        ("返信: 注文", "注文"),
        ("転送：Re：注文", "注文"),
        ("回复：订单", "订单"),
        ("Réf: commande", "Réf: commande"),
        ("Regarding: my order", "Regarding: my order"),
        ("Re:", None),
        ("I: Re: ordine", "ordine"),
    ],
)
def test_subjects_lose_their_prefixes(subject: str, stripped: str | None) -> None:
    assert message_of(mail(subject=subject)).content.subject == stripped


@pytest.mark.parametrize(
    "fields",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; owner=x"},
        {"Precedence": "bulk"},
        {"Precedence": "list"},
        {"X_Auto_Response_Suppress": "All"},
        {"List_Id": "<news.example.com>"},
        {"Return_Path": "<>"},
        {"X_Autoreply": "yes"},
    ],
    ids=str,
)
def test_what_no_person_wrote_is_automatic(fields: dict[str, str]) -> None:
    assert message_of(mail(**fields)).automatic


@pytest.mark.parametrize("fields", [{"Auto_Submitted": "no"}, {"X_Auto_Response_Suppress": "None"}], ids=str)
def test_what_a_person_wrote_is_not(fields: dict[str, str]) -> None:
    assert not message_of(mail(**fields)).automatic


def test_our_own_mail_is_not_taken_for_a_customers() -> None:
    reference = reference_of(DELIVERY)
    back = mail(sender=bruno.email, message_id=f"<{reference}@shop.test>", X_Onethread=reference)
    assert came(back) == [Ignored("A mail of our own that came back.")]
    assert came(mail(sender=f"Shop <{ADDRESS}>")) == [Ignored("A mail from our own address.")]


def test_our_mark_alone_hides_nobodys_mail() -> None:
    assert isinstance(came(mail(X_Onethread=reference_of(DELIVERY)))[0], MessageCame)


def test_a_mail_to_the_farewell_address_opts_out() -> None:
    (left,) = came(mail(to=f"support+u.{reference_of(DELIVERY)}@shop.test"))
    assert isinstance(left, OptedOut)
    assert (left.sender.value, left.purpose) == (ana.email, "marketing")


def test_a_mail_that_names_nobody_is_refused_with_its_reason() -> None:
    with pytest.raises(Unreadable, match="who sent it"):
        came(b"Subject: x\r\n\r\nhello")


# ---------------------------------------------------------------- enclosures and HTML


def test_html_is_made_harmless() -> None:
    html = message_of(with_picture()).content.html
    assert html is not None
    for evil in ("onclick", "script", "form", "input", "javascript", ' src="https'):
        assert evil not in html
    assert 'src="cid:pic@x"' in html
    assert 'data-src="https://spy.test/p.gif"' in html
    assert 'href="https://shop.test/1"' in html


def test_enclosures_are_found_with_their_places() -> None:
    raw = with_picture().as_bytes()
    picture, invoice = message_of(raw).content.media
    assert (picture.name, picture.media_type, picture.inline_id) == ("pic.png", "image/png", "pic@x")
    assert (invoice.name, invoice.media_type, invoice.inline_id) == ("invoice.pdf", "application/pdf", None)
    part = mime.read(raw).at(invoice.ref.removeprefix("part:"))
    assert part is not None and part.body == b"%PDF-1.7" and invoice.size == 8


def test_a_mail_of_html_alone_has_text() -> None:
    written = mail()
    written.set_content("<p>Hello</p><ul><li>one<li>two</ul><table><tr><td>a<td>b</table>", subtype="html")
    assert message_of(written).content.text == "Hello\n\n- one\n- two\n\na b"


def test_a_mail_inside_a_mail_is_an_enclosure() -> None:
    written = mail("See below.")
    written.add_attachment(mail("inner words", subject="Re: inner"))
    message = message_of(written)
    assert message.content.text == "See below."
    (inner,) = message.content.media
    assert (inner.name, inner.media_type) == ("inner.eml", "message/rfc822")


@pytest.mark.parametrize(
    "html",
    ["<div>" * 5000 + "deep", "<b id=1>" * 3000, "<" * 100_000, "<p " + "a=" * 50_000, "<!--" * 9000, "&" * 99_999],
    ids=["divs", "bolds", "angles", "attributes", "comments", "entities"],
)
def test_hostile_html_is_read_in_no_time(html: str) -> None:
    written = mail()
    written.set_content(html, subtype="html", cte="base64")
    assert isinstance(message_of(written), MessageCame)
