"""A mapped AF_PACKET receive ring (TPACKET_V3): frames of a live interface as blocks of columns.

Opening (ringopen.py) needs CAP_NET_RAW. Mapping needs only the descriptor: the ring's
memory belongs to the socket, so a worker that dies leaves every block it had not given
back, and the next worker maps the same descriptor and finds them (DESIGN 2 and 11.4).
Source: packet(7) and Documentation/networking/packet_mmap.rst of the Linux kernel. An
edge: it reads the interface and both clocks.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, Block
from vittne.capture.monotonic import ClockStep, MonotonicLine
from vittne.capture.ringopen import SOL_PACKET, RingError, RingHandle, open_ring
from vittne.capture.ringwalk import BLOCK_HEADER, Chains

__all__ = ["Ring", "RingError", "RingHandle", "RingStatistics", "Token", "open_ring"]

_PACKET_STATISTICS: Final = 6
_STATUS_KERNEL: Final = 0
_STATUS_USER: Final = 1
_STATUS_LOSING: Final = 4

# Blocks turned into one Block: enough to make numpy's cost per call small, and about 55 000 frames.
MAX_BLOCKS: Final = 64
_CLOCKS_APART_NS: Final = 20_000


@dataclass(frozen=True, slots=True)
class RingStatistics:
    """What became of packets, since this Ring was mapped, and how full the ring is now."""

    packets: int  # seen by the socket, the dropped ones included
    drops: int  # lost for want of room
    freezes: int  # how often the ring became quite full
    held: int  # blocks that the kernel cannot fill: read and not given back, or not read yet
    blocks: int

    @property
    def occupancy(self) -> float:
        """How full the ring is, 0 to 1; above ringsize.COMFORTABLE single packets can be lost already."""
        return self.held / self.blocks


@dataclass(frozen=True, slots=True)
class Token:
    """Which ring blocks a Block's rows lie in: what gives them back, and names a row's place for the journal.

    Sequence numbers count the ring's blocks from 1 and do not wrap.
    """

    seq_first: int
    seq_last: int
    starts: I64  # (blocks + 1,) the first row of each ring block, and the number of rows
    losing: bool  # the ring was full before these blocks, and statistics() was not asked since

    def position(self, row: int) -> tuple[int, int]:
        """Return a row's place: block sequence number, and number of the packet in it, from 0."""
        block = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.seq_first + block, row - int(self.starts[block])

    def row(self, sequence: int, packet: int) -> int:
        """Return the row at a place: 0 when it lies before these blocks, the number of rows when after."""
        if sequence < self.seq_first:
            return 0
        block = min(sequence - self.seq_first, len(self.starts) - 1)
        return min(int(self.starts[block]) + packet, int(self.starts[min(block + 1, len(self.starts) - 1)]))


