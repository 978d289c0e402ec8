"""Rings and senders in the rooms of rig.namespaces, usable from the test's own process."""

from __future__ import annotations

import dataclasses
import socket
import struct

from rig.namespaces import Room

from vittne.capture.ring import RingHandle, open_ring
from vittne.capture.ringsize import RingSize

# An Ethernet type for experiments (IEEE 802): nothing answers to it, nothing else sends it.
EXPERIMENT = 0x88B5
HEADER = bytes.fromhex("020000000002020000000001") + struct.pack("!H", EXPERIMENT)


def ring_in(room: Room, interface: str, size: RingSize, **options: bool) -> RingHandle:
    """Open a ring in a room; the handle's descriptor is one of this process."""

    def opened() -> tuple[RingHandle, list[int]]:
        handle = open_ring(interface, size, **options)
        return handle, [handle.fd]

    handle, (fd,) = room.open(opened)
    made: RingHandle = dataclasses.replace(handle, fd=fd)
    return made


def sender_in(room: Room, interface: str) -> socket.socket:
    """Open a socket that sends whole frames out of an interface of a room, blocking."""

    def opened() -> tuple[None, list[int]]:
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind((interface, 0))
        return None, [sender.detach()]

    _, (fd,) = room.open(opened)
    return socket.socket(fileno=fd)


def frame(number: int, size: int = 214) -> bytes:
    """Return an Ethernet frame of this size that says its number, filled so that a shift would be seen."""
    body = struct.pack("!Q", number)
    filling = bytes((number + i) & 0xFF for i in range(max(0, size - len(HEADER) - len(body))))
    return HEADER + body + filling


def number_of(data: bytes) -> int:
    """Return what frame() was given."""
    return int(struct.unpack_from("!Q", data, len(HEADER))[0])
