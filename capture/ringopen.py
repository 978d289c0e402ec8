"""Opening an AF_PACKET receive ring (TPACKET_V3), with clear words for whatever is missing.

The only part of capture that needs a capability (CAP_NET_RAW), done once, by the capture
parent, which keeps the descriptor. Source: packet(7) and
Documentation/networking/packet_mmap.rst of the Linux kernel. An edge.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.capture.columns import LINK_ETHERNET, LINK_RAW
from vittne.capture.interfaces import (
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ARPHRD_NONE,
    ARPHRD_RAWIP,
    Interface,
    look_up,
    names,
)
from vittne.capture.ringsize import MIB, RingSize, memory_available

# include/uapi/linux/if_packet.h; Python's socket module has none of these.
SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_RX_RING: Final = 5
_PACKET_VERSION: Final = 10
_PACKET_IGNORE_OUTGOING: Final = 23
_TPACKET_V3: Final = 2
_PACKET_MR_PROMISC: Final = 1
_ETH_P_ALL: Final = 3
# A frame's share of a block in TPACKET_V3 is its true size; the kernel only checks that this divides.
_FRAME_SIZE: Final = 2048

# A ring may not take more than this of the available memory: the kernel would look for the rest until
# it ends other programs.
_MEMORY_LIMIT: Final = 0.8

_LINK_TYPES: Final = {
    ARPHRD_ETHER: LINK_ETHERNET,
    ARPHRD_LOOPBACK: LINK_ETHERNET,
    ARPHRD_NONE: LINK_RAW,
    ARPHRD_RAWIP: LINK_RAW,
}


class RingError(Exception):
    """A ring cannot be opened; the text says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class RingHandle:
    """An open ring: the descriptor, and what a worker needs to map it."""

    fd: int
    block_size: int
    block_count: int
    interface: str
    link_type: int = LINK_ETHERNET

    def close(self) -> None:
        """Give the ring back, with whatever is in it, once nobody maps it."""
        os.close(self.fd)


def open_ring(interface: str, size: RingSize, *, promiscuous: bool = True, outgoing: bool | None = None) -> RingHandle:
    """Open a ring on an interface; packets are collected from now on.

    outgoing: also what this machine sends. By default everywhere but on loopback, where each packet passes
    twice and is taken as it comes in. A mirror port sends nothing, a PBX that records itself sends half of
    every call, and on a dummy interface that `tc` mirrors to everything is outgoing.
    Errors: RingError.
    """
    found = _usable(interface)
    _check_size(interface, size)
    ring = _packet_socket(interface)
    try:
        ring.setsockopt(SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        _ask_for_memory(ring, interface, size)
        take_outgoing = not found.is_loopback if outgoing is None else outgoing
        ring.setsockopt(SOL_PACKET, _PACKET_IGNORE_OUTGOING, int(not take_outgoing))
        if promiscuous and not found.is_loopback:
            membership = struct.pack("=iHH8x", found.index, _PACKET_MR_PROMISC, 0)
            ring.setsockopt(SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        # The socket had protocol 0 until here: nothing came in before the ring was ready.
        ring.bind((interface, _ETH_P_ALL))
    except OSError as error:
        ring.close()
        raise RingError(f"{interface}: the kernel refuses to capture: {error.strerror}") from error
    except RingError:
        ring.close()
        raise
    return RingHandle(ring.detach(), size.block_size, size.block_count, interface, _LINK_TYPES[found.hardware])


def frame_sender(interface: str) -> socket.socket:
    """Open a socket that sends whole frames out of an interface and, of protocol 0, takes none in. Raises OSError."""
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sender.bind((interface, 0))
    except OSError:
        sender.close()
        raise
    return sender


def _usable(interface: str) -> Interface:
    found = look_up(interface)
    if found is None:
        raise RingError(f"no interface {interface!r} here; there are: {', '.join(names())}")
    if not found.is_up:
        raise RingError(f"{interface} is down; bring it up with: ip link set {interface} up")
    if found.hardware not in _LINK_TYPES:
        raise RingError(
            f"{interface} has link type {found.hardware} (ARPHRD, linux/if_arp.h), which cannot be read;"
            " these can: Ethernet, loopback, raw IP"
        )
    return found


def _check_size(interface: str, size: RingSize) -> None:
    if size.block_size % mmap.PAGESIZE or size.block_size % _FRAME_SIZE or size.block_count < 2:
        raise RingError(
            f"{interface}: a ring has 2 or more blocks of whole pages of {mmap.PAGESIZE} bytes;"
            f" asked for {size.block_count} of {size.block_size} bytes"
        )
    available = memory_available(Path("/proc/meminfo").read_text("ascii"))
    if size.size_bytes > available * _MEMORY_LIMIT:
        raise RingError(_refused(interface, size, f"{available / MIB:.0f} MiB are available"))


def _refused(interface: str, size: RingSize, reason: str) -> str:
    return (
        f"{interface}: no memory for a ring of {size.size_bytes / MIB:.0f} MiB ({size.block_count} blocks of"
        f" {size.block_size >> 10} KiB): {reason}; a smaller one carries fewer packets a second or a shorter"
        " hold-back"
    )


def _packet_socket(interface: str) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        raise RingError(
            f"{interface}: capturing needs the capability CAP_NET_RAW: run as root, or under systemd with"
            " AmbientCapabilities=CAP_NET_RAW"
        ) from error
    except OSError as error:
        raise RingError(f"{interface}: no packet socket (AF_PACKET) here: {error.strerror}") from error


def _ask_for_memory(ring: socket.socket, interface: str, size: RingSize) -> None:
    """Make the ring: struct tpacket_req3."""
    frames = size.block_size // _FRAME_SIZE * size.block_count
    request = struct.pack("=7I", size.block_size, size.block_count, _FRAME_SIZE, frames, size.retire_ms, 0, 0)
    try:
        ring.setsockopt(SOL_PACKET, _PACKET_RX_RING, request)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise RingError(_refused(interface, size, "the kernel refused it")) from error
