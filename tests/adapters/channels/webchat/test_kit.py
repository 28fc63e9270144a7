"""The web chat passes the suite every channel passes."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from onethread.channels.contract import Account, Channel, Handle, Hook, Media
from tests.adapters.channels.webchat.payloads import (
    account,
    anas_browser,
    brunos_browser,
    channel,
    event,
    frame,
    photo,
    signed,
)
from tests.cast import noon
from tests.kits.whole_channel import WholeChannelKit


class TestTheKit(WholeChannelKit):
    signature_headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    never: ClassVar[dict[str, str]] = dict.fromkeys(
        ("TryLater", "Unreachable", "WindowClosed", "NeedsConsent", "NeedsAttention", "Unknown"),
        "our own database is the provider",
    )

    def channel(self) -> Channel:
        return channel()

    def account(self) -> Account:
        return account

    def signed(self, body: bytes, *, at: datetime = noon) -> Hook:
        return signed(body, at=at)

    def hook_of_message(self, text: str, *, number: int = 1, sender: int = 1) -> Hook:
        visitor = anas_browser if sender == 1 else brunos_browser
        return signed(event(visitor, frame("message", f"m{number}", text=text)))

    def hook_of_file(self) -> Hook:
        return signed(event(anas_browser, frame("message", text="", files=[photo(anas_browser)])))

    def unreadable_bodies(self) -> Sequence[bytes]:
        return [
            b"{",
            b"\xff\xfe",
            json.dumps({"events": [{"visitor": "nobody"}]}).encode(),
            json.dumps(event(anas_browser, frame("message", "x1", text=5))).encode(),
            json.dumps(event(anas_browser, frame("message", "x2", text="a\0b"))).encode(),
            json.dumps(event(anas_browser, frame("identify", "x3", user_id="u-1", hash="0" * 64))).encode(),
            json.dumps(event(anas_browser, frame("message", "x4", files=[photo(brunos_browser)]))).encode(),
        ]

    def unknown_bodies(self) -> Sequence[bytes]:
        return [
            json.dumps(event(anas_browser, frame("page_viewed", url="/shoes"))).encode(),
            json.dumps(event(anas_browser, frame("typing", on=True))).encode(),
            json.dumps(event(anas_browser, {"id": "1"})).encode(),
            b"{}",
        ]

    def recipient(self) -> Handle:
        return Handle("visitor", str(anas_browser), scope=str(account.id))

    def stored_file(self) -> Media:
        return Media("file:" + "ab" * 32, "invoice.pdf", "application/pdf", 1_000)
