"""Mailboxes that are fetched: one thread each for the blocking protocol, IDLE with a poll as its net.

The state of a mailbox is its UIDVALIDITY and the last UID taken. It is saved after the receipts are committed, so
a crash between the two brings a mail twice, and its receipt, named by its bytes, is the same one.
"""

import asyncio
import imaplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from typing import Final

import msgspec
import structlog
from imap_tools.errors import ImapToolsError, MailboxFolderSelectError, MailboxLoginError

from onethread.adapters.channels.email.imap_session import Desk, Session, connect, hang_up
from onethread.adapters.channels.email.mailbox import DECLARATION, Imap, mailbox_of
from onethread.adapters.channels.email.wire.receipts import draft_of, refusal_of
from onethread.channels import actions as channels
from onethread.channels.contract import Health, ReceiptDraft
from onethread.channels.ports import Ports
from onethread.kernel.clock import utc_now
from onethread.kernel.errors import Unavailable
from onethread.kernel.ids import AccountId

_log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0  # between looks at which accounts there are
_BATCH: Final = 20
_BATCH_BYTES: Final = 8 * 1024 * 1024
_RETRY: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 120.0)
_WRONG_PASSWORD: Final = 300.0
_STUBBORN: Final = 3  # times one mail may break the connection before it is passed over

_TROUBLE: Final = (OSError, imaplib.IMAP4.error, ImapToolsError)


class State(msgspec.Struct, frozen=True):
    """How far a folder is read: to `last`. Of what is older, what `catch_up` finds after `caught` is still to come."""

    validity: int
    last: int
    catch_up: str
    since: str  # the day before the mailbox was connected, as IMAP writes days
    caught: int = 0


# ---------------------------------------------------------------- all mailboxes


async def watch_mailboxes(ports: Ports) -> None:
    """Keep a watch for every account that is fetched, as accounts come, change and go; until cancelled."""
    watches: dict[tuple[AccountId, Imap], asyncio.Task[None]] = {}
    try:
        while True:
            with suppress(Unavailable):
                await _arrange(ports, watches)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        for watch in watches.values():
            watch.cancel()
        await asyncio.gather(*watches.values(), return_exceptions=True)


async def _arrange(ports: Ports, watches: dict[tuple[AccountId, Imap], asyncio.Task[None]]) -> None:
    wanted: set[tuple[AccountId, Imap]] = set()
    for account in await ports.reception.accounts(DECLARATION.name):
        imap = mailbox_of(account).imap
        if imap is not None and imap.server.host:
            wanted.add((account.id, imap))
    for key in [key for key, watch in watches.items() if key not in wanted or watch.done()]:
        watch = watches.pop(key)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    for key in wanted - watches.keys():
        watches[key] = asyncio.create_task(watch_mailbox(ports, *key), name=f"email.imap:{key[0]}")


async def watch_mailbox(ports: Ports, account_id: AccountId, imap: Imap) -> None:
    """Fetch one mailbox until cancelled; every trouble is told as the account's health and tried again."""
    watch = _Watch(ports, account_id, imap)
    failures = 0
    while True:
        try:
            await watch.once()
        except MailboxLoginError as refused:
            await watch.tell(Health(False, _wrong_password(imap, refused)))
            await asyncio.sleep(_WRONG_PASSWORD)
        except MailboxFolderSelectError:
            await watch.tell(Health(False, f"{imap.server.host} has no folder {imap.folder}."))
            await asyncio.sleep(_WRONG_PASSWORD)
        except Unavailable:
            await asyncio.sleep(_RETRY[1])
        except _TROUBLE as trouble:
            failures = 0 if watch.took_something else failures + 1
            _log.warning("email.imap_lost", account=str(account_id), trouble=type(trouble).__name__, failures=failures)
            if failures >= 3:
                await watch.tell(Health(False, _unreachable(imap, trouble)))
            await asyncio.sleep(_RETRY[min(failures, len(_RETRY) - 1)])
        except Exception as unforeseen:  # noqa: BLE001 - a door: one mailbox must not end the others
            failures += 1
            _log.error("email.imap_failed", account=str(account_id), exc_info=unforeseen)
            await asyncio.sleep(_RETRY[min(failures, len(_RETRY) - 1)])


async def check_login(imap: Imap) -> Health:
    """Log in and open the folder, in a thread."""
    try:
        await asyncio.to_thread(_login_once, imap)
    except MailboxLoginError as refused:
        return Health(False, _wrong_password(imap, refused))
    except MailboxFolderSelectError:
        return Health(False, f"{imap.server.host} has no folder {imap.folder}.")
    except _TROUBLE as trouble:
        return Health(False, _unreachable(imap, trouble))
    return Health(True)


def _login_once(imap: Imap) -> None:
    hang_up(connect(imap))


def _wrong_password(imap: Imap, refused: MailboxLoginError) -> str:
    said = str(refused)[:200]
    return f"{imap.server.host} refused the user name or password of {imap.server.user} ({said}). Enter them again."


