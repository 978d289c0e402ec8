"""Samples of many voices to short-time spectra, once for all who listen.

A frame is 64 ms under a Hann window, one each 20 ms: frame k holds samples 160 k to 160 k + 511 of the voice's own
clock, at 8000 Hz. What did not come is silence, and every frame says how much of it came.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import I64
from vittne.codecs.base import I16

RATE: Final = 8000
WINDOW: Final = 512  # samples
HOP: Final = 160
BINS: Final = WINDOW // 2 + 1
FRAME_S: Final = HOP / RATE
_MOST_GAP: Final = 2 * RATE  # samples of silence put in; beyond it frames are left out
_AT_ONCE: Final = 96  # frames transformed together: what fits the cache

F32 = npt.NDArray[np.float32]

_HANN: Final = np.hanning(WINDOW).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Frames:
    """n frames of a voice that follow each other.

    first: the number of the first one; a number that leaps means a long time without packets. power: (n, BINS), of
    samples as they are (full scale 32768). present: (n,) share of each frame's samples that came, 0 to 1.
    mono_ns: (n,) arrival of the packet in which a frame ends, or of the last one before.
    """

    number: int
    first: int
    power: F32
    present: F32
    mono_ns: I64


def power(samples: F32) -> F32:
    """Return (n, BINS) of samples: all whole frames, from the first sample on."""
    count = (len(samples) - WINDOW) // HOP + 1
    if count < 1:
        return np.zeros((0, BINS), np.float32)
    samples = np.ascontiguousarray(samples)
    windows = np.lib.stride_tricks.as_strided(samples, (count, WINDOW), (4 * HOP, 4), writeable=False)
    out = np.empty((count, BINS), np.float32)
    for begin in range(0, count, _AT_ONCE):
        parts = np.fft.rfft(windows[begin : begin + _AT_ONCE] * _HANN, axis=1).view(np.float32)
        parts *= parts
        np.add(parts[:, 0::2], parts[:, 1::2], out=out[begin : begin + _AT_ONCE])
    return out


@dataclass(frozen=True, slots=True)
class _Packets:
    """Packets in the order of their place on the voice's clock; see Sound."""

    begin: I64
    length: I64
    at: I64
    mono_ns: I64

    def part(self, first: int, last: int) -> _Packets:
        return _Packets(self.begin[first:last], self.length[first:last], self.at[first:last], self.mono_ns[first:last])

    def stretches(self) -> list[tuple[int, int, int]]:
        """Return (begin, at, length) of runs of packets that follow each other both in samples and in time."""
        if len(self.at) == 1:
            return [(int(self.begin[0]), int(self.at[0]), int(self.length[0]))]
        ends = self.at + self.length
        breaks = (self.at[1:] != ends[:-1]) | (self.begin[1:] != self.begin[:-1] + self.length[:-1])
        if not breaks.any():
            return [(int(self.begin[0]), int(self.at[0]), int(ends[-1] - self.at[0]))]
        firsts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
        lasts = np.concatenate((firsts[1:], [len(self.at)])) - 1
        at = self.at[firsts]
        return list(zip(self.begin[firsts].tolist(), at.tolist(), (ends[lasts] - at).tolist(), strict=True))


class Front:
    """One voice's way to frames; keeps 64 ms of it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._samples = np.zeros(0, np.float32)  # of the frames that are not whole yet
        self._came: npt.NDArray[np.bool_] | None = None  # which of them came; None: all
        self._frame = 0  # the next one's number
        self._mono_ns = 0

    def feed(self, samples: I16, begin: I64, length: I64, at: I64, mono_ns: I64) -> list[Frames]:
        """Return the frames that end in these packets, a run for each stretch without a long hole.

        begin, length, at, mono_ns: (n,) of packets, as in Sound. A packet that comes after later ones were fed is
        taken as far as its place is not behind a frame that was given already.
        """
        if not len(at):
            return []
        packets = _Packets(begin, length, at, mono_ns)
        if (at[1:] < at[:-1]).any():
            order = np.argsort(at, kind="stable")
            packets = _Packets(begin[order], length[order], at[order], mono_ns[order])
        ends = np.maximum.accumulate(np.maximum(packets.at + packets.length, self._end))
        leaps = np.flatnonzero(packets.at[1:] - ends[:-1] > _MOST_GAP) + 1
        if not len(leaps):
            return self._run(packets, samples)
        bounds = [0, *leaps.tolist(), len(at)]
        pieces = itertools.pairwise(bounds)
        return [run for first, last in pieces for run in self._run(packets.part(first, last), samples)]

    @property
    def _end(self) -> int:
        return self._frame * HOP + len(self._samples)

    def _run(self, packets: _Packets, samples: I16) -> list[Frames]:
        if int(packets.at[0]) - self._end > _MOST_GAP:
            self._frame = int(packets.at[0]) // HOP
            self._samples, self._came = np.zeros(0, np.float32), None
        base = self._frame * HOP
        line, came = self._line(packets.stretches(), samples)
        found = power(line)
        count = len(found)
        places = np.arange(count) * HOP
        known = np.maximum.accumulate(np.concatenate(([self._mono_ns or packets.mono_ns[0]], packets.mono_ns)))
        ends = np.maximum.accumulate(packets.at + packets.length - base)
        mono = known[np.minimum(np.searchsorted(ends, places + WINDOW) + 1, len(ends))]
        if came is None:
            present = np.ones(count, np.float32)
        else:
            sums = np.concatenate(([0], np.cumsum(came, dtype=np.int32)))
            present = ((sums[places + WINDOW] - sums[places]) / WINDOW).astype(np.float32)
        run = Frames(self._number, self._frame, found, present, mono)
        self._frame += count
        self._samples, rest = line[count * HOP :].copy(), came[count * HOP :] if came is not None else None
        self._came = None if rest is None or rest.all() else rest.copy()
        self._mono_ns = int(known[-1])
        return [run] if count else []

    def _line(self, stretches: list[tuple[int, int, int]], samples: I16) -> tuple[F32, npt.NDArray[np.bool_] | None]:
        """Return samples from the next frame's first one on, and which came; None: all."""
        kept, base = len(self._samples), self._frame * HOP
        begin, at, length = stretches[0]
        if len(stretches) == 1 and at - base == kept and self._came is None:
            return np.concatenate((self._samples, samples[begin : begin + length]), dtype=np.float32), None
        size = max(kept, *(at + length - base for _, at, length in stretches))
        line, came = np.zeros(size, np.float32), np.zeros(size, np.bool_)
        line[:kept], came[:kept] = self._samples, True if self._came is None else self._came
        for begin, at, length in stretches:
            skip = max(0, base - at)
            if length > skip:
                place = slice(at - base + skip, at - base + length)
                line[place], came[place] = samples[begin + skip : begin + length], True
        return line, came
