"""IP fragmentation of plain Ethernet frames, RFC 791 3.2 and RFC 8200 4.5."""

from __future__ import annotations

import struct
from typing import Final

from building.frames import checksum, ethernet, ip_of

FRAGMENT_HEADER: Final = 44


def fragments(frame: bytes, mtu: int = 576, ident: int = 1) -> list[bytes]:
    """Return the frame's IP packet in pieces of at most mtu bytes, in order; [frame] when it fits."""
    packet = ip_of(frame)
    if len(packet) <= mtu:
        return [frame]
    return _v6(packet, mtu, ident) if packet[0] >> 4 == 6 else _v4(packet, mtu, ident)


def _pieces(payload: bytes, room: int) -> list[tuple[int, bytes, bool]]:
    """(offset, bytes, more follows) with every offset a multiple of eight."""
    step = room // 8 * 8
    return [(at, payload[at : at + step], at + step < len(payload)) for at in range(0, len(payload), step)]


def _v4(packet: bytes, mtu: int, ident: int) -> list[bytes]:
    size = (packet[0] & 15) * 4
    frames = []
    for offset, piece, more in _pieces(packet[size:], mtu - size):
        head = bytearray(packet[:size])
        head[2:8] = struct.pack(">HHH", size + len(piece), ident, more << 13 | offset // 8)
        head[10:12] = b"\0\0"
        head[10:12] = struct.pack(">H", checksum(bytes(head)))
        frames.append(ethernet(bytes(head) + piece))
    return frames


def _v6(packet: bytes, mtu: int, ident: int) -> list[bytes]:
    frames = []
    for offset, piece, more in _pieces(packet[40:], mtu - 48):
        header = struct.pack(">BBHI", packet[6], 0, offset | more, ident)
        head = packet[:4] + struct.pack(">HB", len(piece) + 8, FRAGMENT_HEADER) + packet[7:40]
        frames.append(ethernet(head + header + piece))
    return frames
