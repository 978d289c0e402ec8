"""Frames of a TPACKET_V3 ring as columns: walking chains of packet headers without a loop over packets.

The kernel fills a block with packets of different sizes and leaves in each header the
distance to the next one, so a packet's place is known only from the one before it.
Source: include/uapi/linux/if_packet.h and Documentation/networking/packet_mmap.rst of
the Linux kernel. Pure: takes the mapped memory as an array, never changes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, SECOND, U32, Bytes

# struct tpacket_block_desc with tpacket_hdr_v1 inside.
BLOCK_HEADER: Final = np.dtype(
    [
        ("version", "<u4"),
        ("private", "<u4"),
        ("status", "<u4"),
        ("packets", "<u4"),
        ("first", "<u4"),  # bytes from the block's start to its first packet header
        ("length", "<u4"),
        ("sequence", "<u8"),  # from 1, one more for every block opened
    ]
)

# struct tpacket3_hdr, the part that is read.
PACKET_HEADER: Final = np.dtype(
    [
        ("next", "<u4"),  # bytes to the next packet header; 0 in a block's last packet
        ("sec", "<u4"),
        ("nsec", "<u4"),
        ("captured", "<u4"),
        ("wire", "<u4"),
        ("status", "<u4"),
        ("frame", "<u2"),  # tp_mac: bytes to the link layer header
        ("network", "<u2"),
        ("rxhash", "<u4"),
    ]
)

# The kernel aligns packet headers to this (V3_ALIGNMENT).
ALIGNMENT: Final = 8

# Candidates looked at per guess, and the mean run below which guessing costs more than it saves.
# Measured, ns a packet with 32 blocks in hand: equal packets 17 (lockstep alone 26), one in 200 of
# another size 33 (40), sizes at random 38 (40).
GUESS: Final = 64
WORTHWHILE: Final = 16


@dataclass(frozen=True, slots=True)
class Frames:
    """Columns of n frames; offsets index the array that was walked."""

    offset: I64
    captured: I64
    wire: I64
    at_ns: I64


class Chains:
    """The mapped memory, seen so that a header is one item at any multiple of ALIGNMENT."""

    def __init__(self, memory: Bytes) -> None:
        self._end = len(memory) // ALIGNMENT - PACKET_HEADER.itemsize // ALIGNMENT
        shape = (self._end + 1,)
        # Opaque items are gathered whole, 4 ns each; fields would be copied one by one, 48 ns.
        opaque = f"V{PACKET_HEADER.itemsize}"
        self._headers: npt.NDArray[Any] = np.ndarray(shape, opaque, buffer=memory.data, strides=(ALIGNMENT,))
        self._next: U32 = np.ndarray(shape, "<u4", buffer=memory.data, strides=(ALIGNMENT,))

    def walk(self, first: I64, packets: I64) -> I64:
        """Return where every packet header is, block after block, in bytes.

        first: (b,) byte offset of each block's first header, a multiple of ALIGNMENT.
        packets: (b,) packets in each block, 0 allowed.
        Returns (sum of packets,) int64.
        """
        out = np.empty(int(packets.sum()), np.int64)
        to = np.cumsum(packets) - packets
        some = packets > 0
        at, to, left = first[some] // ALIGNMENT, to[some], packets[some].astype(np.int64)
        at, to, left = self._guess_runs(at, to, left, out)
        self._walk_in_lockstep(at, to, left, out)
        return out * ALIGNMENT

    def _guess_runs(self, at: I64, to: I64, left: I64, out: I64) -> tuple[I64, I64, I64]:
        """Advance every block by runs of equal distance, as long as runs are long.

        Most packets of a voice network have one size: suppose that the next GUESS distances are
        like the first, and check.
        """
        steps = np.arange(GUESS)
        while len(at):
            distance = self._next[at]
            ahead = at[:, None] + (distance // ALIGNMENT).astype(np.int64)[:, None] * steps
            # Beyond a block's last packet a guess may point past the memory; `run` leaves it out.
            np.minimum(ahead, self._end, out=ahead)
            same = self._next[ahead] == distance[:, None]
            run = np.minimum(np.where(same.all(axis=1), GUESS, same.argmin(axis=1)), left)
            inside = steps < run[:, None]
            out[(to[:, None] + steps)[inside]] = ahead[inside]
            at = at + (distance // ALIGNMENT) * run
            to = to + run
            left = left - run
            more = left > 0
            at, to, left = at[more], to[more], left[more]
            if run.mean() < WORTHWHILE:
                break
        return at, to, left

    def _walk_in_lockstep(self, at: I64, to: I64, left: I64, out: I64) -> None:
        """Advance all blocks by one packet at a time, whatever the packets' sizes.

        What a step costs hardly depends on the number of blocks, and a read has as many steps as its
        fullest block has packets: with ten reads a second about one per cent of a core, at any load.
        """
        while len(at):
            steps = int(left.min())
            places = np.empty((steps, len(at)), np.int64)
            for row in places:
                row[:] = at
                at = at + self._next[at] // ALIGNMENT
            out[to + np.arange(steps)[:, None]] = places
            more = left > steps
            at, to, left = at[more], to[more] + steps, left[more] - steps

    def frames(self, headers: I64) -> Frames:
        """Return the columns of the packets whose headers are at these byte offsets: (n,) int64."""
        rows = self._headers[headers // ALIGNMENT].view(PACKET_HEADER)
        return Frames(
            offset=headers + rows["frame"],
            captured=rows["captured"].astype(np.int64),
            wire=rows["wire"].astype(np.int64),
            at_ns=rows["sec"].astype(np.int64) * SECOND + rows["nsec"],
        )
