"""Byte ranges of HTTP (RFC 9110 section 14), and WAV's header: which samples a range of bytes is."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

WAV_HEADER_BYTES: Final = 44
MOST_IN_WAV: Final = (1 << 32) - 4096  # RIFF counts bytes in 32 bits
_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE)


class NotSatisfiable(ValueError):
    """A range that lies behind the end: 416."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes first to last, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def asked_range(header: str | None, size: int) -> ByteRange | None:
    """Return the range that a Range header asks for; None for the whole: without one, or one that is not understood.

    Several ranges are answered with the whole, as RFC 9110 14.2 allows: no player asks so. Raises NotSatisfiable.

    >>> asked_range("bytes=2-", 10), asked_range("bytes=-3", 10), asked_range("bytes=0-1,4-5", 10)
    (ByteRange(first=2, last=9), ByteRange(first=7, last=9), None)
    """
    found = _RANGE.fullmatch(header.strip()) if header is not None else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        if int(found[2]) == 0 or not size:
            raise NotSatisfiable
        return ByteRange(max(size - int(found[2]), 0), size - 1)
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None  # 14.1.1: such a range is invalid, and passed over
    if first >= size:
        raise NotSatisfiable
    return ByteRange(first, min(last, size - 1))


def wav_header(samples: int, rate: int, channels: int) -> bytes:
    """Return the 44 bytes before samples of 16 bits, little endian."""
    data = samples * channels * 2
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        data + WAV_HEADER_BYTES - 8,
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        rate * channels * 2,
        channels * 2,
        16,
        b"data",
        data,
    )


@dataclass(frozen=True, slots=True)
class WavPlace:
    """Where a range of a WAV file's bytes begins: so much of the header, then samples, of the first ones `skip` bytes
    less.
    """

    header: slice
    first: int  # sample
    end: int  # sample behind the last one
    skip: int

    @classmethod
    def of(cls, wanted: ByteRange, channels: int) -> WavPlace:
        """Return the place of a range."""
        size = channels * 2
        begin = max(wanted.first - WAV_HEADER_BYTES, 0)
        end = max(wanted.last + 1 - WAV_HEADER_BYTES, 0)
        header = slice(min(wanted.first, WAV_HEADER_BYTES), min(wanted.last + 1, WAV_HEADER_BYTES))
        return cls(header, begin // size, -(-end // size), begin % size)
