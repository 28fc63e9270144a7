"""Quotations and signatures fold away; what was said just now stays."""
# ruff: noqa: E501 - letters in a table are read best on one line each

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onethread.adapters.channels.email.wire import html, letters, mime, replies
from onethread.adapters.channels.email.wire.replies import Folded

CORPUS = Path(__file__).parent / "corpus" / "replies"
HTML_REPLIES = sorted((CORPUS / "html_replies").glob("*.html"))
STANDARD_REPLIES = sorted((CORPUS / "standard_replies").glob("*.eml"))


def folded(text: str, *, sender_name: str = "", forwards: bool = False) -> Folded:
    return replies.fold(replies.plain_lines(text), sender_name=sender_name, forwards=forwards)


def folded_html(written: str) -> Folded:
    page = html.read(written)
    assert page is not None
    return replies.fold(page.lines)


def words(text: str) -> list[str]:
    return text.split()


@pytest.mark.parametrize("path", HTML_REPLIES, ids=lambda p: p.stem)
def test_the_quotation_of_every_html_mail_program_folds(path: Path) -> None:
    folded = folded_html(path.read_bytes().decode("utf-8", "replace"))
    assert words(f"{folded.reply} {folded.signature}") == words("Hi. I am fine. Thanks, Alex")
    assert "Hello! How are you?" in folded.quoted


@pytest.mark.parametrize("path", STANDARD_REPLIES, ids=lambda p: p.stem)
def test_the_quotation_of_every_mail_program_folds(path: Path) -> None:
    content = letters.content(mime.read(path.read_bytes()), sender_name="")
    assert content.text == "Hello"
    assert content.quoted


@pytest.mark.parametrize("name", ["iphone", "sparrow"])
def test_a_signature_of_a_mail_program_folds_by_itself(name: str) -> None:
    message = mime.read((CORPUS / "standard_replies" / f"{name}.eml").read_bytes())
    plain = next(part for part in message.walk() if part.media_type == "text/plain")
    folded_ = folded(plain.body.decode())
    expected = (CORPUS / "standard_replies" / f"{name}_reply_text").read_text()
    assert words(f"{folded_.reply} {folded_.signature}") == words(expected)


@pytest.mark.parametrize("name", ["OLK_SRC_BODY_SECTION", "reply-separated-by-hr"])
def test_an_unusual_html_quotation_folds(name: str) -> None:
    folded_ = folded_html((CORPUS / f"{name}.html").read_text())
    assert words(folded_.reply) in (["Reply"], ["Hi", "there", "Bob"])


def test_a_quotation_that_shares_a_block_with_the_reply_folds() -> None:
    message = mime.read((CORPUS / "reply-quotations-share-block.eml").read_bytes())
    content = letters.content(message, sender_name="Joe Doe")
    assert content.text.startswith("Hi Katharine.")
    assert content.quoted is not None and "New Booking Inquiry" in content.quoted
    assert content.html is not None and "New Booking Inquiry" not in content.html


# `johndoeexamplecom` has nothing before its signature that tells it from the letter.
@pytest.mark.parametrize("name", ["camel_case", "jeff", "long", "short_url", "sparse"])
def test_a_signature_folds(name: str) -> None:
    folder = CORPUS / "signatures"
    body = (folder / f"{name}_body").read_text(errors="replace")
    signature = (folder / f"{name}_signature").read_text()
    sender = (folder / f"{name}_sender").read_text().strip()
    assert words(folded(body, sender_name=sender).signature) == words(signature)


