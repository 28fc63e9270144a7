"""Who appears in the demonstration and what they say."""

from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from onethread.access.model import Role

ORGANISATION: Final = "Corner Shop"
DOMAIN: Final = "cornershop.example"


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who works at the shop."""

    name: str
    email: str
    role: Role
    locale: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Guest:
    """A customer on the shop's website. `signed_in` ones the shop vouches for, e-mail included."""

    name: str
    email: str
    locale: str
    signed_in: bool
    says: tuple[str, ...]

    @property
    def visitor(self) -> UUID:
        """The same visitor each time the story is told."""
        return uuid5(NAMESPACE_URL, f"https://{DOMAIN}/visitors/{self.email}")


OWNER: Final = Colleague("Olivia Marsh", f"olivia@{DOMAIN}", "owner", "en", "Europe/Lisbon")
COLLEAGUES: Final = (
    Colleague("Kanya Srisuk", f"kanya@{DOMAIN}", "supervisor", "th", "Asia/Bangkok"),
    Colleague("Reza Ahmadi", f"reza@{DOMAIN}", "agent", "fa", "Asia/Tehran"),
    Colleague("Yuki Tanaka", f"yuki@{DOMAIN}", "agent", "ja", "Asia/Tokyo"),
)
GUESTS: Final = (
    Guest(
        "Ana Lima",
        "ana@example.com",
        "en",
        True,
        ("Hello, where is my order 1047?", "It was to come on Tuesday.", "I shall be at home until six."),
    ),
    Guest("Bruno Costa", "bruno@example.com", "en", False, ("Do you open on Sunday?",)),
    Guest(
        "สมชาย ใจดี",
        "somchai@example.co.th",
        "th",
        True,
        ("สวัสดีครับ ของมาถึงเมื่อไหร่", "ขอเปลี่ยนที่อยู่จัดส่งได้ไหมครับ"),
    ),
    Guest("مریم رضایی", "maryam@example.ir", "fa", True, ("سلام، سفارش من کجاست؟", "اندازهٔ ۳۸ هم دارید؟")),
    Guest("山田 花子", "hanako@example.jp", "ja", False, ("こんにちは、配送はいつですか。", "領収書もお願いします。")),
)
