"""A mailbox as it is set up: the settings an account declares, and the typed values made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

from onethread.adapters.channels.email.client import Seal, Security, Server
from onethread.adapters.channels.email.wire.addresses import untagged
from onethread.adapters.channels.email.wire.compose import Identity
from onethread.adapters.channels.email.wire.reading import Ours
from onethread.channels.contract import Account, Capabilities, Declaration, Field

Inbound = Literal["lmtp", "imap", "hook"]
Backlog = Literal["unseen", "all", "new"]

MAX_MAIL: Final = 50 * 1024 * 1024  # bytes, both ways: what an enclosure of 36 MB becomes in base 64

_SECURITY: Final = ("starttls", "tls", "none")

FIELDS: Final = (
    Field("address", "E-mail address", required=True, help="The address customers write to: support@shop.example."),
    Field("display_name", "Name shown to customers", help="Empty: the name of the brand."),
    Field(
        "aliases",
        "Further addresses",
        kind="list",
        help="Addresses that arrive here too, with commas. @shop.example takes everything of a domain.",
    ),
    Field(
        "inbound",
        "How mail arrives",
        kind="choice",
        default="lmtp",
        choices=get_args(Inbound),
        help="lmtp: your mail server hands it over. imap: it is fetched from a mailbox. hook: it is posted, signed.",
    ),
    Field("imap_host", "IMAP server"),
    Field("imap_port", "IMAP port", kind="number", default="993"),
    Field("imap_security", "IMAP security", kind="choice", default="tls", choices=_SECURITY),
    Field("imap_user", "IMAP user name"),
    Field("imap_password", "IMAP password", kind="secret"),
    Field("imap_folder", "IMAP folder", default="INBOX"),
    Field(
        "imap_backlog",
        "Mail that is there already",
        kind="choice",
        default="unseen",
        choices=get_args(Backlog),
        help="What is taken over when the mailbox is connected: what nobody has seen, everything, or nothing.",
    ),
    Field("smtp_host", "SMTP server", required=True),
    Field("smtp_port", "SMTP port", kind="number", default="587"),
    Field("smtp_security", "SMTP security", kind="choice", default="starttls", choices=_SECURITY),
    Field("smtp_user", "SMTP user name", help="Empty: without logging in."),
    Field("smtp_password", "SMTP password", kind="secret"),
    Field("dkim_domain", "DKIM domain", help="Empty: your mail server signs."),
    Field("dkim_selector", "DKIM selector"),
    Field("dkim_private_key", "DKIM private key", kind="secret", help="RSA, PEM."),
    Field(
        "authserv_id",
        "Name of the server that checks senders",
        help="As it stands in the Authentication-Results of your mail server, which must remove those of others.",
    ),
    Field("hook_secret", "Secret of the hook", kind="secret", help="whsec_… of a Standard Webhooks sender."),
    Field("hook_secret_old", "Former secret of the hook", kind="secret", help="Still believed while you change it."),
    Field("signature", "Signature", help="Put below every answer."),
)

DECLARATION: Final = Declaration(
    name="email",
    title="E-mail",
    identifier_kinds=("email",),
    settings=FIELDS,
    capabilities=Capabilities(
        says=frozenset({"text", "html", "media"}),
        hears=frozenset({"text", "html", "media"}),
        max_text=500_000,
        # Base 64 makes 4 bytes of 3 and adds line ends; what is larger, most servers return (5.3.4).
        max_media=18 * 1024 * 1024,
        # A server's 250 means queued. Success reports and read receipts come from few, and are believed then.
        confirms="sent",
        # Two copies carry the same Message-ID, but not every mail program hides the second.
        idempotent=False,
        per_second=10.0,
        subject=True,
        # Bounces come within minutes; four to five days is how long servers go on trying.
        reconcile_seconds=900,
    ),
    honesty="L1",
)


@dataclass(frozen=True, slots=True)
class Imap:
    """Where mail is fetched from."""

    server: Server
    folder: str
    backlog: Backlog


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An account, its settings in types. `domains` are those whose every address arrives here."""

    identity: Identity
    ours: Ours
    domains: frozenset[str]
    inbound: Inbound
    smtp: Server
    imap: Imap | None
    seal: Seal | None
    hook_secrets: tuple[str, ...]

    def takes(self, recipient: str) -> bool:
        """Tell whether mail to an address arrives here: its own, an alias, with anything behind a plus sign."""
        address = untagged(recipient)
        return address in self.ours.addresses or address.rpartition("@")[2] in self.domains


def mailbox_of(account: Account) -> Mailbox:
    """Return the mailbox an account describes."""
    return _mailbox(tuple(sorted(account.settings.items())))


@lru_cache(maxsize=512)
def _mailbox(settings: tuple[tuple[str, str], ...]) -> Mailbox:
    values = {field.name: field.default for field in FIELDS} | {name: value for name, value in settings if value}
    address = values["address"].strip().lower()
    aliases = [alias.strip().lower() for alias in values["aliases"].replace("\n", ",").split(",") if alias.strip()]
    inbound = values["inbound"]
    return Mailbox(
        identity=Identity(address, values["display_name"], values["signature"]),
        ours=Ours(
            frozenset(untagged(one) for one in (address, *aliases) if "@" in one.strip("@")),
            values["authserv_id"].strip(),
        ),
        domains=frozenset(alias[1:] for alias in aliases if alias.startswith("@")),
        inbound="imap" if inbound == "imap" else "hook" if inbound == "hook" else "lmtp",
        smtp=_server(values, "smtp"),
        imap=_imap(values) if inbound == "imap" else None,
        seal=_seal(values),
        hook_secrets=tuple(filter(None, (values["hook_secret"], values["hook_secret_old"]))),
    )


def _server(values: Mapping[str, str], of: Literal["smtp", "imap"]) -> Server:
    security = values[f"{of}_security"]
    chosen: Security = "tls" if security == "tls" else "none" if security == "none" else "starttls"
    return Server(
        host=values[f"{of}_host"].strip(),
        port=int(values[f"{of}_port"]),
        security=chosen,
        user=values[f"{of}_user"],
        password=values[f"{of}_password"],
    )


def _imap(values: Mapping[str, str]) -> Imap:
    backlog = values["imap_backlog"]
    chosen: Backlog = "all" if backlog == "all" else "new" if backlog == "new" else "unseen"
    return Imap(_server(values, "imap"), values["imap_folder"], chosen)


def _seal(values: Mapping[str, str]) -> Seal | None:
    if not (values["dkim_selector"] and values["dkim_private_key"]):
        return None
    domain = values["dkim_domain"] or values["address"].rpartition("@")[2]
    return Seal(domain, values["dkim_selector"], values["dkim_private_key"])
