"""Frames and datagrams as columns: what the edges give and what the rest of capture reads.

A row is one frame or one datagram, rows are in arrival order. `data` is the whole
buffer that offsets point into (a kernel ring, or the slab ring that files are read
into); a row's bytes are data[offset : offset + length]. Arrays are views that die
when their block goes back (DESIGN 11.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]

SECOND: Final = 1_000_000_000

# Link types (the registry of pcap link types).
LINK_NULL: Final = 0
LINK_ETHERNET: Final = 1
LINK_PPP: Final = 9
LINK_RAW_12: Final = 12
LINK_RAW_14: Final = 14
LINK_RAW: Final = 101
LINK_LOOP: Final = 108
LINK_SLL: Final = 113
LINK_IPV4: Final = 228
LINK_IPV6: Final = 229
LINK_SLL2: Final = 276

# Flags of a datagram row.
CUT_BY_SNAPLEN: Final = 1
REASSEMBLED: Final = 2
TUNNELLED: Final = 4


@dataclass(slots=True)
class Block:
    """Frames as the edge saw them. All columns have n rows."""

    data: Bytes  # (size,) the whole buffer
    offset: I64  # first byte of the frame's link layer header, index into data
    captured: I64  # bytes of the frame that are there
    wire: I64  # bytes the frame had on the wire; more than captured when cut by snaplen
    at_ns: I64  # UTC, ns since 1970
    mono_ns: I64  # monotonic, ns, for order and timers; never decreases (DESIGN 11.1)
    link_type: U16  # LINK_*
    interface: U16  # number of the interface in its source, from 0

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(slots=True)
class Datagrams:
    """UDP datagrams. All columns have n rows; addresses are keys of an AddressBook."""

    data: Bytes
    at_ns: I64
    mono_ns: I64
    src: U64  # address key
    dst: U64
    sport: U16
    dport: U16
    offset: I64  # first payload byte, index into data
    length: I64  # payload bytes that are there
    flags: U8  # CUT_BY_SNAPLEN, REASSEMBLED, TUNNELLED
    interface: U16

    def __len__(self) -> int:
        return len(self.offset)


@dataclass(slots=True)
class Segments(Datagrams):
    """TCP segments: as Datagrams, with what a byte stream needs."""

    seq: U32
    tcp_flags: U8  # FIN 1, SYN 2, RST 4, PSH 8, ACK 16