@pytest.mark.parametrize(
    ("language", "text", "reply"),
    [
        (
            "th",
            "ได้ของแล้วครับ\n\nในวันที่ จ. 16 พ.ย. 2026 เวลา 14:20 ร้านมุมถนน <hello@shop.example>\nเขียนว่า:\n\n> ส่งแล้วครับ",
            "ได้ของแล้วครับ",
        ),
        ("th", "ขอใบเสร็จด้วยครับ\n\nขอบคุณครับ\nสมชาย ใจดี", "ขอใบเสร็จด้วยครับ"),
        ("th", "ได้ครับ\n\nจาก: ร้านมุมถนน\nส่งเมื่อ: 16 พ.ย. 2026\nถึง: สมชาย\nเรื่อง: ใบเสร็จ\n\nแนบมาครับ", "ได้ครับ"),
        ("th", "ตกลงครับ\n\nส่งจาก iPhone ของฉัน", "ตกลงครับ"),
        (
            "fa",
            "رسید، ممنون\n\nدر تاریخ دوشنبه ۱۶ نوامبر ۲۰۲۶ ساعت ۱۴:۲۰ فروشگاه <hello@shop.example> نوشت:\n\n> فرستادیم",
            "رسید، ممنون",
        ),
        ("fa", "فاکتور را بفرستید\n\nبا احترام،\nمریم رضایی", "فاکتور را بفرستید"),
        ("fa", "باشه\n\nاز: فروشگاه\nتاریخ: ۱۶ نوامبر\nبه: مریم\nموضوع: فاکتور\n\nپیوست شد", "باشه"),
        ("fa", "بله\n\nارسال شده از آیفون من", "بله"),
        (
            "ja",
            "届きました。\n\n2026年11月16日(月) 14:20 コーナーショップ <hello@shop.example>:\n\n> 発送しました。",
            "届きました。",
        ),
        (
            "ja",
            "届きました。\n\n-----元のメッセージ-----\n差出人: 店\n送信日時: 2026年11月16日\n宛先: 花子\n件名: 発送\n\n発送しました。",
            "届きました。",
        ),
        (
            "ja",
            "領収書をお願いします。\n\n━━━━━━━━━━━━\n山田 花子\n〒100-0001 東京都\nTEL 03-1234-5678\n━━━━━━━━━━━━",
            "領収書をお願いします。",
        ),
        ("ja", "了解です\n\niPhoneから送信", "了解です"),
        ("de", "Danke, ist da.\n\nAm 16.11.26 um 14:20 schrieb Laden:\n> verschickt", "Danke, ist da."),
        (
            "fr",
            "Merci !\n\nLe lun. 16 nov. 2026 à 14:20, Boutique <hello@shop.example> a écrit :\n\n> envoyé",
            "Merci !",
        ),
        (
            "es",
            "Recibido\n\nEl lun, 16 nov 2026 a las 14:20, Tienda (<hello@shop.example>)\nescribió:\n\n> enviado",
            "Recibido",
        ),
        ("ru", "Получил\n\nпн, 16 нояб. 2026 г. в 14:20, Лавка <hello@shop.example>:\n\n> отправили", "Получил"),
        ("zh", "收到了\n\n在 2026年11月16日 14:20，小店 <hello@shop.example> 写道：\n\n> 已发货", "收到了"),
    ],
)
def test_replies_fold_in_many_languages(language: str, text: str, reply: str) -> None:
    assert folded(text).reply == reply


@pytest.mark.parametrize(
    "text",
    [
        "Thanks",
        "Thanks,\nAna",
        "On Monday I wrote: nothing came.",
        "My order of 12.11.2026:\n- 2 chairs\n- 1 table",
        "From: Lisbon\nWhen can it be here?",
        "I called at 14:20 and was told this:\nit is lost. What now?",
        "The page says:\n--\nerror 5\n--\nWhat can I do? I have tried it on two machines and it is the same on both of them.",
        "> only a quotation",
        "See https://shop.example/orders/12 at 14:20:",
    ],
)
def test_what_was_said_is_never_folded(text: str) -> None:
    assert folded(text).reply == text


def test_answers_between_quoted_questions_stay_with_them() -> None:
    text = "On 16.11.2026 14:20, Shop <hello@shop.example> wrote:\n> Which size?\nLarge\n> Which colour?\nRed"
    assert folded(text).reply == text


def test_an_answer_below_the_quotation_is_the_reply() -> None:
    assert (
        folded("On 16.11.2026 14:20, Shop wrote:\n> Which size?\n> Which colour?\n\nLarge, red.").reply == "Large, red."
    )


def test_nothing_of_a_forwarded_mail_is_folded() -> None:
    text = "Please see below.\n\n---------- Forwarded message ---------\nFrom: Shop\nDate: today\nSubject: x\nTo: Ana\n\n> hi"
    assert folded(text).reply == text
    plain = "See below.\n\nFrom: Shop\nSent: today\nTo: Ana\nSubject: x\n\nhello"
    assert folded(plain, forwards=True).reply == plain


def test_flowed_paragraphs_become_one_line() -> None:
    lines = replies.plain_lines("one \ntwo\n> three \n> four\n-- \nAna", flowed=True)
    assert [line.text for line in lines] == ["one two", "> three four", "--", "Ana"]


@given(st.text(alphabet=st.sampled_from(list("ab1:.>-_\n @<On wrote")), max_size=400))
def test_every_line_is_somewhere(text: str) -> None:
    folded_ = folded(text)
    everything = words(f"{folded_.reply} {folded_.signature} {folded_.quoted}")
    assert sorted(everything) == sorted(words(text))


@pytest.mark.parametrize("piece", ["> a\n", "On 1 ", "--\n", "a\n> b\n", "From: x\n", "Thanks,\n", "1 a\n", "\n", ":"])
def test_a_long_hostile_text_is_folded_in_one_pass(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    assert isinstance(folded(text, sender_name="a").reply, str)
