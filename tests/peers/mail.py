"""Real mail servers on this machine: Postfix, Dovecot and two OpenDKIMs with folders and ports of their own.

`shop.test` is ours: Postfix hands its mail to our listener. `cust.test` are the customers: their mail lies in
Dovecot. `refuses.test` belongs to a server that a test runs itself.
"""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imap_tools
import pytest

NEEDED = {"postfix": "postfix", "dovecot": "dovecot-imapd dovecot-lmtpd", "opendkim": "opendkim opendkim-tools"}
PASSWORD = "secret"  # Dovecot here lets everybody in with it
AUTHSERV = "mx.shop.test"


def missing() -> str | None:
    """Say why there can be no mail servers here, or nothing."""
    if os.geteuid() != 0:
        return "real mail servers need root: Postfix and Dovecot change users"
    absent = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    return f"not installed: {' '.join(absent)}" if absent else None


@dataclass(frozen=True, slots=True)
class MailServers:
    """Where the running servers listen."""

    folder: Path
    mx: int  # Postfix; OpenDKIM verifies what comes in here
    submission: int  # Postfix; OpenDKIM signs what goes out here
    imap: int
    listener: int  # where we must listen by LMTP
    refusing: int  # where a server of the test gets the mail for refuses.test
    keys: dict[str, Path]  # private DKIM keys (PEM) by domain, selector `s1`

    def public_key(self, name: bytes | str, timeout: int = 5) -> bytes | None:
        """Answer a DNS question for a DKIM key from the files."""
        asked = (name.decode() if isinstance(name, bytes) else name).rstrip(".")
        selector, _, domain = asked.partition("._domainkey.")
        return _dns_text(self.folder, domain) if selector == "s1" and domain in self.keys else None

    def mails(self, user: str) -> list[bytes]:
        """Return what lies in a mailbox, the oldest first."""
        with imap_tools.MailBoxUnencrypted("127.0.0.1", self.imap, timeout=10).login(user, PASSWORD) as box:
            return [bytes(mail.obj) for mail in box.fetch(mark_seen=False)]

    def log(self) -> str:
        """Return what the servers wrote, for a failing test to show."""
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in self.folder.glob("*.log"))


@contextmanager
def mail_servers(folder: Path) -> Iterator[MailServers]:
    """Run the servers in a folder everybody may enter; skip, saying why, where they cannot run."""
    if reason := missing():
        pytest.skip(reason)
    ports = _free_ports(9)
    servers = MailServers(
        folder=folder,
        mx=ports[0],
        submission=ports[1],
        imap=ports[2],
        listener=ports[3],
        refusing=ports[4],
        keys={domain: folder / "dkim" / f"{domain}.private" for domain in ("shop.test", "cust.test")},
    )
    lmtp, signer, verifier = ports[5:8]
    _make_keys(folder, servers)
    _write_opendkim(folder, servers, signer, verifier)
    _write_dovecot(folder, servers, lmtp)
    _write_postfix(folder, servers, lmtp, signer, verifier)
    programs = [
        ("opendkim", "-f", "-x", str(folder / "signer.conf")),
        ("opendkim", "-f", "-x", str(folder / "verifier.conf")),
        ("dovecot", "-F", "-c", str(folder / "dovecot.conf")),
    ]
    with (folder / "programs.log").open("ab") as log:
        running = [subprocess.Popen(program, stdout=log, stderr=subprocess.STDOUT) for program in programs]
    postfix = ["postfix", "-c", str(folder / "postfix")]
    try:
        subprocess.run([*postfix, "start"], check=True, capture_output=True, timeout=30)
        for port in (servers.mx, servers.submission, servers.imap, lmtp, signer, verifier):
            _wait_for(port, servers)
        yield servers
    finally:
        subprocess.run([*postfix, "stop"], capture_output=True, timeout=30, check=False)
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=10)


