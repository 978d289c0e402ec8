"""What the time line is made of: tracks of packets, seats and sides, and gaps with their reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import overload

import numpy as np
import numpy.typing as npt

from vittne.codecs.formats import STATIC, Format

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


class Side(IntEnum):
    """The column of the stereo output: the caller is left, the callee right, always (DESIGN 4)."""

    LEFT = 0
    RIGHT = 1


class PackedPayloads(Sequence[bytes]):
    """Payloads that lie in one buffer: a sequence of bytes that makes each of them when it is asked for."""

    def __init__(self, data: bytes | bytearray | memoryview, offset: I64, length: I64) -> None:
        """Take the buffer and where in it each payload is: offset and length are (n,) int64."""
        self._data = memoryview(data)
        self._offset = offset
        self._length = length

    def __len__(self) -> int:
        return len(self._offset)

    @overload
    def __getitem__(self, row: int) -> bytes: ...
    @overload
    def __getitem__(self, row: slice) -> PackedPayloads: ...
    def __getitem__(self, row: int | slice) -> bytes | PackedPayloads:
        if isinstance(row, slice):
            return PackedPayloads(self._data, self._offset[row], self._length[row])
        start = int(self._offset[row])
        return bytes(self._data[start : start + int(self._length[row])])

    def lengths(self) -> I64:
        """Return (n,) int64, the bytes in each payload."""
        return self._length

    def heads(self, rows: I64, count: int) -> U8:
        """Return (len(rows), count) uint8, the first bytes of the rows' payloads; 0 where one is shorter."""
        return first_bytes(np.frombuffer(self._data, np.uint8), self._offset[rows], self._length[rows], count)


def first_bytes(data: U8, offset: I64, length: I64, count: int) -> U8:
    """Return (n, count) uint8, the first bytes of n pieces of data; 0 where one is shorter."""
    head = np.zeros((len(offset), count), np.uint8)
    for place in range(count):
        has = length > place
        head[has, place] = data[offset[has] + place]
    return head


@dataclass(frozen=True, slots=True)
class FormatFrom:
    """What a payload type means from a time on; the last one that has begun counts."""

    from_ns: int
    format: Format


@dataclass(slots=True)
class Track:
    """Packets of one SSRC of one party. Columns have n rows, in arrival order.

    Late, repeated and reordered rows are allowed. A payload type that `formats`
    does not have is looked up in the static table.
    """

    name: str  # for notes; the stream's number or SSRC
    seat: int  # 1 caller, 2 callee, 3 and up further voices
    side: Side
    ssrc: int
    at_ns: I64  # arrival, UTC
    seq: I64  # extended
    timestamp: I64  # extended, ticks
    payload_type: U8
    payloads: Sequence[bytes]  # padding, header and extensions left out
    formats: Mapping[int, Sequence[FormatFrom]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.at_ns)

    def format_column(self) -> tuple[list[Format], I64]:
        """Return the formats in use and (n,) int64, which of them each row is in; -1 where none is known."""
        known: dict[Format, int] = {}
        column = np.full(len(self), -1, np.int64)
        for payload_type in np.unique(self.payload_type).tolist():
            mine = self.payload_type == payload_type
            spans = sorted(self.formats.get(payload_type, ()), key=lambda span: span.from_ns)
            if not spans and payload_type in STATIC:
                spans = [FormatFrom(0, STATIC[payload_type])]
            for place, span in enumerate(spans):
                # The first meaning also holds before its time: an answer is often seen after a packet.
                valid = mine if place == 0 else mine & (self.at_ns >= span.from_ns)
                column[valid] = known.setdefault(span.format, len(known))
        return list(known), column


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which packets are missing for a known reason: nothing is concealed in it, it is silent."""

    from_ns: int
    to_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a track that a listener should know."""

    track: str
    reason: str
    packets: int
