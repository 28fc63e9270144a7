"""The declaration of the web chat, and the little there is to send: our database is the channel."""

# ruff: noqa: ARG002  the contract hands over more than a channel without a provider needs

from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp

from onethread.adapters.channels.webchat.showing import Link
from onethread.adapters.channels.webchat.tokens import Tokens
from onethread.adapters.channels.webchat.web import web_app
from onethread.adapters.channels.webchat.wire.frames import MAX_TEXT
from onethread.adapters.channels.webchat.wire.reading import parse_receipt, split_request
from onethread.channels.contract import (
    Account,
    Blob,
    Came,
    Capabilities,
    Declaration,
    Field,
    Health,
    Hook,
    HookAnswer,
    Media,
    Outcome,
    Outgoing,
    Receipt,
    ReceiptDraft,
    Sent,
    reference_of,
)
from onethread.channels.ports import Ports
from onethread.channels.signing import verify_standard
from onethread.kernel.errors import NotFound
from onethread.platform.secrets import Secrets

DECLARATION: Final = Declaration(
    name="webchat",
    title="Web chat",
    identifier_kinds=("visitor",),
    settings=(
        Field(
            "allowed_domains",
            "Allowed websites",
            kind="list",
            help="The host names of the pages that may open this chat, one a line: shop.example, *.shop.example. "
            "Empty allows every website: only for trying it out.",
        ),
        Field(
            "identify_secret",
            "Identification secret",
            kind="secret",
            help="Your site signs its signed-in users with it (HMAC-SHA256), so that nobody can pose as them.",
        ),
        Field(
            "hook_secret",
            "Webhook secret",
            kind="secret",
            help="Your own app or server signs with it what it reports for its visitors (Standard Webhooks, "
            "whsec_…). Two, apart by a space, while you change it.",
        ),
    ),
    capabilities=Capabilities(
        says=frozenset({"text", "media", "location", "choices", "reaction", "edit", "unsend"}),
        hears=frozenset({"text", "media", "location", "choices", "reaction", "edit", "unsend"}),
        max_text=MAX_TEXT,
        max_media=25 * 1024 * 1024,
        confirms="read",
        idempotent=True,
        per_second=10_000.0,
        typing=True,
    ),
    honesty="L1",
)


class WebChat:
    """The channel. `link` gives the address at which a visitor may load a file for a while."""

    def __init__(self, secrets: Secrets, link: Link) -> None:
        self._tokens = Tokens(secrets)
        self._link = link

    @property
    def declaration(self) -> Declaration:
        return DECLARATION

    def verify(self, hook: Hook, account: Account) -> HookAnswer | None:
        """A company's own server signs what it reports by the Standard Webhooks scheme."""
        verify_standard(hook, account.setting("hook_secret").split())
        return None

    def split(self, hook: Hook, account: Account) -> Sequence[ReceiptDraft]:
        return split_request(hook.body)

    def parse(self, receipt: Receipt, account: Account) -> Sequence[Came]:
        return parse_receipt(receipt, account, self._tokens)

    async def send(self, outgoing: Outgoing, account: Account) -> Outcome:
        """Nothing is left to do: the message is in the database, and screens that are open hear of it.

        Screens speak of messages by their id, so that is what the delivery is found by.
        """
        return Sent(reference_of(outgoing.message_id))

    async def fetch(self, receipt: Receipt, media: Media, account: Account) -> Blob:
        raise NotFound("Files of the web chat are stored when they are uploaded; there is nothing to fetch.")

    async def check(self, account: Account) -> Health:
        if account.setting("allowed_domains").strip():
            return Health(well=True)
        return Health(well=True, what="Every website may open this chat. Name yours under Allowed websites.")

    def web(self, ports: Ports) -> ASGIApp:
        return web_app(ports, self._tokens, self._link)