async def until(found: Callable[[], object], *, seconds: float = 40, why: Callable[[], str] = str) -> None:
    """Wait until something is so, looking in a thread; fail with `why` when it takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await asyncio.to_thread(found):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"it did not happen within {seconds} s\n{why()}")


# ---------------------------------------------------------------- set-up


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for(port: int, servers: MailServers) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"a mail server did not start\n{servers.log()}")


def _make_keys(folder: Path, servers: MailServers) -> None:
    keys = folder / "dkim"
    keys.mkdir()
    for domain, path in servers.keys.items():
        subprocess.run(
            ["opendkim-genkey", "-b", "2048", "-s", domain, "-d", domain, "-D", str(keys)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert path.exists()
        shutil.chown(path, "opendkim")
    keys.chmod(0o755)
    public = "".join(f"s1._domainkey.{domain} {_dns_text(folder, domain).decode()}\n" for domain in servers.keys)
    (keys / "public").write_text(public)


def _dns_text(folder: Path, domain: str) -> bytes:
    """Read the quoted strings of the zone file that opendkim-genkey wrote."""
    return b"".join((folder / "dkim" / f"{domain}.txt").read_bytes().split(b'"')[1::2])


def _write_opendkim(folder: Path, servers: MailServers, signer: int, verifier: int) -> None:
    common = "UserID opendkim\nBackground no\nRequireSafeKeys no\nSyslog no\nUMask 022\n"
    (folder / "signer.conf").write_text(
        f"{common}Mode s\nSocket inet:{signer}@127.0.0.1\nDomain shop.test\nSelector s1\n"
        f"KeyFile {servers.keys['shop.test']}\nCanonicalization relaxed/relaxed\nInternalHosts 127.0.0.1\n"
        "OversignHeaders From\nSignHeaders *,+list-unsubscribe,+list-unsubscribe-post\n"
    )
    # Loopback counts as foreign here, so that what we signed is verified.
    (folder / "verifier.conf").write_text(
        f"{common}Mode v\nSocket inet:{verifier}@127.0.0.1\nInternalHosts 192.0.2.1\n"
        f"AuthservID {AUTHSERV}\nAlwaysAddARHeader yes\nRemoveARFrom {AUTHSERV}\n"
        f"TestPublicKeys {folder / 'dkim' / 'public'}\n"
    )


def _write_dovecot(folder: Path, servers: MailServers, lmtp: int) -> None:
    mail = pwd.getpwnam("mail")
    for name in ("maildir", "dovecot"):
        (folder / name).mkdir()
    shutil.chown(folder / "maildir", "mail", "mail")
    (folder / "dovecot.conf").write_text(f"""
base_dir = {folder}/dovecot/run
state_dir = {folder}/dovecot/state
listen = 127.0.0.1
protocols = imap lmtp
ssl = no
disable_plaintext_auth = no
log_path = {folder}/dovecot.log
mail_location = maildir:{folder}/maildir/%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
recipient_delimiter = +
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={mail.pw_uid} gid={mail.pw_gid} home={folder}/maildir/%u allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {servers.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@shop.test
  auth_username_format = %Lu
}}
""")


def _write_postfix(folder: Path, servers: MailServers, lmtp: int, signer: int, verifier: int) -> None:
    conf = folder / "postfix"
    for name in ("postfix", "spool", "postfix-data"):
        (folder / name).mkdir()
    shutil.chown(folder / "postfix-data", "postfix")
    (conf / "transport").write_text(
        f"shop.test lmtp:inet:127.0.0.1:{servers.listener}\nrefuses.test smtp:[127.0.0.1]:{servers.refusing}\n"
    )
    (conf / "customers").write_text("ana@cust.test x\nbruno@cust.test x\nbox@cust.test x\n")
    (conf / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/postfix-data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = {AUTHSERV}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
relay_domains = shop.test, refuses.test
virtual_mailbox_domains = cust.test
virtual_mailbox_maps = texthash:{conf}/customers
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
transport_maps = texthash:{conf}/transport
default_transport = error:5.1.2 no outside world
recipient_delimiter = +
enable_long_queue_ids = yes
message_size_limit = 80000000
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
maximal_queue_lifetime = 20s
bounce_queue_lifetime = 20s
milter_default_action = tempfail
smtpd_tls_security_level = none
smtp_dns_support_level = disabled
smtp_host_lookup = native
""")
    services = "\n".join(line for line in _MASTER.strip().splitlines())
    (conf / "master.cf").write_text(
        f"127.0.0.1:{servers.mx} inet n - n - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:{verifier}\n"
        f"127.0.0.1:{servers.submission} inet n - n - - smtpd\n  -o smtpd_milters=inet:127.0.0.1:{signer}\n{services}\n"
    )


_MASTER = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 2 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
