"""Reading header fields of many packets at once, wherever they lie in a buffer.

A buffer is looked at as if an item of `width` bytes began at every byte: one indexing
operation then copies the headers of all rows into one dense matrix. Measured with numpy
2.4: 4 ns a row for up to 64 bytes and any alignment, where one gather of a single
unaligned integer already costs 3.5 ns. Index with [], not with take(): take() first makes
the overlapping view contiguous, which copies the buffer `width` times over.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, Bytes

BE16: Final = np.dtype(">u2")
BE32: Final = np.dtype(">u4")


def windows(data: Bytes, dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
    """Return a view of data in which element i is the item that begins at byte i."""
    item = np.dtype(dtype)
    count = max(0, len(data) - item.itemsize + 1)
    return np.ndarray(shape=(count,), dtype=item, buffer=data, strides=(1,))


def headers(data: Bytes, at: I64, width: int) -> Bytes:
    """Return (n, width) uint8: the bytes data[at : at + width] of every row, in a fresh array.

    at: (n,) int64, 0 <= at. What lies behind the end of data reads as zero, so a caller
    has to compare lengths before it believes a field; it never has to fear an index.
    """
    if not len(at):
        return np.zeros((0, width), np.uint8)
    last = len(data) - width
    if int(at.max()) <= last:
        return windows(data, f"V{width}")[at].view(np.uint8).reshape(-1, width)
    # Rows at the very end: the last bytes once more, with zeros behind them.
    inside = at <= last
    out = np.zeros((len(at), width), np.uint8)
    out[inside] = headers(data, at[inside], width)
    begin = max(0, last + 1)
    tail = np.concatenate((data[begin:], np.zeros(2 * width, np.uint8)))
    out[~inside] = headers(tail, np.minimum(at[~inside] - begin, len(data) - begin), width)
    return out


def be16(header: Bytes, at: int) -> I64:
    """Return (n,) int64: the big-endian 16-bit field at byte `at` of a header matrix."""
    return header[:, at : at + 2].view(BE16)[:, 0].astype(np.int64)


def be32(header: Bytes, at: int) -> I64:
    """Return (n,) int64: the big-endian 32-bit field at byte `at` of a header matrix."""
    return header[:, at : at + 4].view(BE32)[:, 0].astype(np.int64)