class Ring:
    """A mapped ring: gives ready blocks as columns, in order, and takes them back, in order.

    Any number of blocks may be in the reader's hands; what is not given back is still there when the
    process dies. One Ring at a time may read a descriptor.
    """

    def __init__(self, handle: RingHandle, interface_number: int = 0, last_mono_ns: int = 0) -> None:
        """Map an open ring and go to the oldest block that was not given back.

        interface_number: for the column `interface`. last_mono_ns: monotonic time that rows may not lie
        before, when an earlier process read this ring.
        """
        self.handle = handle
        self.clock_steps: list[ClockStep] = []  # noticed while reading; the reader takes them out
        self._number = interface_number
        self._line = MonotonicLine(last_mono_ns)
        self._socket = socket.socket(fileno=os.dup(handle.fd))
        size = handle.block_size * handle.block_count
        mapped = mmap.mmap(self._socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # Voices go into no core dump and into no child process.
        mapped.madvise(mmap.MADV_DONTDUMP)
        mapped.madvise(mmap.MADV_DONTFORK)
        self._memory = np.frombuffer(mapped, np.uint8)
        self._blocks: npt.NDArray[Any] = np.ndarray(
            (handle.block_count,), BLOCK_HEADER, buffer=mapped, strides=(handle.block_size,)
        )
        self._status = self._blocks["status"]
        self._chains = Chains(self._memory)
        self._packets = self._drops = self._freezes = 0
        self._next = self._released = self._oldest()
        # A ring with blocks in the reader's hands is always "readable" to poll(2); what is wanted is an edge,
        # which the kernel gives at each retired block. An epoll descriptor can itself be polled.
        self._edge = select.epoll()
        self._edge.register(self._socket, select.EPOLLIN | select.EPOLLERR | select.EPOLLET)

    def fileno(self) -> int:
        """Return a descriptor that is readable when blocks became ready since the last wait() or read()."""
        return self._edge.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a block is ready; return whether one is."""
        end = time.monotonic() + timeout_s
        # An edge may be left from blocks that were read already, or mean that the interface went down.
        while not self.ready(1):
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._edge.poll(left)
        return True

    def ready(self, limit: int) -> int:
        """Return how many blocks, at most limit, can be read now."""
        places = self._places(self._next, min(limit, self._unread_room()))
        # The kernel sets a block's status last. Loads stay in order on x86; the calls in between keep them
        # so in practice elsewhere.
        free = np.flatnonzero((self._status[places] & _STATUS_USER) == 0)
        return int(free[0]) if len(free) else len(places)

    def read(self, max_blocks: int = MAX_BLOCKS) -> tuple[Block, Token] | None:
        """Return the next ready blocks as one Block and its Token, None when there are none.

        The Block's offsets index the whole mapped ring; its bytes stay as they are until release(token).
        """
        ready = self.ready(max_blocks)
        if not ready:
            self._edge.poll(0)  # takes the edge, so that fileno() is quiet until the next one
            ready = self.ready(max_blocks)
            if not ready:
                return None
        token, block = self._take(ready)
        return block, token

    def release(self, token: Token) -> None:
        """Give a token's blocks back to the kernel, in the order in which they came; ValueError otherwise."""
        if token.seq_first != self._released or token.seq_last >= self._next:
            raise ValueError(f"block {self._released} goes back next, not {token.seq_first}")
        for place in self._places(token.seq_first, token.seq_last + 1 - token.seq_first):
            self._status[place] = _STATUS_KERNEL
        self._released = token.seq_last + 1

    def statistics(self) -> RingStatistics:
        """Return the kernel's counters, added up: reading resets them (struct tpacket_stats_v3)."""
        counters = self._socket.getsockopt(SOL_PACKET, _PACKET_STATISTICS, 12)
        packets, drops, freezes = struct.unpack("=3I", counters)
        self._packets += packets
        self._drops += drops
        self._freezes += freezes
        held = self._next - self._released + self.ready(self.handle.block_count)
        return RingStatistics(self._packets, self._drops, self._freezes, held, self.handle.block_count)

    def trouble(self) -> str | None:
        """Return what happened to the interface since the last call, None when nothing did."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            return None
        return f"{self.handle.interface}: {os.strerror(code)}"

    def close(self) -> None:
        """Let go of the descriptor; the memory is unmapped when no Block refers to it any more.

        Blocks that were not released stay for the next Ring on this handle.
        """
        self._edge.close()
        self._socket.close()

    def _take(self, count: int) -> tuple[Token, Block]:
        first = self._next
        places = self._places(first, count)
        headers = self._blocks[places]
        packets = headers["packets"].astype(np.int64)
        frames = self._chains.frames(self._chains.walk(places * self.handle.block_size + headers["first"], packets))
        mono, step = self._line.place(frames.at_ns, *_clocks())
        if step is not None:
            self.clock_steps.append(step)
        rows = len(mono)
        block = Block(
            data=self._memory,
            offset=frames.offset,
            captured=frames.captured,
            wire=frames.wire,
            at_ns=frames.at_ns,
            mono_ns=mono,
            link_type=np.full(rows, self.handle.link_type, np.uint16),
            interface=np.full(rows, self._number, np.uint16),
        )
        self._next = first + count
        losing = bool((headers["status"] & _STATUS_LOSING).any())
        return Token(first, first + count - 1, np.concatenate([[0], np.cumsum(packets)]), losing), block

    def _places(self, sequence: int, count: int) -> I64:
        """Return where blocks with these sequence numbers lie: number 1 at 0, and so on, round and round."""
        return np.arange(sequence - 1, sequence - 1 + count) % self.handle.block_count

    def _unread_room(self) -> int:
        return self.handle.block_count - (self._next - self._released)

    def _oldest(self) -> int:
        """Return the sequence number of the oldest block that waits, or of the one the kernel fills now.

        The kernel goes on while we look; two looks alike are a true picture.
        """
        while True:
            sequence = self._blocks["sequence"].copy()
            waits = (self._status & _STATUS_USER) != 0
            if np.array_equal(sequence, self._blocks["sequence"]):
                break
        return int(sequence[waits].min() if waits.any() else sequence.max())


def _clocks() -> tuple[int, int]:
    """Return the time of day and the monotonic time of one instant, ns.

    When the process was interrupted between the two questions they are asked again, a few times.
    """
    for _ in range(5):
        mono = time.monotonic_ns()
        real = time.time_ns()
        if time.monotonic_ns() - mono < _CLOCKS_APART_NS:
            break
    return real, mono
