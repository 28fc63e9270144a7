"""Builds the house from its settings, starts everything in order and stops it in the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import httpx
import structlog

from onethread.access.jobs import keep_posting
from onethread.access.model import AccessRules, OidcProvider
from onethread.access.oidc import SignOn
from onethread.adapters.channels import Machines, open_channels
from onethread.adapters.channels.email.listener import Listener
from onethread.app import housekeeping, switchboard
from onethread.app.media import MediaLinks
from onethread.app.migrations import migrate
from onethread.app.settings import Settings
from onethread.app.supervision import Crew
from onethread.channels.accounts import Accounts
from onethread.channels.contract import Channel
from onethread.channels.jobs import Checker
from onethread.channels.ports import Ports, RunsDoor
from onethread.channels.reception import Reception
from onethread.conversations.desk import Desks
from onethread.conversations.jobs import end_snoozes
from onethread.conversations.media import MediaFetcher
from onethread.conversations.receiving.receiver import Receiver
from onethread.conversations.sender import Sender
from onethread.conversations.unsubscribing import UnsubscribeLinks
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Refused, Unavailable
from onethread.platform.broadcast import Broadcaster
from onethread.platform.db import Database
from onethread.platform.embedded import EmbeddedPostgres
from onethread.platform.events.log import Log
from onethread.platform.events.subscribers import Subscribers
from onethread.platform.files import Files
from onethread.platform.idempotency import Idempotency
from onethread.platform.jobs import Jobs
from onethread.platform.live import Hub
from onethread.platform.outward import Bounds, open_client
from onethread.platform.postman import Postman, SmtpPostman
from onethread.platform.secrets import Secrets
from onethread.platform.signals import SignalCarrier
from onethread.platform.webhooks.posting import BOUNDS, post_through
from onethread.platform.webhooks.sender import Sender as Webhooks

log = structlog.get_logger(__name__)

_ON_ITS_WAY: Final = 2.0  # seconds that each kind of work has to end when we are told to stop


KEY_WANTED: Final = "secret.key.wanted"  # a restore without the key leaves it: a fresh key would open nothing


class KeyMissing(Refused):
    code = "key_missing"
    status = 503
    title = "The secret key is missing"


class NotMigrated(Refused):
    code = "not_migrated"
    status = 503
    title = "The database has another shape than this version needs"


@dataclass(frozen=True, slots=True)
class Ground:
    """What even a single command needs: the database and the keys. `embedded` None: somebody else's server."""

    settings: Settings
    database: Database
    secrets: Secrets
    embedded: EmbeddedPostgres | None
    clock: Callable[[], datetime] = utc_now


@dataclass(frozen=True, slots=True)
class House:
    """Everything a running process is made of; routes reach it as `request.app.state.house`."""

    settings: Settings
    database: Database
    secrets: Secrets
    clock: Callable[[], datetime]
    access: AccessRules
    sign_on: SignOn | None
    postman: Postman | None
    outward: httpx.AsyncClient
    files: Files
    media: MediaLinks
    log: Log
    subscribers: Subscribers
    hub: Hub
    broadcaster: Broadcaster
    signals: SignalCarrier
    channels: Mapping[str, Channel]
    accounts: Accounts
    desks: Desks
    unsubscribe: UnsubscribeLinks
    receiver: Receiver
    reception: Reception
    sender: Sender
    fetcher: MediaFetcher
    webhooks: Webhooks
    idempotency: Idempotency
    jobs: Jobs
    ports: Ports
    crew: Crew


