"""Memory for audio that may not be kept yet: locked, in no core dump, not inherited, zeroed when given back.

Linux, mlock(2) and madvise(2). What cannot be locked is not used: there is no second best.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Final

import numpy as np

from vittne.capture.columns import Bytes

CHUNK: Final = 32 << 10
_SLAB: Final = 1 << 20
_MADV_WIPEONFORK: Final = 18  # linux/mman.h; Python's mmap has no name for it

_libc: Final = ctypes.CDLL(None, use_errno=True)


class LockedMemory:
    """Chunks of CHUNK bytes, up to limit_bytes of them in all. Slabs once locked stay ours."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.locked_bytes = 0
        self.used_bytes = 0
        self._free: list[Bytes] = []
        self._slabs: list[mmap.mmap] = []

    def take(self) -> Bytes | None:
        """Return a chunk of zeros; None when there is none left, or none that can be locked."""
        if not self._free and not self._grow():
            return None
        self.used_bytes += CHUNK
        return self._free.pop()

    def give(self, chunk: Bytes) -> None:
        """Take a chunk back, and zero it."""
        chunk[:] = 0
        self.used_bytes -= CHUNK
        self._free.append(chunk)

    def _grow(self) -> bool:
        if self.locked_bytes + _SLAB > self.limit_bytes:
            return False
        slab = mmap.mmap(-1, _SLAB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        data: Bytes = np.frombuffer(slab, np.uint8)
        address = ctypes.c_void_p(data.ctypes.data)
        if _libc.mlock(address, ctypes.c_size_t(_SLAB)):
            return False
        slab.madvise(mmap.MADV_DONTDUMP)
        _libc.madvise(address, ctypes.c_size_t(_SLAB), _MADV_WIPEONFORK)
        self._slabs.append(slab)
        self.locked_bytes += _SLAB
        self._free += [data[at : at + CHUNK] for at in range(0, _SLAB, CHUNK)]
        return True
