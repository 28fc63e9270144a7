"""What customers write: signed requests, each one message with an id of its own, from many senders."""

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from benchmarks.preload import visitor
from benchmarks.shop import Shop
from onethread.adapters.channels.webchat.wire.reading import split_request
from onethread.platform import signing

STRANGERS: Final = 0.1  # of the messages come from somebody who never wrote before
ACTIVE: Final = 50_000  # of the others, drawn from all customers, write in one run
_TEXTS: Final = (
    "Where is my parcel? It should have been here on Monday.",
    "The blue one in size M, please.",
    "สินค้ามาถึงเมื่อไหร่คะ ขอบคุณค่ะ",
    "سفارش من کجاست؟ ممنونم",
    "注文はいつ届きますか。よろしくお願いします。",
    "It does not fit, can I change it?",
)
_numbers = itertools.count(1)
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Letter:
    """One request to the webhook door."""

    body: bytes
    text: str
    number: int


def letters(
    shop: Shop, count: int, *, strangers: float = STRANGERS, senders: Sequence[int] | None = None
) -> Iterator[Letter]:
    """Yield messages never sent before, of senders drawn alike in every run, or of these in turn."""
    dice = random.Random(count)
    busy = [dice.randint(1, shop.size.customers) for _ in range(min(ACTIVE, shop.size.customers))]
    turns = itertools.cycle(senders) if senders else None
    # Strangers are strangers to every earlier run on the same database as well.
    run = time.time_ns()
    for _ in range(count):
        number = next(_numbers)
        if turns is not None:
            sender = next(turns)
        else:
            sender = -(run + number) if dice.random() < strangers else dice.choice(busy)
        text = dice.choice(_TEXTS)
        frame = {"type": "message", "id": f"{run:x}-{number}", "body": {"text": text}}
        yield Letter(_encode({"visitor": visitor(sender), "frame": frame}), text, number)


def requests(shop: Shop, count: int, *, host: str, strangers: float = STRANGERS) -> Iterator[bytes]:
    """Yield whole HTTP requests, signed now: the door takes them for the next five minutes."""
    for letter in letters(shop, count, strangers=strangers):
        yield signed(shop, letter, host)


def signed(shop: Shop, letter: Letter, host: str) -> bytes:
    """Return the HTTP request that brings a letter."""
    headers = signing.sign(
        [shop.deeds.hook_secret], id_=f"letter-{letter.number}", at=datetime.now(UTC), body=letter.body
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST /hooks/{shop.deeds.account_id} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(letter.body)}\r\n{head}\r\n"
    ).encode() + letter.body


@dataclass(frozen=True, slots=True)
class Post:
    """A letter that is followed on its way: `external_id` is what the channel calls it."""

    shop: Shop
    letter: Letter
    external_id: str

    @classmethod
    def several(cls, shop: Shop, count: int, *, senders: Sequence[int] | None = None) -> list["Post"]:
        """Make letters from these customers in turn, or from any."""
        return [
            cls(shop, letter, split_request(letter.body)[0].external_id)
            for letter in letters(shop, count, senders=senders)
        ]

    def request(self, host: str) -> bytes:
        return signed(self.shop, self.letter, host)
