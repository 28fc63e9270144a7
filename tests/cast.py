"""The people and the shop our tests are about; always the same ones, so that tests read as sentences."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A customer: how they are reached and which language they write."""

    name: str
    email: str
    phone: str  # E.164
    locale: str
    country: str  # ISO 3166-1 alpha-2
    hello: str


@dataclass(frozen=True, slots=True)
class Shop:
    """A brand: where it is and how it is named on the wire."""

    name: str
    slug: str
    email: str
    domain: str
    default_country: str
    locale: str
    time_zone: str


ana = Person("Ana Lima", "ana@example.com", "+351912345678", "en", "PT", "Hello, where is my order?")
bruno = Person("Bruno Costa", "bruno@example.com", "+351933221100", "en", "PT", "Do you open on Sunday?")
somchai = Person("สมชาย ใจดี", "somchai@example.co.th", "+66812345678", "th", "TH", "สวัสดีครับ ของมาถึงเมื่อไหร่")
maryam = Person("مریم رضایی", "maryam@example.ir", "+989121234567", "fa", "IR", "سلام، سفارش من کجاست؟")
hanako = Person("山田 花子", "hanako@example.jp", "+819012345678", "ja", "JP", "こんにちは、配送はいつですか。")

everybody = (ana, bruno, somchai, maryam, hanako)

corner_shop = Shop(
    name="Corner Shop",
    slug="corner-shop",
    email="hello@cornershop.example",
    domain="cornershop.example",
    default_country="PT",
    locale="en",
    time_zone="Europe/Lisbon",
)

noon = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
