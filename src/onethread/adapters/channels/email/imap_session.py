"""One connection to an IMAP server, in a thread of its own: the protocol library blocks."""

import asyncio
import imaplib
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Self, TypeVar

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError

from onethread.adapters.channels.email.client import Server
from onethread.adapters.channels.email.mailbox import MAX_MAIL, Imap

T = TypeVar("T")

TIMEOUT: Final = 60.0  # seconds a server may be silent
IDLE_SECONDS: Final = 270.0  # servers end an IDLE after 29 minutes, some address translators after five
POLL_SECONDS: Final = 30.0  # between looks where the server knows no IDLE
_STOP_SECONDS: Final = 1.0  # how soon a waiting thread hears that it should stop


class Session:
    """The blocking side: every call may raise OSError, IMAP4.error or ImapToolsError."""

    def __init__(self, imap: Imap, stop: threading.Event) -> None:
        self._stop = stop
        self._box = connect(imap)
        status = self._box.folder.status(imap.folder, ["UIDVALIDITY", "UIDNEXT"])
        self.validity = status["UIDVALIDITY"]
        self.next_uid = status["UIDNEXT"]

    def uids(self, criteria: str, *, upto: int) -> list[int]:
        """Return the mails a search finds, up to a UID, in order."""
        return sorted(uid for uid in map(int, self._box.uids(criteria)) if uid <= upto)

    def uids_after(self, last: int) -> list[int]:
        """Return the mails that came after a UID. A server answers `n:*` with the last mail even below n."""
        return sorted(uid for uid in map(int, self._box.uids(f"UID {last + 1}:*")) if uid > last)

    def raw(self, uid: int) -> bytes | str:
        """Return a mail as it lies there, unread as before; or in words why it cannot be had."""
        size = self._size(uid)
        if size is not None and size > MAX_MAIL:
            return f"This mail is larger than {MAX_MAIL >> 20} MiB."
        try:
            word, data = self._box.client.uid("fetch", str(uid), "(BODY.PEEK[])")
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as refused:
            return f"The mail server does not hand out this mail: {refused}"[:300]
        for item in data or ():
            if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], bytes):
                return item[1]
        return f"The mail server does not hand out this mail ({word})."

    def wait(self) -> None:
        """Return when something may have come, when it is time to look, or when we shall stop."""
        if self._box.client.response("EXISTS")[1] != [None]:
            return  # told beside the answer to our last question: IDLE would not tell it again
        if "IDLE" not in self._box.client.capabilities:
            self._stop.wait(POLL_SECONDS)
            return
        self._box.idle.start()  # type: ignore[no-untyped-call]
        until = time.monotonic() + IDLE_SECONDS
        try:
            while time.monotonic() < until and not self._stop.is_set():
                if self._box.idle.poll(timeout=_STOP_SECONDS):
                    break
        finally:
            self._box.idle.stop()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        hang_up(self._box)

    def _size(self, uid: int) -> int | None:
        try:
            _, data = self._box.client.uid("fetch", str(uid), "(RFC822.SIZE)")
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            return None
        text = b" ".join(item for item in data or () if isinstance(item, bytes))
        _, _, after = text.partition(b"RFC822.SIZE ")
        digits = after.partition(b")")[0].partition(b" ")[0]
        return int(digits) if digits.isdigit() else None


def connect(imap: Imap) -> BaseMailBox:
    """Connect, log in and open the folder."""
    server = imap.server
    box = _open(server)
    try:
        log_in = box.login if (server.user + server.password).isascii() else box.login_utf8
        log_in(server.user, server.password, initial_folder=None)
        box.folder.set(imap.folder, readonly=True)
    except BaseException:
        with suppress(OSError, imaplib.IMAP4.error):
            box.client.shutdown()
        raise
    return box


def hang_up(box: BaseMailBox) -> None:
    """Log out when the server still listens, and hang up in any case."""
    with suppress(OSError, imaplib.IMAP4.error, ImapToolsError):
        box.logout()
    with suppress(OSError, imaplib.IMAP4.error):
        box.client.shutdown()


def _open(server: Server) -> BaseMailBox:
    if server.security == "none":
        return MailBoxUnencrypted(server.host, server.port, timeout=TIMEOUT)
    # Without a context of ours the library would take any certificate.
    trust = ssl.create_default_context()
    if server.security == "tls":
        return MailBox(server.host, server.port, timeout=TIMEOUT, ssl_context=trust)
    return MailBoxStartTls(server.host, server.port, timeout=TIMEOUT, ssl_context=trust)


class Desk:
    """A session with its thread: `ask` runs one call there. Leaving ends both, soon and without waiting."""

    def __init__(self, imap: Imap) -> None:
        self._imap = imap
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="imap")
        self._session: Session | None = None

    async def __aenter__(self) -> Self:
        try:
            self._session = await self._run(lambda: Session(self._imap, self._stop))
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    async def ask(self, question: Callable[[Session], T]) -> T:
        """Run a call on the session in its thread."""
        return await self._run(lambda: question(self.session))

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _leave(self) -> None:
        self._stop.set()
        if self._session is not None:
            self._thread.submit(self._session.close)
        self._thread.shutdown(wait=False)
