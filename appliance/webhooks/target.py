"""Where a webhook may go: nowhere that this machine reaches and the one who wrote the address may not.

An address is checked when it is written, and once more at each try: each address that its name has at that moment is
looked at just before the socket to it is opened: what was checked is what is connected to, without a second look-up.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from vittne.appliance.store.errors import StoreError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_URL_LIMIT: Final = 2000
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


class NotAllowed(StoreError):
    """An address that webhooks may not go to."""


class RefusedAddress(OSError):
    """The name has an address that webhooks may not go to."""


def check_url(url: str, networks: Sequence[Network] = (), plain_http: bool = False) -> str:
    """Return a webhook's address if it may be one, as far as it says itself. Raises NotAllowed."""
    if len(url) > _URL_LIMIT or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _refused("it is too long, or has letters that no address has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("it cannot be read") from None
    if parts.scheme != "https" and not (plain_http and parts.scheme == "http"):
        raise _refused("it must begin with https://")
    if not parts.hostname or port == 0:
        raise _refused("it names no host")
    if parts.username is not None or parts.password is not None:
        raise _refused("it has a name or password in it")
    if parts.fragment:
        raise _refused("it has a #fragment, which is never sent")
    if (literal := _literal(parts.hostname)) is not None and not is_allowed(literal, networks):
        raise _refused("it is not on the internet, and webhooks.networks does not allow it")
    return url


def _refused(why: str) -> NotAllowed:
    return NotAllowed("a webhook may not go to this address", why, "give another one, or ask who configures")


def _literal(host: str) -> Address | None:
    """Return the address that a host is, in any way of writing that the system's own look-up takes (0x7f.1)."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def is_allowed(address: Address, networks: Iterable[Network] = (), own: bool | None = None) -> bool:
    """Say whether a webhook may go to an address. own: whether it is this machine's; None: ask the system.

    >>> is_allowed(ipaddress.ip_address("127.0.0.1")), is_allowed(ipaddress.ip_address("9.9.9.9"), own=False)
    (False, True)
    """
    inner = _inside(address)
    if any(inner in network for network in networks if network.version == inner.version):
        return True
    if inner.version == 6 and inner.is_site_local:  # fec0::/10: left, and still routed in some houses (RFC 3879)
        return False
    if not inner.is_global or inner.is_multicast or inner.is_reserved or inner.is_unspecified:
        return False
    return not (is_own(inner) if own is None else own)


def _inside(address: Address) -> Address:
    """Return the address that a packet to this one would reach behind the ways of writing IPv4 in IPv6."""
    if address.version == 4:
        return address
    for inner in (address.ipv4_mapped, address.sixtofour, address.teredo and address.teredo[1]):
        if inner:
            return inner
    if any(address in network for network in (*_NAT64, _COMPATIBLE)) and int(address) >> 8:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_own(address: Address) -> bool:
    """Say whether an address is one of this machine's: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def socket_for(info: Any, networks: Sequence[Network]) -> socket.socket:
    """Return the socket that connects to a looked-up address, after a last look at it. Raises RefusedAddress."""
    family, kind, protocol, _, where = info
    if not is_allowed(ipaddress.ip_address(str(where[0]).partition("%")[0]), networks):
        raise RefusedAddress("the name has an address that webhooks may not go to")
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made
