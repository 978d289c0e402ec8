"""A stretch of a call as FLAC, Ogg Opus or MP3, encoded in memory as far as somebody has asked; never on a disk."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import numpy as np

from vittne.codecs.base import I16
from vittne.codecs.blocks import Blocks
from vittne.codecs.container import Parties, writing

MOST_KEPT: Final = 256 << 20  # bytes; of what is longer only the end is kept, and its beginning is made anew
_TOTAL_AT: Final = 18  # FLAC's STREAMINFO: 64 bits of which the last 36 count the samples
_TOTAL_BITS: Final = 36


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sound. first, end: samples. mute: the sides (left, right) that are silent."""

    kind: str
    party: Parties
    first: int
    end: int
    mute: tuple[bool, bool]


class _Sink(io.RawIOBase):
    """Takes what FFmpeg writes, from its beginning to its end: nothing is gone back to."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, piece: object) -> int:
        self.data += memoryview(cast(bytes, piece))
        return memoryview(cast(bytes, piece)).nbytes


class Encoded:
    """The file of a sound, as far as it was needed."""

    def __init__(self, blocks: Blocks, wanted: Wanted) -> None:
        self._blocks = blocks
        self._wanted = wanted
        self._sink = _Sink()
        self._before = 0  # bytes that were dropped
        self._is_done = False
        self._is_patched = False
        self._work = self._writing()

    @property
    def total(self) -> int | None:
        """How many bytes the file has; None while that is not known."""
        return self._before + len(self._sink.data) if self._is_done else None

    def read(self, offset: int, most: int) -> bytes:
        """Return bytes of the file from an offset on, at least one unless it ends there."""
        if offset < self._before:
            self._begin()
        while self._before + len(self._sink.data) <= offset and not self._is_done:
            self._is_done = next(self._work, None) is None
            self._patch()
            self._drop(offset)
        at = offset - self._before
        return bytes(self._sink.data[at : at + most])

    def _begin(self) -> None:
        self._sink, self._before, self._is_done, self._is_patched = _Sink(), 0, False, False
        self._work = self._writing()

    def _writing(self) -> Iterator[int]:
        wanted, rate = self._wanted, self._blocks.rendering.sample_rate
        return writing(cast(BinaryIO, self._sink), wanted.kind, self._chunks(), rate, wanted.party)

    def _chunks(self) -> Iterator[I16]:
        step = self._blocks.size
        for first in range(self._wanted.first, self._wanted.end, step):
            samples = self._blocks.samples(first, min(step, self._wanted.end - first))
            yield silenced(samples, self._wanted.mute)

    def _drop(self, offset: int) -> None:
        """Forget the oldest bytes of what is longer than may be kept."""
        over = min(len(self._sink.data) - MOST_KEPT, offset - self._before)
        if over > 0:
            del self._sink.data[:over]
            self._before += over

    def _patch(self) -> None:
        """Say in FLAC's header how long it is: FFmpeg would go back to do so, but we know it before."""
        if self._is_patched or self._wanted.kind != "flac" or len(self._sink.data) < _TOTAL_AT + 8:
            return
        data = self._sink.data
        if self._before == 0 and data[:4] == b"fLaC":
            said = int.from_bytes(data[_TOTAL_AT : _TOTAL_AT + 8], "big")
            total = (self._wanted.end - self._wanted.first) & ((1 << _TOTAL_BITS) - 1)
            data[_TOTAL_AT : _TOTAL_AT + 8] = (said >> _TOTAL_BITS << _TOTAL_BITS | total).to_bytes(8, "big")
        self._is_patched = True


def silenced(samples: I16, mute: tuple[bool, bool]) -> I16:
    """Return samples, (n, 2), without the sides that are not to be heard."""
    if not any(mute):
        return samples
    return np.where(np.array(mute), np.int16(0), samples)
