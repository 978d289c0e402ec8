"""The memory that capture files are read into: one ring of bytes, given out block by block.

A block's frames are contiguous, and a record that a read cut in two goes on where the next
read writes, so nothing is copied but the one record that lies across the end of the ring.
"""

from __future__ import annotations

import contextlib
import mmap
from collections import deque
from typing import Final

import numpy as np

from vittne.capture.columns import Block, Bytes

CHUNK: Final = 1 << 22
LEAST: Final = 4 << 20  # a smaller ring could not hold two chunks with the largest record


class SlabRing:
    """One page-aligned buffer, written at one end and given back at the other.

    The writer asks for space(), says what it put there with grow(), and gives out whole
    records with lend(). The consumer gives blocks back with release(), in order.
    """

    def __init__(self, size: int = 64 << 20) -> None:
        """size: bytes, rounded up to whole pages; at least 4 MiB."""
        size = max(LEAST, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
        # Private: Python's own default is shared memory, which gets no huge pages.
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # Huge pages save the address translations that reading headers all over costs; not
        # every kernel has them.
        with contextlib.suppress(OSError, AttributeError):
            memory.madvise(mmap.MADV_HUGEPAGE)
        self.data: Bytes = np.frombuffer(memory, np.uint8)
        self.chunk = min(CHUNK, size // 4)
        self.begin = 0  # first byte that was read and is in no block yet
        self.end = 0  # behind the last byte that was read
        self._view = memoryview(memory)
        self._lent: deque[tuple[Block, int]] = deque()

    @property
    def free(self) -> int:
        """Bytes that are neither lent nor waiting to be given out (not all of them in one piece)."""
        size = len(self.data)
        if not self._lent:
            return size - (self.end - self.begin)
        tail = self._lent[0][1]
        return tail - self.end if tail >= self.begin else size - self.end + tail

    def space(self) -> memoryview | None:
        """Return room for the next chunk, behind the bytes that wait; None until more is released."""
        if self._lent and self._lent[0][1] >= self.begin:  # wrapped: up to the oldest block
            limit = self._lent[0][1]
        else:
            limit = len(self.data)
            if limit - self.end < self.chunk and not self._wrap():
                return None
            if self._lent and self._lent[0][1] >= self.begin:
                limit = self._lent[0][1]
        return self._view[self.end : self.end + self.chunk] if limit - self.end >= self.chunk else None

    def grow(self, count: int) -> None:
        """Say that `count` bytes were put where space() pointed."""
        self.end += count

    def lend(self, block: Block, upto: int) -> None:
        """Give out the waiting bytes up to index `upto` as the memory of a block."""
        self._lent.append((block, self.begin))
        self.begin = upto

    def skip(self, upto: int) -> None:
        """Forget waiting bytes up to index `upto`: they are in no block."""
        self.begin = upto

    def release(self, block: Block) -> None:
        """Take a block's memory back. Blocks go back in the order they were given out."""
        if not self._lent or self._lent[0][0] is not block:
            raise ValueError("blocks must be released in the order in which they were read")
        self._lent.popleft()

    def _wrap(self) -> bool:
        """Move the waiting bytes to the front of the ring, if that and one chunk fit there."""
        waiting = self.end - self.begin
        limit = self._lent[0][1] if self._lent else len(self.data)
        if waiting + self.chunk > limit:
            return False
        self.data[:waiting] = self.data[self.begin : self.end].copy()
        self.begin, self.end = 0, waiting
        return True
