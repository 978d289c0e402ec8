"""Samples of a voice to short-time spectra, once for all who listen.

A frame is 64 ms under a Hann window, one each 20 ms: frame k holds samples 160 k to 160 k + 511 of the voice's own
clock, at 8000 Hz. What did not come is silence, and every frame says how much of it came.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final, cast

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


def frames_in(samples: int) -> int:
    """Return how many whole frames so many samples have."""
    return max(0, (samples - WINDOW) // HOP + 1)


def power(samples: F32, which: npt.NDArray[np.intp] | None = None, out: F32 | None = None) -> F32:
    """Return (n, BINS) of samples: all whole frames, from the first sample on.

    which: some of them, by number. out: (n, BINS) where it is put.
    """
    count = frames_in(len(samples))
    total = count if which is None else len(which)
    out = np.empty((total, BINS), np.float32) if out is None else out
    if not total:
        return out
    samples = np.ascontiguousarray(samples)
    windows = np.lib.stride_tricks.as_strided(samples, (count, WINDOW), (4 * HOP, 4), writeable=False)
    size = min(total, _AT_ONCE)
    taken, spectra = np.empty((size, WINDOW), np.float32), np.empty((size, BINS), np.complex64)
    for begin in range(0, total, _AT_ONCE):
        end = min(begin + _AT_ONCE, total)
        some, parts = taken[: end - begin], spectra[: end - begin]
        np.multiply(windows[slice(begin, end) if which is None else which[begin:end]], _HANN, out=some)
        lines = np.fft.rfft(some, axis=1, out=cast(Any, parts)).view(np.float32)  # numpy's types know complex128 only
        lines *= lines
        np.add(lines[:, 0::2], lines[:, 1::2], out=out[begin:end])
    return out


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples of a voice that some frames are made of: frame k holds samples 160 k to 160 k + 511 of these.

    first: the number of frame 0. parts: arrays of samples, one behind the other. present, mono_ns: of each whole frame.
    """

    number: int
    first: int
    parts: tuple[npt.NDArray[np.generic], ...]
    present: F32
    mono_ns: I64


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
    """One voice's way to frames; keeps 64 ms of it. Many at once: fronts.py, which keeps its state here.

    samples: of the frames that are not whole yet. came: which of them did, None: all. frame: the next one's number.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.samples = np.zeros(0, np.float32)
        self.came: npt.NDArray[np.bool_] | None = None
        self.frame = 0
        self.mono_ns = 0

    def feed(self, samples: I16, begin: I64, length: I64, at: I64, mono_ns: I64) -> list[Frames]:
        """Return the frames that end in these packets, a run for each stretch without a long hole.

        begin, length, at, mono_ns: (n,) of packets, as in Sound. A packet that comes after later ones were fed is
        taken as far as its place is not behind a frame that was given already.
        """
        return [
            Frames(one.number, one.first, power(np.concatenate(one.parts, dtype=np.float32)), one.present, one.mono_ns)
            for one in self.stretches(samples, begin, length, at, mono_ns)
        ]

    def stretches(self, samples: I16, begin: I64, length: I64, at: I64, mono_ns: I64) -> list[Stretch]:
        """Return what frames are to be made of, those of feed(): no stretch without a whole frame."""
        if not len(at):
            return []
        packets = _Packets(begin, length, at, mono_ns)
        if (at[1:] < at[:-1]).any():
            order = np.argsort(at, kind="stable")
            packets = _Packets(begin[order], length[order], at[order], mono_ns[order])
        ends = np.maximum.accumulate(np.maximum(packets.at + packets.length, self.end))
        leaps = np.flatnonzero(packets.at[1:] - ends[:-1] > _MOST_GAP) + 1
        if not len(leaps):
            return self._run(packets, samples)
        bounds = [0, *leaps.tolist(), len(at)]
        pieces = itertools.pairwise(bounds)
        return [run for first, last in pieces for run in self._run(packets.part(first, last), samples)]

    @property
    def end(self) -> int:
        """Where on the voice's clock what was fed ends."""
        return self.frame * HOP + len(self.samples)

    def _run(self, packets: _Packets, samples: I16) -> list[Stretch]:
        if int(packets.at[0]) - self.end > _MOST_GAP:
            self.frame = int(packets.at[0]) // HOP
            self.samples, self.came = np.zeros(0, np.float32), None
        base = self.frame * HOP
        line, came = self._line(packets.stretches(), samples)
        count = frames_in(len(line))
        places = np.arange(count) * HOP
        known = np.maximum.accumulate(np.concatenate(([self.mono_ns or packets.mono_ns[0]], packets.mono_ns)))
        ends = np.maximum.accumulate(packets.at + packets.length - base)
        mono = known[np.minimum(np.searchsorted(ends, places + WINDOW) + 1, len(ends))]
        if came is None:
            present = np.ones(count, np.float32)
        else:
            sums = np.concatenate(([0], np.cumsum(came, dtype=np.int32)))
            present = ((sums[places + WINDOW] - sums[places]) / WINDOW).astype(np.float32)
        run = Stretch(self.number, self.frame, (line,), present, mono)
        self.frame += count
        self.samples, rest = line[count * HOP :].copy(), came[count * HOP :] if came is not None else None
        self.came = None if rest is None or rest.all() else rest.copy()
        self.mono_ns = int(known[-1])
        return [run] if count else []

    def _line(self, stretches: list[tuple[int, int, int]], samples: I16) -> tuple[F32, npt.NDArray[np.bool_] | None]:
        """Return samples from the next frame's first one on, and which came; None: all."""
        kept, base = len(self.samples), self.frame * HOP
        begin, at, length = stretches[0]
        if len(stretches) == 1 and at - base == kept and self.came is None:
            return np.concatenate((self.samples, samples[begin : begin + length]), dtype=np.float32), None
        size = max(kept, *(at + length - base for _, at, length in stretches))
        line, came = np.zeros(size, np.float32), np.zeros(size, np.bool_)
        line[:kept], came[:kept] = self.samples, True if self.came is None else self.came
        for begin, at, length in stretches:
            skip = max(0, base - at)
            if length > skip:
                place = slice(at - base + skip, at - base + length)
                line[place], came[place] = samples[begin + skip : begin + length], True
        return line, came
