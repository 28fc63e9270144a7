"""Keeps tests on this machine: a socket to anywhere else is refused, with the test to blame."""

import ipaddress
import socket
import sys
from typing import Any

_LOCAL_NAMES = {"", "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback", "0.0.0.0", "::"}


class OutsideSocket(OSError):
    """A test reached for another machine."""


def _refuse(event: str, args: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = args[1]
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise OutsideSocket(f"tests may not reach {address[0]}")
    elif event == "socket.getaddrinfo" and not _is_local(args[0]):
        raise OutsideSocket(f"tests may not look up {args[0]}")


def _is_local(host: object) -> bool:
    if host is None:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name in _LOCAL_NAMES:
        return True
    if name.endswith(".localhost"):
        return True
    try:
        # Also in the spellings only the system's resolver understands, such as 2130706433.
        address = socket.inet_ntoa(socket.inet_aton(name)) if ":" not in name else name.partition("%")[0]
        found = ipaddress.ip_address(address)
    except (OSError, ValueError):
        return False
    inner = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found.is_loopback or (inner is not None and inner.is_loopback)


sys.addaudithook(_refuse)
