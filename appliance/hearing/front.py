"""Samples of many voices to short-time spectra, once for all who listen.

A frame is 64 ms under a Hann window, one each 20 ms: frame k holds samples 160 k to 160 k + 511 of the voice's own
clock, at 8000 Hz. What did not come is silence, and every frame says how much of it came.
"""

from __future__ import annotations

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
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    out = np.empty((count, BINS), np.float32)
    for begin in range(0, count, _AT_ONCE):
        spectrum = np.fft.rfft(windows[begin : begin + _AT_ONCE] * _HANN, axis=1)
        out[begin : begin + _AT_ONCE] = spectrum.real**2 + spectrum.imag**2
    return out


class Front:
    """One voice's way to frames; keeps 64 ms of it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._samples = np.zeros(0, np.float32)  # of the frames that are not whole yet
        self._came = np.zeros(0, np.bool_)
        self._frame = 0  # the next one's number
        self._mono_ns = 0

    def feed(self, samples: I16, begin: I64, length: I64, at: I64, mono_ns: I64) -> list[Frames]:
        """Return the frames that end in these packets, a run for each stretch without a long hole.

        begin, length, at, mono_ns: (n,) of packets, as in Sound. A packet that comes after later ones were fed is
        taken as far as its place is not behind a frame that was given already.
        """
        runs: list[Frames] = []
        order = np.argsort(at, kind="stable").tolist()
        group: list[int] = []
        end = self._end
        for one in order:
            if group and int(at[one]) - end > _MOST_GAP:
                runs += self._run(group, samples, begin, length, at, mono_ns)
                group = []
            group.append(one)
            end = max(end, int(at[one] + length[one]))
        return runs + self._run(group, samples, begin, length, at, mono_ns) if group else runs

    @property
    def _end(self) -> int:
        return self._frame * HOP + len(self._samples)

    def _run(self, group: list[int], samples: I16, begin: I64, length: I64, at: I64, mono_ns: I64) -> list[Frames]:
        first = int(at[group[0]])
        if first - self._end > _MOST_GAP:
            self._frame = first // HOP
            self._samples, self._came = np.zeros(0, np.float32), np.zeros(0, np.bool_)
        base = self._frame * HOP
        size = max(self._end, *(int(at[one] + length[one]) for one in group)) - base
        line, came = np.zeros(size, np.float32), np.zeros(size, np.bool_)
        line[: len(self._samples)], came[: len(self._came)] = self._samples, self._came
        ends, monos = [], []
        for one in group:
            place = int(at[one]) - base
            skip = max(0, -place)
            count = int(length[one]) - skip
            if count > 0:
                source = int(begin[one]) + skip
                line[place + skip : place + skip + count] = samples[source : source + count]
                came[place + skip : place + skip + count] = True
            ends.append(place + int(length[one]))
            monos.append(int(mono_ns[one]))
        found = power(line)
        count = len(found)
        frame_ends = np.arange(count) * HOP + WINDOW
        known = np.maximum.accumulate(np.array([self._mono_ns or monos[0], *monos], np.int64))
        place_of = np.searchsorted(np.maximum.accumulate(np.array(ends)), frame_ends)
        mono = known[np.minimum(place_of + 1, len(monos))]
        sums = np.concatenate(([0], np.cumsum(came)))
        places = np.arange(count) * HOP
        present = ((sums[places + WINDOW] - sums[places]) / WINDOW).astype(np.float32)
        run = Frames(self._number, self._frame, found, present, mono)
        self._frame += count
        self._samples, self._came = line[count * HOP :], came[count * HOP :]
        self._mono_ns = int(known[-1])
        return [run] if count else []
