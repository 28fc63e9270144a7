"""Which addresses our own requests may go to: the public internet, and what the operator allows. Pure."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# Global by the registry, but a cloud's inside: the metadata and DNS address of Azure's virtual machines.
_INSIDE: Final = frozenset({ipaddress.ip_address("168.63.129.16")})


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator trusts although it is not public: host names and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[str]) -> Self:
        """Read entries such as `erp.local`, `10.0.0.0/8`, `192.168.1.7`. Raises ValueError for a wrong network."""
        hosts, networks = set(), []
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                if "/" in entry or not entry:
                    raise
                hosts.add(normal_host(entry))
        return cls(frozenset(hosts), tuple(networks))


def may_reach(host: str, addresses: Sequence[str], allowed: Allowed) -> bool:
    """Tell whether a host with these addresses may be called; one forbidden address forbids it."""
    if not addresses:
        return False
    return normal_host(host) in allowed.hosts or all(_is_open(address, allowed) for address in addresses)


def is_inner(host: str, allowed: Allowed) -> bool:
    """Tell of a host as it is written, before anything is looked up, that it may not be called."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = normal_host(host)
        return (name == "localhost" or name.endswith(".localhost")) and name not in allowed.hosts
    return not may_reach(host, [host], allowed)


def normal_host(host: str) -> str:
    return host.rstrip(".").lower()


def _is_open(text: str, allowed: Allowed) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if any(address in network for network in allowed.networks if network.version == address.version):
        return True
    return all(_is_public(each) for each in (address, *_carried(address)))


def _is_public(address: Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved or address in _INSIDE)


def _carried(address: Address) -> list[Address]:
    """Return the IPv4 addresses that hide in an IPv6 address: a gateway would take us there."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    hidden: list[Address] = [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner]
    if address.teredo:
        hidden += address.teredo
    if address in _NAT64:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return hidden
