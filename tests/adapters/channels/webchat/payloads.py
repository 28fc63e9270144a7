"""What visitors and companies send, as they send it."""

import json
from datetime import datetime
from uuid import UUID

from onethread.adapters.channels.webchat.channel import WebChat
from onethread.adapters.channels.webchat.tokens import Tokens
from onethread.channels.contract import Account, Hook, Media
from onethread.channels.signing import sign_standard
from onethread.kernel.ids import AccountId, BrandId
from onethread.platform.secrets import Secrets
from tests.cast import noon

SECRETS = Secrets([bytes(range(32))])
HOOK_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
IDENTIFY_SECRET = "the shop and we know this"

account = Account(
    id=AccountId(UUID(int=1)),
    channel="webchat",
    brand_id=BrandId(UUID(int=2)),
    name="The shop's website",
    settings={"hook_secret": HOOK_SECRET, "identify_secret": IDENTIFY_SECRET, "allowed_domains": "shop.example"},
)

anas_browser = UUID("018f3a00-0000-7000-8000-000000000001")
brunos_browser = UUID("018f3a00-0000-7000-8000-000000000002")

tokens = Tokens(SECRETS)


def link_to(media: Media) -> str:
    return f"https://files.example/{media.ref}"


def channel() -> WebChat:
    return WebChat(SECRETS, link_to)


def frame(type_: str, id_: str = "01J0000000000000000000000A", **body: object) -> dict[str, object]:
    return {"v": 1, "id": id_, "type": type_, "body": body}


def event(visitor: UUID, framed: dict[str, object]) -> dict[str, object]:
    return {"visitor": str(visitor), "frame": framed}


def signed(body: object, *, secret: str = HOOK_SECRET, at: datetime = noon) -> Hook:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    headers = sign_standard(secret, id_="msg_1", at=at, body=raw)
    return Hook("POST", {"content-type": "application/json", **headers}, "", raw, at)


def photo(visitor: UUID, name: str = "shoes.jpg") -> dict[str, str]:
    """A file the visitor has uploaded, as a message carries it."""
    media = Media("file:" + "ab" * 32, name, "image/jpeg", 12_345)
    return {"ref": media.ref, "name": name, "proof": tokens.prove(account.id, visitor, media, noon)}
