"""Records: what a sealed part holds once it is decrypted.

A record is a 16-byte header, a body, and zeros up to the next multiple of 16; so every
record starts on a 16-byte border and headers can be read as columns. PADDING is the
exception: it only stands first in a group, ends at any byte, and the reader of parts takes it off.
Layout: FORMAT.md. Plaintext here is authenticated, so what is wrong with it is our own
writer's fault: it is refused with its place, never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64, U8, U16
from vittne.capture.record import (
    ALIGNMENT,
    END,
    EVENT,
    GAP,
    HEADER,
    HEADER_BYTES,
    META,
    PADDING,
    RECORD,
    RTCP,
    RTP,
    SIP,
    STREAM,
    Buffer,
    encode,
)

__all__ = [
    "ALIGNMENT",
    "END",
    "EVENT",
    "GAP",
    "HEADER",
    "HEADER_BYTES",
    "META",
    "PADDING",
    "RECORD",
    "RTCP",
    "RTP",
    "SIP",
    "STREAM",
    "Buffer",
    "Columns",
    "Record",
    "RecordsDamaged",
    "columns",
    "encode",
    "iter_records",
    "padded",
    "record_offsets",
    "rtp_columns",
]

_RUN_TRY: Final = 16  # rows first looked at for equal strides; doubled while they hold
_PLAIN_STEPS: Final = 256  # records walked one by one after sizes turned out mixed


class RecordsDamaged(ValueError):
    """Bytes that are not records. offset: where the record begins that cannot be."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset} of the plaintext)")
        self.reason = reason
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Record:
    """One record. body is a view into the plaintext, without padding."""

    type: int
    at_ns: int
    stream: int
    flags: int
    body: memoryview
    offset: int  # of its header, in the plaintext


@dataclass(frozen=True, slots=True)
class Columns:
    """Records as columns, in the order they were written. All have n rows."""

    at_ns: I64
    stream: U16
    type: U8
    flags: U8
    offset: I64  # of the body's first byte, index into the plaintext
    length: I64  # bytes of body

    def __len__(self) -> int:
        return len(self.offset)

    def where(self, rows: npt.NDArray[np.bool_]) -> Columns:
        """Return the rows that the mask (n,) keeps."""
        return Columns(
            self.at_ns[rows],
            self.stream[rows],
            self.type[rows],
            self.flags[rows],
            self.offset[rows],
            self.length[rows],
        )


def padded(length: int) -> int:
    """Return length rounded up to a multiple of 16."""
    return (length + 15) & ~15


def iter_records(plaintext: Buffer) -> Iterator[Record]:
    """Yield every record but PADDING; raise RecordsDamaged at the first that cannot be.

    Types unknown to this version are given too: a later version may have added them.
    """
    view = memoryview(plaintext).toreadonly()
    size = len(view)
    start = 0
    while start < size:
        if size - start < HEADER_BYTES:
            raise RecordsDamaged("a record header is cut", start)
        at_ns, length, stream, type_, flags = HEADER.unpack_from(view, start)
        body_at = start + HEADER_BYTES
        body_end = body_at + length
        end = body_end if type_ == PADDING else body_at + padded(length)
        if type_ == 0:
            raise RecordsDamaged("a record has no type", start)
        if end > size:
            raise RecordsDamaged(f"a record of {length} bytes has {size - body_at} left", start)
        if type_ != PADDING:
            if any(view[body_end:end]):
                raise RecordsDamaged("the padding of a record is not zero", start)
            yield Record(type_, at_ns, stream, flags, view[body_at:body_end], start)
        start = end


def record_offsets(plaintext: Buffer) -> I64:
    """Return (n,) offsets of record headers; raise RecordsDamaged where the chain breaks.

    plaintext must hold no PADDING. Records of one call mostly have few sizes, so the next
    headers are guessed at equal distance, read as columns, and the guess is kept as far as
    it held. Where sizes are mixed (Opus) records are stepped through, a few at a time.
    """
    size = len(plaintext)
    if size % ALIGNMENT:
        raise RecordsDamaged("records do not end on a 16-byte border", size - size % ALIGNMENT)
    lengths = np.frombuffer(plaintext, "<u4")[2::4]  # of the record that begins at 16 * index, if one does
    as_steps = memoryview(plaintext).cast("B").cast("I") if size else memoryview(b"").cast("I")
    cells = len(lengths)
    found: list[npt.NDArray[np.int64]] = []
    cell = 0
    while cell < cells:
        run, cell = _equal_run(lengths, cell)
        found.append(run)
        if len(run) < _RUN_TRY:
            steps, cell = _step_on(as_steps, cell, cells)
            found.append(np.array(steps, np.int64))
    offsets: I64 = np.concatenate(found) * ALIGNMENT if found else np.zeros(0, np.int64)
    if cell != cells:
        raise RecordsDamaged("a record reaches past the end", int(offsets[-1]))
    return offsets


def _equal_run(lengths: npt.NDArray[np.uint32], cell: int) -> tuple[I64, int]:
    """Return (cells of records from `cell` on that lie at equal distance, cell after the last of them)."""
    stride = 1 + (int(lengths[cell]) + 15) // 16
    count = 1
    limit = _RUN_TRY
    while True:
        ahead = lengths[cell + count * stride :: stride][: limit - count]
        same = (ahead.astype(np.int64) + 15) // 16 + 1 == stride
        kept = len(same) if same.all() else int(same.argmin())
        count += kept
        if kept < len(same) or count < limit:
            break
        limit *= 4
    return np.arange(cell, cell + count * stride, stride, dtype=np.int64), cell + count * stride


def _step_on(words: memoryview, cell: int, cells: int) -> tuple[list[int], int]:
    """Return (cells of the next records, at most 256, and the cell after the last of them)."""
    steps: list[int] = []
    while cell < cells and len(steps) < _PLAIN_STEPS:
        steps.append(cell)
        cell += 1 + ((words[cell * 4 + 2] + 15) >> 4)
    return steps, cell


def columns(plaintext: Buffer) -> Columns:
    """Return all records of PADDING-free plaintext as columns; raise RecordsDamaged as iter_records does."""
    offsets = record_offsets(plaintext)
    words = np.frombuffer(plaintext, "<u8").reshape(-1, 2)[offsets // ALIGNMENT]
    second = words[:, 1]
    types = (second >> np.uint64(48)).astype(np.uint8)
    wrong = (types == 0) | (types == PADDING)
    if wrong.any():
        raise RecordsDamaged("a record has no type, or is padding", int(offsets[wrong.argmax()]))
    return Columns(
        at_ns=words[:, 0].astype(np.int64),
        stream=(second >> np.uint64(32)).astype(np.uint16),
        type=types,
        flags=(second >> np.uint64(56)).astype(np.uint8),
        offset=offsets + HEADER_BYTES,
        length=(second & np.uint64(0xFFFF_FFFF)).astype(np.int64),
    )


def rtp_columns(plaintext: Buffer) -> Columns:
    """Return the RTP records of PADDING-free plaintext as columns, in the order they were written."""
    every = columns(plaintext)
    return every.where(every.type == RTP)
