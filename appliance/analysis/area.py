"""Memory that two processes share, given out and taken back in order: a queue of pieces with a fixed bound."""

from __future__ import annotations

import mmap
import os
from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

_ALIGNMENT: Final = 64
HEAD_BYTES: Final = 64  # in front of the pieces: which voice is being decoded now


class Area:
    """A memory file as one process sees it. Its bytes are in no file system and go with the last who holds it."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, size)
        self.data: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self._busy = self.data[:4].view(np.uint32)

    @classmethod
    def make(cls, size: int) -> Area:
        """Return a new one of so many bytes."""
        fd = os.memfd_create("vittne-voices", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
        return cls(fd, size)

    @property
    def busy_with(self) -> int | None:
        """The voice that is being decoded at this moment; None when there is none."""
        number = int(self._busy[0])
        return number - 1 if number else None

    @busy_with.setter
    def busy_with(self, number: int | None) -> None:
        self._busy[0] = 0 if number is None else number + 1

    def close(self) -> None:
        """Give the descriptor back; the memory goes when nothing refers to it."""
        os.close(self.fd)


class Room:
    """Which bytes of an area hold pieces; the oldest goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: deque[tuple[int, int]] = deque()  # begin, end

    def take(self, count: int) -> int | None:
        """Return where count bytes are free, and take them; None when they are not."""
        count = -(-count // _ALIGNMENT) * _ALIGNMENT
        begin = HEAD_BYTES
        if self._taken:
            oldest, newest = self._taken[0][0], self._taken[-1][1]
            if newest > oldest:
                if newest + count <= self._size:
                    begin = newest
                elif HEAD_BYTES + count > oldest:
                    return None
            elif newest + count <= oldest:
                begin = newest
            else:
                return None
        if begin + count > self._size:
            return None
        self._taken.append((begin, begin + count))
        return begin

    def give_back(self) -> None:
        """Free the oldest piece."""
        self._taken.popleft()

    def give_back_newest(self) -> None:
        """Free the piece that was taken last."""
        self._taken.pop()
