"""What the kernel says about a network interface: state, link type, promiscuity, its own drop counters.

Asked by rtnetlink (rtnetlink(7), RTM_GETLINK) and not read from /sys/class/net, which
shows the interfaces of the namespace that it was mounted in. An edge: it asks the
kernel, and changes nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Hardware types, include/uapi/linux/if_arp.h.
ARPHRD_ETHER: Final = 1
ARPHRD_RAWIP: Final = 519
ARPHRD_LOOPBACK: Final = 772
ARPHRD_NONE: Final = 0xFFFE  # tun, WireGuard: IP packets without a header

_IFF_UP: Final = 0x1
_IFF_LOWER_UP: Final = 0x10000
_NETLINK_ROUTE: Final = 0
_RTM_GETLINK: Final = 18
_NLMSG_ERROR: Final = 2
_NLM_F_REQUEST: Final = 1
_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_LINK: Final = struct.Struct("=BxHiII")  # family, hardware type, index, flags, change
_ATTRIBUTE: Final = struct.Struct("=HH")  # length, type
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_LINKINFO: Final = 18
_IFLA_STATS64: Final = 23
_IFLA_PROMISCUITY: Final = 30
_IFLA_INFO_KIND: Final = 1
_NAME_MAX: Final = 15
_ANSWER_MAX: Final = 65536

_given: socket.socket | None = None
_asking = threading.Lock()


@dataclass(frozen=True, slots=True)
class Drops:
    """Packets that were lost before they could reach a ring, since the interface exists."""

    dropped: int  # rx_dropped: the kernel had no room or no use for it
    missed: int  # rx_missed_errors: the card's own memory was full
    fifo: int  # rx_fifo_errors
    errors: int  # rx_errors: broken frames, the ones above included by some drivers


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as it was when asked."""

    name: str
    index: int
    is_up: bool
    hardware: int  # ARPHRD_*
    mtu: int
    kind: str  # "veth", "tun", "vxlan" ...; "" for hardware and for loopback
    promiscuous: int  # how many want it so, sockets and people
    drops: Drops
    packets: int = 0  # that came in, since the interface exists
    received_bytes: int = 0  # likewise
    has_link: bool = True  # whether something is plugged in, as far as the driver says

    @property
    def is_loopback(self) -> bool:
        return self.hardware == ARPHRD_LOOPBACK


def names() -> list[str]:
    """Return the interfaces that there are, in the kernel's order."""
    return [name for _, name in socket.if_nameindex()]


def kernel_socket() -> socket.socket:
    """Return a socket on which look_up() can ask (AF_NETLINK). Raises OSError."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)


def ask_on(kernel: socket.socket) -> None:
    """Have look_up() ask on this socket from now on: for a process that may open none itself."""
    global _given  # noqa: PLW0603 - what a process may ask the kernel with is the process's
    _given = kernel


def _asked(question: bytes) -> bytes:
    if _given is not None:
        with _asking:
            _given.send(question)
            return _given.recv(_ANSWER_MAX)
    with kernel_socket() as kernel:
        kernel.send(question)
        return kernel.recv(_ANSWER_MAX)


def look_up(name: str) -> Interface | None:
    """Return what the kernel knows about an interface, None when there is none of this name.

    Errors: OSError when the kernel does not answer (a sandbox without AF_NETLINK).
    """
    if not name or "\0" in name or len(os.fsencode(name)) > _NAME_MAX:
        return None
    answer = _asked(_question(name))
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _NLMSG_ERROR:
        (code,) = struct.unpack_from("=i", answer, _HEADER.size)
        if -code == errno.ENODEV:
            return None
        raise OSError(-code, os.strerror(-code), name)
    return _read_link(answer[_HEADER.size :])


def _question(name: str) -> bytes:
    text = os.fsencode(name) + b"\0"
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(text), _IFLA_IFNAME) + text
    body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute.ljust(-(-len(attribute) // 4) * 4, b"\0")
    return _HEADER.pack(_HEADER.size + len(body), _RTM_GETLINK, _NLM_F_REQUEST, 1, 0) + body


def _read_link(body: bytes) -> Interface:
    _, hardware, index, flags, _ = _LINK.unpack_from(body)
    found = dict(_attributes(body[_LINK.size :]))
    information = dict(_attributes(found.get(_IFLA_LINKINFO, b"")))
    return Interface(
        name=_text(found[_IFLA_IFNAME]),
        index=index,
        is_up=bool(flags & _IFF_UP),
        hardware=hardware,
        mtu=_number(found.get(_IFLA_MTU, b"")),
        kind=_text(information.get(_IFLA_INFO_KIND, b"")),
        promiscuous=_number(found.get(_IFLA_PROMISCUITY, b"")),
        drops=_drops(found.get(_IFLA_STATS64, b"")),
        packets=int.from_bytes(found.get(_IFLA_STATS64, b"")[:8], "little"),
        received_bytes=int.from_bytes(found.get(_IFLA_STATS64, b"")[16:24], "little"),
        has_link=bool(flags & _IFF_LOWER_UP),
    )


def _drops(counters: bytes) -> Drops:
    """Read struct rtnl_link_stats64, of which older kernels send fewer fields."""
    values = struct.unpack_from("=16Q", counters.ljust(16 * 8, b"\0"))
    return Drops(dropped=values[6], missed=values[15], fifo=values[14], errors=values[4])


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += -(-length // 4) * 4


def _text(value: bytes) -> str:
    return os.fsdecode(value.split(b"\0", 1)[0])


def _number(value: bytes) -> int:
    return int.from_bytes(value[:4], "little")
