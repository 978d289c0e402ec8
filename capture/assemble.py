"""RTP rows to records: the bytes that go into a recording, for all calls of a commit at once.

Packets of one padded size are copied together with the 16 bytes in front of them, which then
become the record's header; so a packet is copied once and no statement runs for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture import record
from vittne.capture.buffers import Buffers
from vittne.capture.columns import I64, U16, Bytes

_AT_ONCE: Final = 2048


@dataclass(slots=True)
class Stored:
    """Packets to be stored, grouped by call. All columns have n rows; call numbers ascend."""

    address: I64  # of the RTP header, in Buffers
    length: I64  # bytes of header and payload
    at_ns: I64
    stream: U16
    call: npt.NDArray[np.int64]  # 0 .. number of calls - 1


def records_by_call(rows: Stored, calls: int, buffers: Buffers) -> list[list[memoryview]]:
    """Return for each call the records of its packets, as one memory view a size of packet: in the arena of buffers."""
    out: list[list[memoryview]] = [[] for _ in range(calls)]
    cells = (rows.length + record.ALIGNMENT - 1) // record.ALIGNMENT
    if not len(cells):
        return out
    if int(cells.min()) == int(cells.max()):
        _one_size(rows, int(cells[0]), buffers, out)
        return out
    order = np.argsort(cells.astype(np.uint16), kind="stable")
    sizes = cells[order]
    starts = np.flatnonzero(np.concatenate(([True], sizes[1:] != sizes[:-1])))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        which = order[start:end]
        same = Stored(*(getattr(rows, f.name)[which] for f in fields(Stored)))
        _one_size(same, int(sizes[start]), buffers, out)
    return out


def _one_size(rows: Stored, cells: int, buffers: Buffers, out: list[list[memoryview]]) -> None:
    width = record.HEADER_BYTES + cells * record.ALIGNMENT
    count = len(rows.length)
    table = buffers.arena.take(count * width).reshape(count, width)
    for start in range(0, count, _AT_ONCE):  # small enough to stay in the cache until it is copied
        part = slice(start, start + _AT_ONCE)
        piece = buffers.take(rows.address[part] - record.HEADER_BYTES, width)
        _fill(piece, rows.at_ns[part], rows.length[part], rows.stream[part])
        table[part] = piece
    view = memoryview(table.reshape(-1).data).cast("B")
    starts = np.flatnonzero(np.concatenate(([True], rows.call[1:] != rows.call[:-1])))
    ends = np.append(starts[1:], count)
    for number, start, end in zip(rows.call[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        out[number].append(view[start * width : end * width])


def _fill(piece: Bytes, at_ns: I64, length: I64, stream: U16) -> None:
    """Write the headers of (k, width) records, and zeros behind their bodies."""
    header = np.empty(len(length), record.RECORD)
    header["at_ns"] = at_ns
    header["length"] = length
    header["stream"] = stream
    header["type"] = record.RTP
    header["flags"] = 0
    piece[:, : record.HEADER_BYTES] = header.view(np.uint8).reshape(-1, record.HEADER_BYTES)
    shortest = int(length.min())
    if shortest == int(length.max()):
        piece[:, record.HEADER_BYTES + shortest :] = 0
    else:  # what follows a packet in the buffer is somebody else's
        width = piece.shape[1]
        tail = np.arange(width - record.ALIGNMENT, width) - record.HEADER_BYTES
        piece[:, -record.ALIGNMENT :] *= tail < length[:, None]
