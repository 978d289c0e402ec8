"""Memory that outlives a worker: what the next one needs to go on (DESIGN 11.4).

Two memory files, held by the parent and inherited by every worker. They are written in turn, so
one of them is always whole; each begins with a fingerprint, a number, a length and a checksum. Nothing of it
touches a disk.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

from vittne.appliance.service.shapes import fingerprint
from vittne.capture.sip.headers import NameAddr
from vittne.capture.sip.sdp import Media

_HEAD: Final = struct.Struct("<8sQQI")  # fingerprint of classes, number of the snapshot, bytes, CRC-32


# Never changed once they are made, and half of what a call's state weighs: pickled once in their lives.
_LASTING: Final = (Media, NameAddr)


class _Pieces:
    """What a pickler writes, frame by frame (64 KiB).

    write() runs in Python, and there another thread gets its turn: else a pause would wait for the whole state.
    """

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes | pickle.PickleBuffer) -> int:
        piece = bytes(data)
        self.pieces.append(piece)
        return len(piece)


class Freezer:
    """Turns a worker's state into bytes, again and again, remembering what cannot have changed."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, bytes]] = {}  # by id; the object is held, so that its id stays its own

    def freeze(self, state: Any) -> list[bytes]:
        """Return state as pieces of what pickle.loads() reads."""
        seen: dict[int, tuple[Any, bytes]] = {}

        def lasting(value: Any) -> tuple[Any, tuple[bytes]]:
            entry = self._known.get(id(value)) or (value, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
            seen[id(value)] = entry
            return pickle.loads, (entry[1],)

        out = _Pieces()
        pickler = pickle.Pickler(out, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = {**copyreg.dispatch_table, **dict.fromkeys(_LASTING, lasting)}
        pickler.dump(state)
        self._known = seen
        return out.pieces


def make_memory() -> tuple[int, int]:
    """Return two descriptors of empty memory files, closed in other programs unless passed on."""
    first, second = (os.memfd_create(f"vittne-snapshot-{n}", os.MFD_CLOEXEC) for n in range(2))
    return first, second


class Snapshots:
    """Reads and writes snapshots in a pair of descriptors; another version's are none (see service/shapes.py)."""

    def __init__(self, fds: tuple[int, int]) -> None:
        self._fds = fds
        self._magic = fingerprint()
        self._number = max((n for n, _ in self._heads()), default=0)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Keep pieces as the newest snapshot; until this returns the one before it is."""
        self._number += 1
        fd = self._fds[self._number % 2]
        os.pwrite(fd, bytes(_HEAD.size), 0)
        size = checksum = 0
        for piece in pieces:
            _write_all(fd, piece, _HEAD.size + size)
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
        os.ftruncate(fd, _HEAD.size + size)
        os.pwrite(fd, _HEAD.pack(self._magic, self._number, size, checksum), 0)

    def read(self) -> bytes | None:
        """Return the newest snapshot that is whole, None when there is none."""
        for _, fd in sorted(self._heads(), reverse=True):
            _, _, size, checksum = _HEAD.unpack(os.pread(fd, _HEAD.size, 0))
            data = _read_all(fd, size, _HEAD.size)
            if len(data) == size and zlib.crc32(data) == checksum:
                return data
        return None

    def clear(self) -> None:
        """Forget everything: the next worker begins anew."""
        for fd in self._fds:
            os.ftruncate(fd, 0)

    def _heads(self) -> list[tuple[int, int]]:
        found = []
        for fd in self._fds:
            head = os.pread(fd, _HEAD.size, 0)
            if len(head) == _HEAD.size and head[:8] == self._magic:
                found.append((_HEAD.unpack(head)[1], fd))
        return found


def _write_all(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


def _read_all(fd: int, size: int, at: int) -> bytes:
    pieces = []
    while size > 0 and (piece := os.pread(fd, size, at)):
        pieces.append(piece)
        size -= len(piece)
        at += len(piece)
    return b"".join(pieces)