def _unreachable(imap: Imap, trouble: BaseException) -> str:
    where = f"{imap.server.host}:{imap.server.port}"
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return f"The certificate of {where} does not hold: {trouble.verify_message}."
    if isinstance(trouble, ssl.SSLError):
        return f"{where} does not speak TLS as set up. Choose another security."
    return f"{where} cannot be reached. It is tried again."


# ---------------------------------------------------------------- one mailbox


class _Watch:
    """One mailbox from connection to connection: what it remembers between them."""

    def __init__(self, ports: Ports, account_id: AccountId, imap: Imap) -> None:
        self._ports = ports
        self._account_id = account_id
        self._imap = imap
        self._broke: dict[int, int] = {}  # how often the line broke while a mail was fetched
        self._said: Health | None = None
        self.took_something = False

    async def once(self) -> None:
        """Connect, take what is there and then what comes, until the connection ends by an exception."""
        self.took_something = False
        async with Desk(self._imap) as desk:
            state = await self._state(desk.session)
            await self.tell(Health(True))
            while True:
                if state.catch_up:
                    older = await desk.ask(partial(Session.uids, criteria=state.catch_up, upto=state.last))
                    for some in _batches([uid for uid in older if uid > state.caught]):
                        await self._take(desk, state.validity, some)
                        state = await self._save(msgspec.structs.replace(state, caught=some[-1]))
                    state = await self._save(msgspec.structs.replace(state, catch_up=""))
                fresh = await desk.ask(partial(Session.uids_after, last=state.last))
                for some in _batches(fresh):
                    await self._take(desk, state.validity, some)
                    state = await self._save(msgspec.structs.replace(state, last=some[-1]))
                if not fresh:
                    await desk.ask(Session.wait)

    async def tell(self, health: Health) -> None:
        """Say how the mailbox does, when that is news."""
        if health != self._said:
            with suppress(Unavailable):
                await self._ports.reception.note_health(self._account_id, health)
                self._said = health

    async def _take(self, desk: Desk, validity: int, uids: Sequence[int]) -> None:
        """Fetch mails and keep them together; large ones in several goes."""
        drafts: list[ReceiptDraft] = []
        size = 0
        for uid in uids:
            drafts.append(await self._draft(desk, validity, uid))
            size += len(drafts[-1].body)
            if size >= _BATCH_BYTES:
                await self._keep(drafts)
                drafts, size = [], 0
        await self._keep(drafts)

    async def _draft(self, desk: Desk, validity: int, uid: int) -> ReceiptDraft:
        """Fetch one mail; when it cannot be had, say so in its place: it must not stop the mailbox."""
        name = f"imap:{validity}:{uid}"
        if self._broke.get(uid, 0) >= _STUBBORN:
            return refusal_of(name, f"The mail server breaks off whenever mail {uid} is fetched.")
        try:
            raw = await desk.ask(partial(Session.raw, uid=uid))
        except _TROUBLE:
            self._broke[uid] = self._broke.get(uid, 0) + 1
            raise
        if isinstance(raw, str):
            return refusal_of(name, raw)
        return await asyncio.to_thread(draft_of, raw)

    async def _keep(self, drafts: Sequence[ReceiptDraft]) -> None:
        if drafts:
            await self._ports.reception.receive(self._account_id, drafts)
            self.took_something = True

    async def _state(self, session: Session) -> State:
        """Load how far the folder is read; begin again when the server numbers its mails anew."""
        async with self._ports.database.transaction() as tx:
            saved = await channels.load_state(tx, self._account_id, self._key)
        known = msgspec.convert(saved, State) if saved is not None else None
        if known is not None and known.validity == session.validity:
            return known
        top = session.next_uid - 1
        if known is not None:
            # Old mails have new numbers: look through all since the beginning, known ones are recognised by bytes.
            _log.warning("email.uidvalidity_changed", account=str(self._account_id))
            again = "ALL" if self._imap.backlog == "all" else f"SINCE {known.since}"
            state = State(session.validity, top, again, known.since)
        else:
            # A day early: servers keep the day in a zone of their own.
            since = _imap_day((utc_now() - timedelta(days=1)).date())
            state = State(session.validity, top, _BACKLOG[self._imap.backlog], since)
        return await self._save(state)

    async def _save(self, state: State) -> State:
        async with self._ports.database.transaction() as tx:
            await channels.save_state(tx, self._account_id, self._key, msgspec.to_builtins(state))
        return state

    @property
    def _key(self) -> str:
        server = self._imap.server
        return f"imap:{server.user}@{server.host}/{self._imap.folder}"[:200]


_BACKLOG: Final = {"unseen": "UNSEEN", "all": "ALL", "new": ""}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _batches(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (uids[start : start + _BATCH] for start in range(0, len(uids), _BATCH))


def _imap_day(day: date) -> str:
    """Write a day as IMAP does, whatever language the machine speaks."""
    return f"{day.day:02}-{_MONTHS[day.month - 1]}-{day.year}"
