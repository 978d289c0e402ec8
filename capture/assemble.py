"""RTP rows to records: the bytes that go into a recording.

What a commit stores is first only told (which packets, of which stream); bytes are copied when they are
written, call by call. So a packet goes from the ring to the sealer through the processor's cache,
together with the 16 bytes in front of it, which become the record's header, and no statement runs for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from vittne.capture import record
from vittne.capture.buffers import Buffers
from vittne.capture.columns import I64, U16, Bytes


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets of one call that are to be stored, n rows. Their bytes lie in buffers until they are encoded."""

    address: I64  # of the RTP header, in Buffers
    length: I64  # bytes of header and payload
    at_ns: I64
    stream: U16

    def __len__(self) -> int:
        return len(self.address)

    @property
    def size_bytes(self) -> int:
        """What their records take."""
        return int((_cells(self.length).sum() + len(self)) * record.ALIGNMENT)

    def rows(self, which: slice | I64) -> Packets:
        """Return some of the rows."""
        return Packets(*(getattr(self, f.name)[which] for f in fields(Packets)))


def join(parts: Sequence[Packets]) -> Packets:
    """Return the packets of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Packets(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Packets)))


def encode(packets: Packets, buffers: Buffers) -> list[memoryview]:
    """Return the records of packets, as one memory view a size of packet, in the order of their rows inside each."""
    if not len(packets):
        return []
    cells = _cells(packets.length)
    if int(cells.min()) == int(cells.max()):
        return [_one_size(packets, int(cells[0]), buffers)]
    order = np.argsort(cells.astype(np.uint16), kind="stable")
    sizes = cells[order]
    starts = np.flatnonzero(np.concatenate(([True], sizes[1:] != sizes[:-1]))).tolist()
    return [
        _one_size(packets.rows(order[start:end]), int(sizes[start]), buffers)
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True)
    ]


def _cells(length: I64) -> I64:
    """Return how many times 16 bytes a body takes."""
    return (length + (record.ALIGNMENT - 1)) // record.ALIGNMENT


def _one_size(packets: Packets, cells: int, buffers: Buffers) -> memoryview:
    table = buffers.take(packets.address - record.HEADER_BYTES, record.HEADER_BYTES + cells * record.ALIGNMENT)
    _fill(table, packets.at_ns, packets.length, packets.stream)
    return memoryview(table.reshape(-1).data).cast("B")


def _fill(table: Bytes, at_ns: I64, length: I64, stream: U16) -> None:
    """Write the headers of (n, width) records, and zeros behind their bodies."""
    header = np.empty(len(length), record.RECORD)
    header["at_ns"] = at_ns
    header["length"] = length
    header["stream"] = stream
    header["type"] = record.RTP
    header["flags"] = 0
    table[:, : record.HEADER_BYTES] = header.view(np.uint8).reshape(-1, record.HEADER_BYTES)
    shortest = int(length.min())
    if shortest == int(length.max()):
        table[:, record.HEADER_BYTES + shortest :] = 0
    else:  # what follows a packet in the buffer is somebody else's
        width = table.shape[1]
        tail = np.arange(width - record.ALIGNMENT, width) - record.HEADER_BYTES
        table[:, -record.ALIGNMENT :] *= tail < length[:, None]
