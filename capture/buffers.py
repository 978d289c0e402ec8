"""Packets that lie in several buffers, read as if they lay in one.

Each ring, and the slab that files are read into, gets a range of one line of addresses; so a
column of offsets may point into any of them, and the usual case, one buffer, costs nothing more.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, Bytes

_SPACING: Final = 1 << 48  # far above the largest ring, and all that is ever copied aside
_SIDE: Final = 0  # the first range is for bytes that are copied aside; its addresses go up for ever
_BEFORE: Final = 16  # bytes: records are read from that far before a packet
_SIDE_LEAST: Final = 1 << 12


class Buffers:
    """A line of addresses over buffers. Address = base of the buffer + offset in it."""

    def __init__(self) -> None:
        self._buffers: list[Bytes] = [np.zeros(_SIDE_LEAST, np.uint8)]
        self._base: dict[int, int] = {}
        self._side_begin = 0  # address of the first byte of the side buffer
        self._side_used = _BEFORE  # bytes of it

    def base(self, data: Bytes) -> int:
        """Return where a buffer's addresses begin; the buffer is kept from now on."""
        key = id(data.base) if data.base is not None else id(data)
        base = self._base.get(key)
        if base is None:
            base = len(self._buffers) * _SPACING
            self._buffers.append(data)
            self._base[key] = base
        return base

    def copy_aside(self, data: Bytes, offset: I64, length: I64) -> I64:
        """Copy rows out of a buffer that will not last; return their addresses. For rare rows."""
        addresses = np.empty(len(offset), np.int64)
        for row, (start, size) in enumerate(zip(offset.tolist(), length.tolist(), strict=True)):
            while self._side_used + size + 64 > len(self._buffers[_SIDE]):
                self._buffers[_SIDE] = np.concatenate([self._buffers[_SIDE], np.zeros_like(self._buffers[_SIDE])])
            self._buffers[_SIDE][self._side_used : self._side_used + size] = data[start : start + size]
            addresses[row] = self._side_begin + self._side_used
            self._side_used += size + _BEFORE
        return addresses

    @property
    def side_bytes(self) -> int:
        """What was copied aside and is not forgotten."""
        return self._side_used - _BEFORE

    def is_aside(self, address: int) -> bool:
        """Whether an address is of bytes that were copied aside."""
        return address < _SPACING

    def forget_side(self, before: int | None = None) -> None:
        """Give the side buffer back up to an address, or all of it: no row points there any more."""
        end = self._side_begin + self._side_used
        begin = (end if before is None else before) - _BEFORE
        if begin <= self._side_begin:
            return
        left = self._buffers[_SIDE][begin - self._side_begin : self._side_used]
        side = np.zeros(max(_SIDE_LEAST, 2 * len(left)), np.uint8)
        side[: len(left)] = left
        self._buffers[_SIDE], self._side_begin, self._side_used = side, begin, len(left)

    def _start(self, number: int) -> int:
        """Return the address of the first byte of a buffer."""
        return number * _SPACING if number else self._side_begin

    def take(self, address: I64, width: int) -> Bytes:
        """Return (n, width) uint8: the bytes at each address, in a fresh array.

        width may reach past the end of a buffer: what is not there is zero.
        """
        if not len(address):
            return np.zeros((0, width), np.uint8)
        low, high = int(address.min()) // _SPACING, int(address.max()) // _SPACING
        if low == high:
            return _windows(self._buffers[low], address - self._start(low), width)
        out = np.empty((len(address), width), np.uint8)
        which = address // _SPACING
        for number in np.unique(which).tolist():
            rows = which == number
            out[rows] = _windows(self._buffers[number], address[rows] - self._start(number), width)
        return out

    def bytes_at(self, address: int, length: int) -> bytes:
        number = address // _SPACING
        offset = address - self._start(number)
        return self._buffers[number][offset : offset + length].tobytes()


def _windows(data: Bytes, offset: I64, width: int) -> Bytes:
    room = len(data) - width
    beyond = offset > room
    if room >= 0 and not beyond.any():
        windows: npt.NDArray[np.void] = np.ndarray((room + 1,), f"V{width}", data, strides=(1,))
        return windows[offset].view(np.uint8).reshape(-1, width)
    out = np.zeros((len(offset), width), np.uint8)
    for row, start in enumerate(offset.tolist()):
        piece = data[start : start + width]
        out[row, : len(piece)] = piece
    return out
