"""The page behind an unsubscribe link: GET asks, POST carries out, nobody has to sign in (RFC 8058)."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from onethread.conversations import actions
from onethread.conversations.unsubscribing import PATH, UnsubscribeLinks
from onethread.kernel.errors import NotFound
from onethread.platform.db import Database

# Language: direction, question, button, done.
_WORDS: Final = {
    "en": ("ltr", "Stop getting offers and news from us?", "Stop", "Done. You will get no more offers from us."),
    "th": ("ltr", "ต้องการหยุดรับข่าวสารและข้อเสนอจากเราหรือไม่", "หยุดรับ", "เรียบร้อย คุณจะไม่ได้รับข้อเสนอจากเราอีก"),
    "fa": (
        "rtl",
        "دیگر خبر و پیشنهادی از ما دریافت نکنید؟",
        "لغو دریافت",
        "انجام شد. دیگر پیشنهادی از ما دریافت نمی‌کنید.",
    ),
    "ja": ("ltr", "お知らせやご案内の配信を停止しますか。", "停止する", "停止しました。今後ご案内は届きません。"),
}
_PAGE: Final = """<!doctype html>
<html lang="{language}" dir="{direction}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<body style="font:16px/1.5 system-ui;max-width:32rem;margin:15vh auto;padding:0 1rem;text-align:start">
<p>{title}</p>{form}</body></html>"""
_FORM: Final = '<form method="post"><button style="font:inherit;padding:.5rem 1.5rem">{button}</button></form>'
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}


class UnsubscribeDoor:
    """An ASGI application below `/u/`. A GET changes nothing: scanners follow every link."""

    def __init__(self, database: Database, links: UnsubscribeLinks, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._links = links
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        wish = self._links.read(request.url.path.removeprefix(PATH))
        if wish is None:
            raise NotFound("This link is not one of ours.")
        language = _language(request.headers.get("accept-language", ""))
        direction, question, button, done = _WORDS[language]
        if request.method == "GET":
            form = _FORM.format(button=button)
            page = _PAGE.format(language=language, direction=direction, title=question, form=form)
            return HTMLResponse(page, headers=_HEADERS)
        if request.method != "POST":
            return PlainTextResponse("", 405, {"allow": "GET, POST"})
        async with self._database.transaction() as tx:
            await actions.unsubscribe(tx, wish, self._clock())
        page = _PAGE.format(language=language, direction=direction, title=done, form="")
        return HTMLResponse(page, headers=_HEADERS)


def _language(accepted: str) -> str:
    """Return the first of our languages a browser asks for."""
    for part in accepted.lower().split(","):
        language = part.strip()[:2]
        if language in _WORDS:
            return language
    return "en"
