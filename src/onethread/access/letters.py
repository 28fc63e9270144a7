"""What our own letters say, in the four languages. Pure."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

LetterKind = Literal["invitation", "password_reset", "password_changed"]


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter to one address, in plain text and HTML."""

    address: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Words:
    subject: str
    greeting: str
    body: str
    button: str
    footer: str


_ENGLISH: Final[Mapping[LetterKind, _Words]] = {
    "invitation": _Words(
        "Join {organisation} on Onethread",
        "Hello {name},",
        "{organisation} invites you to answer its customers together with the team.",
        "Accept the invitation",
        "The link is good once, for 7 days. If you did not expect it, do nothing.",
    ),
    "password_reset": _Words(
        "Choose a new password",
        "Hello {name},",
        "Somebody, you we hope, asked for a new password for {organisation}.",
        "Choose a new password",
        "The link is good once, for one hour. If it was not you, do nothing: your password stays as it is.",
    ),
    "password_changed": _Words(
        "Your password was changed",
        "Hello {name},",
        "The password of your account at {organisation} was changed just now, and every other browser was signed out.",
        "",
        "If it was not you, ask an administrator to close the account at once.",
    ),
}
_THAI: Final[Mapping[LetterKind, _Words]] = {
    "invitation": _Words(
        "คำเชิญเข้าร่วม {organisation} บน Onethread",
        "สวัสดี {name}",
        "{organisation} ขอเชิญคุณมาร่วมดูแลลูกค้าไปกับทีม",
        "ตอบรับคำเชิญ",
        "ลิงก์นี้ใช้ได้ครั้งเดียวภายใน 7 วัน หากคุณไม่ได้คาดว่าจะได้รับอีเมลนี้ ไม่ต้องทำอะไร",
    ),
    "password_reset": _Words(
        "ตั้งรหัสผ่านใหม่",
        "สวัสดี {name}",
        "มีผู้ขอตั้งรหัสผ่านใหม่สำหรับ {organisation} ซึ่งเราหวังว่าเป็นคุณ",
        "ตั้งรหัสผ่านใหม่",
        "ลิงก์นี้ใช้ได้ครั้งเดียวภายในหนึ่งชั่วโมง หากไม่ใช่คุณ ไม่ต้องทำอะไร รหัสผ่านจะยังเป็นรหัสเดิม",
    ),
    "password_changed": _Words(
        "รหัสผ่านของคุณถูกเปลี่ยนแล้ว",
        "สวัสดี {name}",
        "รหัสผ่านบัญชีของคุณที่ {organisation} เพิ่งถูกเปลี่ยน และเบราว์เซอร์อื่นทั้งหมดถูกออกจากระบบแล้ว",
        "",
        "หากไม่ใช่คุณ โปรดแจ้งผู้ดูแลระบบให้ปิดบัญชีทันที",
    ),
}
_PERSIAN: Final[Mapping[LetterKind, _Words]] = {
    "invitation": _Words(
        "دعوت به {organisation} در Onethread",
        "سلام {name}،",
        "{organisation} شما را دعوت می‌کند تا همراه تیم پاسخگوی مشتریان باشید.",
        "پذیرفتن دعوت",
        "این پیوند یک بار و تا ۷ روز معتبر است. اگر انتظارش را نداشتید، کاری لازم نیست.",
    ),
    "password_reset": _Words(
        "انتخاب گذرواژهٔ تازه",
        "سلام {name}،",
        "کسی، امیدواریم خود شما، برای {organisation} گذرواژهٔ تازه خواسته است.",
        "انتخاب گذرواژهٔ تازه",
        "این پیوند یک بار و تا یک ساعت معتبر است. اگر شما نبودید، کاری لازم نیست: گذرواژهٔ شما همان می‌ماند.",
    ),
    "password_changed": _Words(
        "گذرواژهٔ شما عوض شد",
        "سلام {name}،",
        "گذرواژهٔ حساب شما در {organisation} همین حالا عوض شد و همهٔ مرورگرهای دیگر خارج شدند.",
        "",
        "اگر شما نبودید، فوراً از مدیر سامانه بخواهید حساب را ببندد.",
    ),
}
_JAPANESE: Final[Mapping[LetterKind, _Words]] = {
    "invitation": _Words(
        "{organisation} の Onethread へのご招待",
        "{name} 様",
        "{organisation} から、チームと一緒にお客様に対応するための招待が届いています。",
        "招待を受ける",
        "このリンクは7日以内に一度だけ使えます。お心当たりがない場合は、何もする必要はありません。",
    ),
    "password_reset": _Words(
        "新しいパスワードの設定",
        "{name} 様",
        "{organisation} の新しいパスワードの設定が依頼されました。",
        "新しいパスワードを設定する",
        "このリンクは1時間以内に一度だけ使えます。お心当たりがない場合は、何もする必要はありません。パスワードは変わりません。",
    ),
    "password_changed": _Words(
        "パスワードが変更されました",
        "{name} 様",
        "{organisation} のアカウントのパスワードが変更され、ほかのブラウザーはすべてサインアウトされました。",
        "",
        "お心当たりがない場合は、すぐに管理者へ連絡し、アカウントを停止してもらってください。",
    ),
}
_LANGUAGES: Final = {"en": _ENGLISH, "th": _THAI, "fa": _PERSIAN, "ja": _JAPANESE}
_RIGHT_TO_LEFT: Final = frozenset({"fa"})


def written(kind: LetterKind, *, address: str, name: str, organisation: str, locale: str, link: str | None) -> Letter:
    """Write the letter in the language of the locale, in English where we do not speak it."""
    language = locale.partition("-")[0].lower()
    words = _LANGUAGES.get(language, _ENGLISH)[kind]
    direction = "rtl" if language in _RIGHT_TO_LEFT else "ltr"

    def filled(text: str) -> str:
        return text.format(name=name, organisation=organisation)

    def block(text: str) -> str:
        return f"<p>{html.escape(text)}</p>"

    greeting, body, footer = filled(words.greeting), filled(words.body), filled(words.footer)
    parts = [greeting, body, *([f"{words.button}: {link}"] if link else []), footer]
    button = f'<p><a href="{html.escape(link)}">{html.escape(words.button)}</a></p>' if link else ""
    page = (
        f'<!doctype html><html lang="{language if language in _LANGUAGES else "en"}" dir="{direction}">'
        f'<meta charset="utf-8"><body style="font-family:sans-serif;line-height:1.5">'
        f"{block(greeting)}{block(body)}{button}{block(footer)}</body></html>"
    )
    return Letter(address, _one_line(filled(words.subject)), "\n\n".join(parts) + "\n", page)


def _one_line(text: str) -> str:
    return " ".join(text.split())
