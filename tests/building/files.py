"""Capture files written from timed frames, without the code under test."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from building.encapsulation import LINK_ETHERNET

SECOND: Final = 1_000_000_000
Frame = tuple[int, bytes]  # at_ns (UTC), the frame


def pcap(
    frames: Iterable[Frame],
    *,
    link_type: int = LINK_ETHERNET,
    nanoseconds: bool = True,
    byte_order: str = "<",
    snaplen: int = 65_535,
) -> bytes:
    """Return a pcap file; byte_order "<" or ">", frames cut at snaplen."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    parts = [struct.pack(byte_order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type)]
    for at_ns, frame in frames:
        kept = frame[:snaplen]
        stamp = (at_ns // SECOND, at_ns % SECOND // unit)
        parts += [struct.pack(byte_order + "IIII", *stamp, len(kept), len(frame)), kept]
    return b"".join(parts)


def _block(byte_order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(byte_order + "I", len(body) + 12)
    return struct.pack(byte_order + "I", kind) + size + body + size


def pcapng(
    frames: Iterable[tuple[int, bytes, int]],
    *,
    link_types: Iterable[int] = (LINK_ETHERNET,),
    resolutions: Iterable[int] = (9,),
    byte_order: str = "<",
    snaplen: int = 0,
) -> bytes:
    """Return a pcapng file from (at_ns, frame, interface).

    link_types and resolutions have one entry an interface; a resolution is the if_tsresol
    byte: a power of ten, or of two with bit 7 set.
    """
    order = byte_order
    resolutions = tuple(resolutions)
    parts = [_block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for link_type, resolution in zip(link_types, resolutions, strict=True):
        options = struct.pack(order + "HHBxxxHH", 9, 1, resolution, 0, 0)
        parts.append(_block(order, 1, struct.pack(order + "HHI", link_type, 0, snaplen) + options))
    for at_ns, frame, interface in frames:
        resolution = resolutions[interface]
        units = 1 << (resolution & 127) if resolution & 128 else 10**resolution
        stamp = at_ns * units // SECOND
        kept = frame[:snaplen] if snaplen else frame
        head = struct.pack(order + "IIIII", interface, stamp >> 32, stamp & 0xFFFFFFFF, len(kept), len(frame))
        parts.append(_block(order, 6, head + kept))
    return b"".join(parts)


def write_pcap(path: Path, frames: Iterable[Frame], *, link_type: int = LINK_ETHERNET) -> Path:
    path.write_bytes(pcap(frames, link_type=link_type))
    return path