@asynccontextmanager
async def open_ground(settings: Settings, *, connections: int | None = None) -> AsyncIterator[Ground]:
    """Start or join the database, bring an embedded one up to date, and open the keys.

    Raises NotMigrated for a database of the operator's that lacks migrations, ServerFailed, Unavailable.
    """
    async with open_server(settings) as (embedded, conninfo):
        missing = await asyncio.to_thread(migrate.pending, conninfo)
        if missing and embedded is None:
            raise NotMigrated(f"Run `onethread migrate` first; missing: {', '.join(missing)}.")
        if missing:
            await asyncio.to_thread(migrate.upgrade, conninfo)
        database = Database(conninfo, connections=connections or settings.database_connections)
        await database.open()
        try:
            yield Ground(settings, database, open_secrets(settings), embedded)
        finally:
            await database.close()


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[tuple[EmbeddedPostgres | None, str]]:
    """Start or join the database server; give it (None: the operator's) and its connection string."""
    if settings.database_url is not None:
        yield None, settings.database_url.get_secret_value()
        return
    embedded = EmbeddedPostgres(settings.data)
    conninfo = await asyncio.to_thread(embedded.start)
    try:
        yield embedded, conninfo
    finally:
        await asyncio.to_thread(embedded.stop)


async def bring_up_to_date(settings: Settings) -> list[str]:
    """Apply the missing migrations; return their names."""
    async with open_server(settings) as (_, conninfo):
        return await asyncio.to_thread(migrate.upgrade, conninfo)


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Build the house, set everything going, and stop it gracefully at the end."""
    async with open_ground(settings) as ground, AsyncExitStack() as stack:
        house = await _build(ground, stack)
        await house.subscribers.prepare()
        await housekeeping.make_room(house.database)
        _start(house, ground.embedded)
        stack.push_async_callback(_stop, house)
        yield house


async def _build(ground: Ground, stack: AsyncExitStack) -> House:
    """Make every part, those below first; nothing runs yet."""
    settings, database, secrets = ground.settings, ground.database, ground.secrets
    bounds = Bounds(read=settings.outward_timeout)
    outward = await stack.enter_async_context(open_client(allow=settings.outward_allow, bounds=bounds))
    to_webhooks = await stack.enter_async_context(open_client(allow=settings.outward_allow, bounds=BOUNDS))
    files = open_files(settings, database)
    media = MediaLinks(files, secrets, settings.address, ground.clock)

    log_ = Log(database)
    hub = Hub()
    signals = SignalCarrier(database, hub)
    broadcaster = Broadcaster(database, log_, hub, switchboard.frames)

    channels = open_channels(Machines(files, secrets, media.link, _mail_door(settings)))
    accounts = Accounts(database, secrets)
    unsubscribe = UnsubscribeLinks(settings.address, secrets.stable_key("conversations.unsubscribe"))
    desks = Desks(database, accounts, channels, secrets.stable_key("conversations.reply"), unsubscribe)
    receiver = Receiver(database, desks)
    reception = Reception(database, accounts, receiver.tell)
    sender = Sender(database, desks)
    jobs = Jobs(database.conninfo)
    housekeeping.schedule(jobs, database, ground.clock)
    webhooks = Webhooks(database, secrets, post_through(to_webhooks), switchboard.details)

    return House(
        settings=settings,
        database=database,
        secrets=secrets,
        clock=ground.clock,
        access=access_rules(settings),
        sign_on=_sign_on(settings, outward),
        postman=_postman(settings),
        outward=outward,
        files=files,
        media=media,
        log=log_,
        subscribers=Subscribers(database, log_, switchboard.subscribers(webhooks=webhooks)),
        hub=hub,
        broadcaster=broadcaster,
        signals=signals,
        channels=channels,
        accounts=accounts,
        desks=desks,
        unsubscribe=unsubscribe,
        receiver=receiver,
        reception=reception,
        sender=sender,
        fetcher=MediaFetcher(database, desks, files),
        webhooks=webhooks,
        idempotency=Idempotency(database, secrets),
        jobs=jobs,
        ports=Ports(reception, database, hub, files, secrets),
        crew=Crew(),
    )


def _start(house: House, embedded: EmbeddedPostgres | None) -> None:
    """Set everything going, in the order in which one leans on another."""
    crew = house.crew
    if embedded is not None:
        crew.start("postgres", embedded.supervise)
    crew.start("log", house.log.run)
    crew.start("subscribers", house.subscribers.run)
    crew.start("live", house.broadcaster.run)
    crew.start("signals", house.signals.run)
    crew.start("receiver", house.receiver.run)
    crew.start("sender", house.sender.run)
    crew.start("accounts", Checker(house.database, house.accounts, house.channels).run)
    crew.start("media", house.fetcher.run)
    crew.start("snoozes", lambda: end_snoozes(house.database, house.clock))
    crew.start("webhooks", house.webhooks.run)
    for name, channel in house.channels.items():
        if isinstance(channel, RunsDoor):
            door = channel
            crew.start(f"channel:{name}", lambda door=door: door.run(house.ports))  # type: ignore[misc]
    crew.start("letters", lambda: keep_posting(house.database, house.secrets, house.postman, clock=house.clock))
    crew.start("jobs", house.jobs.run)


async def _stop(house: House) -> None:
    """Let nobody in any more, write down what is on its way, and let go; nothing may hold us up for long."""
    steps: Mapping[str, Callable[[], Awaitable[None]]] = {
        "crew": house.crew.stop,
        "reception": house.reception.drain,
        "sender": lambda: house.sender.drain(seconds=_ON_ITS_WAY),
    }
    for name, step in steps.items():
        try:
            async with asyncio.timeout(_ON_ITS_WAY + 0.5):
                await step()
        except (TimeoutError, Unavailable) as cut:
            log.warning("house.cut_short", step=name, error=type(cut).__name__)
    log.info("house.stopped")


def _mail_door(settings: Settings) -> Listener | None:
    """Return where mail servers hand mail over, if the operator wants that."""
    if settings.mail_port is None:
        return None
    return Listener(settings.mail_protocol, settings.mail_host, settings.mail_port)


def open_secrets(settings: Settings) -> Secrets:
    """Return the keys: those of the settings, else those of the file (made at the first start)."""
    if settings.secret_key is not None:
        return Secrets.from_text(settings.secret_key.get_secret_value())
    key, wanted = settings.data / "secret.key", settings.data / KEY_WANTED
    if wanted.exists() and not key.exists():
        raise KeyMissing(
            f"This was restored without its secret key. Put your copy at {key}, or start once with"
            " `onethread serve --new-key`: the secrets of the accounts must then be given anew."
        )
    wanted.unlink(missing_ok=True)
    return Secrets.from_file(key)


def give_up_old_key(settings: Settings) -> None:
    """Let the next start make a fresh key where a restore wanted the old one."""
    (settings.data / KEY_WANTED).unlink(missing_ok=True)


def open_files(settings: Settings, database: Database) -> Files:
    """Return the file store the settings name."""
    place = settings.files_url or (settings.data / "files").resolve()
    return Files.at(database, place, most=settings.files_max_mb * 1_000_000)


def access_rules(settings: Settings) -> AccessRules:
    """Return what the operator decided about signing in."""
    return AccessRules(
        public_url=settings.address,
        session_idle=timedelta(hours=settings.session_hours),
        oidc=_oidc(settings),
    )


def _oidc(settings: Settings) -> OidcProvider | None:
    if settings.oidc_issuer is None or not settings.oidc_client_id or settings.oidc_client_secret is None:
        return None
    return OidcProvider(
        issuer=str(settings.oidc_issuer).rstrip("/"),
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        name=settings.oidc_label,
    )


def _sign_on(settings: Settings, outward: httpx.AsyncClient) -> SignOn | None:
    provider = _oidc(settings)
    if provider is None:
        return None
    return SignOn(provider, outward, redirect_uri=f"{settings.address}/api/v1/session/oidc/callback")


def _postman(settings: Settings) -> Postman | None:
    if settings.smtp_host is None:
        return None
    return SmtpPostman(
        settings.smtp_host,
        settings.smtp_port,
        sender=settings.smtp_sender or settings.smtp_user or "",
        sender_name=settings.smtp_sender_name,
        username=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        security=settings.smtp_security,
    )
