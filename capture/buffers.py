"""Packets that lie in several buffers, read as if they lay in one.

Each ring, and the slab that files are read into, gets a range of one line of addresses; so a
column of offsets may point into any of them, and the usual case, one buffer, costs nothing more.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, Bytes

_SPACING: Final = 1 << 40  # far above the largest ring
_SIDE: Final = 0  # the first range is for bytes that are copied aside


class Buffers:
    """A line of addresses over buffers. Address = base of the buffer + offset in it."""

    def __init__(self) -> None:
        self._buffers: list[Bytes] = [np.zeros(1 << 12, np.uint8)]
        self._base: dict[int, int] = {}
        self._side_used = 16  # records are read from 16 bytes before a packet

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
            addresses[row] = self._side_used
            self._side_used += size + 16
        return addresses

    def forget_side(self) -> None:
        """Give the side buffer back; only when no row points into it any more."""
        if self._side_used > 16:
            self._buffers[_SIDE] = np.zeros(1 << 12, np.uint8)
            self._side_used = 16

    def take(self, address: I64, width: int) -> Bytes:
        """Return (n, width) uint8: the bytes at each address, in a fresh array.

        width may reach past the end of a buffer: what is not there is zero.
        """
        if not len(address):
            return np.zeros((0, width), np.uint8)
        low, high = int(address.min()) // _SPACING, int(address.max()) // _SPACING
        if low == high:
            return _windows(self._buffers[low], address - low * _SPACING, width)
        out = np.empty((len(address), width), np.uint8)
        which = address // _SPACING
        for number in np.unique(which).tolist():
            rows = which == number
            out[rows] = _windows(self._buffers[number], address[rows] - number * _SPACING, width)
        return out

    def bytes_at(self, address: int, length: int) -> bytes:
        number, offset = divmod(address, _SPACING)
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
