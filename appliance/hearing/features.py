"""Frames to what survives a telephone line: how each band stands against its neighbour, in whole steps.

Band energies (mel bands, 250 to 3500 Hz) are taken above a floor 20 dB below the loudest frame around: what is quieter
is noise or a codec's invention and carries nothing. The difference of neighbouring bands, less its own mean over 0.8 s,
knows nothing of gain, equalisation and tilt, and is clipped, so a click or a lost packet weighs little. Everything is
rounded to whole steps at once: what is computed from steps is exact, so it does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.front import BINS, F32, HOP, RATE, WINDOW, power
from vittne.codecs.base import I16

BANDS: Final = 24
WIDTH: Final = BANDS - 1  # features of a frame
STEPS: Final = 32  # of a neper (8.7 dB)
CLIP: Final = 2 * STEPS
LEVEL_STEPS: Final = 8  # of a neper, in levels
_FLOOR: Final = 0.01  # of the loudest frame around, as energy
_QUIET: Final = 1e3  # energy of a frame's bands below which there is nothing
_BEHIND: Final = 50  # frames before one, and ...
_AHEAD: Final = 12  # after it, in which the loudest is looked for
_HALF: Final = 20  # frames of the mean on either side
LOOK_AHEAD: Final = _AHEAD + _HALF  # frames after a frame that its features depend on
_AT_ONCE: Final = 1536  # frames of long samples, and ...
_SPECTRA: Final = 192  # ... of which spectra are there at a time: new memory costs as much as what is put there
WHOLE: Final = 0.7  # share of a frame's samples that must have come
_NOTHING: Final = 1.0  # energy below which samples are all alike: no line is that still, somebody put silence in
_LONGEST_HOLE: Final = 12  # frames without anything, between sound: packets that were lost on the way to us
_TOUCHED: Final = 2  # frames before and behind a hole that it takes much of

I8 = npt.NDArray[np.int8]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


def _bank() -> tuple[F32, int, int]:
    """Return (bins, BANDS) weights of triangular bands, and the first bin and the one behind the last."""
    hertz = np.fft.rfftfreq(WINDOW, 1 / RATE)
    mel = np.linspace(2595 * np.log10(1 + 250 / 700), 2595 * np.log10(1 + 3500 / 700), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    weights = np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
    used = np.flatnonzero(weights.any(axis=1))
    return np.ascontiguousarray(weights[used[0] : used[-1] + 1]), int(used[0]), int(used[-1]) + 1


_BANK, _LOW, _HIGH = _bank()


@dataclass(frozen=True, slots=True)
class Features:
    """n frames. steps: (n, WIDTH), 0 where a frame did not come. level: (n, BANDS) log energy. whole: (n,) it came."""

    steps: I8
    level: U8
    whole: Bools

    def __len__(self) -> int:
        return len(self.steps)

    @staticmethod
    def none() -> Features:
        return Features(np.zeros((0, WIDTH), np.int8), np.zeros((0, BANDS), np.uint8), np.zeros(0, np.bool_))

    def part(self, first: int, last: int | None = None) -> Features:
        return Features(self.steps[first:last], self.level[first:last], self.whole[first:last])

    def behind(self, other: Features) -> Features:
        """Return these after others."""
        return Features(
            np.concatenate((other.steps, self.steps)),
            np.concatenate((other.level, self.level)),
            np.concatenate((other.whole, self.whole)),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """n frames of a voice, of which [first, until) are to be made features; the others lie around them."""

    bands: F32
    whole: Bools
    first: int
    until: int


def bands_of(found: F32) -> F32:
    """Return (n, BANDS) of (n, BINS) power."""
    bands: F32 = found[:, _LOW:_HIGH] @ _BANK
    return bands


class FeatureMaker:
    """One voice's way from frames to features; keeps two seconds and what was put in."""

    def __init__(self) -> None:
        self._bands = np.zeros((0, BANDS), np.float32)
        self._whole = np.zeros(0, np.bool_)
        self._new: list[tuple[F32, Bools]] = []  # behind these
        self._done = 0  # frames kept whose features were given

    def feed(self, found: F32, whole: Bools) -> Features:
        """Return features of all frames that are known to their ends: the last LOOK_AHEAD ones wait.

        found: (n, BINS) power. whole: (n,) whether each frame came.
        """
        self.put(bands_of(found), whole)
        return self.ready()

    def put(self, bands: F32, whole: Bools) -> None:
        """Take bands_of() frames in, to be worked on later: many together cost less."""
        self._new.append((bands, whole))

    def ready(self) -> Features:
        """Return features of what was put in, as feed() does."""
        return features_of([self.asked()])[0]

    def finish(self) -> Features:
        """Return features of the frames that wait; nothing comes after them."""
        return features_of([self.asked(is_last=True)])[0]

    def asked(self, *, is_last: bool = False) -> Asked:
        """Return what features are to be made of now, for features_of(): those of ready(), or of finish()."""
        if self._new:
            self._bands = np.concatenate((self._bands, *(bands for bands, _ in self._new)))
            self._whole = np.concatenate((self._whole, *(whole for _, whole in self._new)))
            self._new = []
        first, until = self._done, len(self._bands) - (0 if is_last else LOOK_AHEAD)
        asked = Asked(self._bands, self._whole, first, max(first, until))
        kept = len(self._bands) if is_last else max(0, asked.until - _BEHIND - _HALF)
        self._bands, self._whole, self._done = self._bands[kept:], self._whole[kept:], max(0, asked.until - kept)
        return asked


def features(samples: I16, whole: Bools | None = None) -> Features:
    """Return features of samples as a whole, as feeding them gives it. whole: (frames,) whether each came."""
    count = max(0, (len(samples) - WINDOW) // HOP + 1)
    whole = np.ones(count, np.bool_) if whole is None else whole
    maker, parts = FeatureMaker(), []
    memory = np.empty((min(count, _SPECTRA), BINS), np.float32)
    for begin in range(0, count, _SPECTRA):
        end = min(begin + _SPECTRA, count)
        found = power(samples[begin * HOP : (end - 1) * HOP + WINDOW].astype(np.float32), out=memory[: end - begin])
        maker.put(bands_of(found), whole[begin:end])
        if end % _AT_ONCE == 0:
            parts.append(maker.ready())
    parts.append(maker.finish())
    return Features(
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.level for part in parts]),
        np.concatenate([part.whole for part in parts]),
    )


def features_of(asked: Sequence[Asked]) -> list[Features]:
    """Return features of frames of many voices, worked on as one: each as if it were alone."""
    counts = np.array([one.until - one.first for one in asked], np.intp)
    if not counts.any():
        return [Features.none() for _ in asked]
    bands = np.concatenate([one.bands for one in asked])
    begins = _begins(np.array([len(one.bands) for one in asked], np.intp))
    first = begins[:-1] + np.array([one.first for one in asked], np.intp)
    around = np.maximum(begins[:-1], first - _HALF), np.minimum(begins[1:], first + counts + _HALF)
    loud = bands.sum(axis=1)
    whole = np.concatenate([one.whole[one.first : one.until] for one in asked])
    places = _places(first, counts)
    still = loud < _NOTHING
    if still.any():
        whole &= ~_holes(still, begins)[places]
    some = _places(around[0], around[1] - around[0])
    floor = np.maximum(_loudest(loud, begins)[some], _QUIET) * (_FLOOR / BANDS)
    logs = np.log(bands[some] + floor[:, None])
    logs *= STEPS
    steps = np.diff(np.rint(logs).astype(np.int32), axis=1)
    sums = np.zeros((len(steps) + 1, WIDTH), np.int32)
    np.cumsum(steps, axis=0, out=sums[1:])
    moved = _begins(around[1] - around[0])  # where each voice begins in steps
    at = _places(first - around[0] + moved[:-1], counts)
    low = np.maximum(at - _HALF, np.repeat(moved[:-1], counts))
    high = np.minimum(at + _HALF + 1, np.repeat(moved[1:], counts))
    count = (high - low).astype(np.int32)[:, None]
    mean = (2 * (sums[high] - sums[low]) + count) // (2 * count)
    centred = np.clip(steps[at] - mean, -CLIP, CLIP).astype(np.int8)
    centred[~whole] = 0
    level = np.minimum(np.rint(np.log(bands[places] + 1) * LEVEL_STEPS), 255).astype(np.uint8)
    parts = [slice(*ends) for ends in pairwise(_begins(counts).tolist())]
    return [Features(centred[part], level[part], whole[part]) for part in parts]


def _begins(counts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return where each of some parts begins, one behind the other, and the end."""
    return np.concatenate((np.zeros(1, np.intp), np.cumsum(counts)))


def _places(first: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the places first[i] to first[i] + counts[i] - 1 of each."""
    begins = _begins(counts)
    return np.repeat(first - begins[:-1], counts) + np.arange(begins[-1])


def _holes(still: Bools, begins: npt.NDArray[np.intp]) -> Bools:
    """Return (n,) whether a frame lies in a short hole of digital silence between sound: lost upstream, filled up."""
    holes = np.zeros(len(still), np.bool_)
    each = zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True)
    for first, last in each:
        if not still[first:last].any():
            continue
        # before the first and behind the last: no
        edges = first + np.flatnonzero(np.diff(np.concatenate(([True], still[first:last], [True]))))
        for end, begin in zip(edges[1::2].tolist(), edges[2::2].tolist(), strict=False):
            if begin - end <= _LONGEST_HOLE:
                holes[max(first, end - _TOUCHED) : min(last, begin + _TOUCHED)] = True
    return holes


def _loudest(loud: F32, begins: npt.NDArray[np.intp]) -> F32:
    """Return the greatest of each frame and those _BEHIND before to _AHEAD after it, of the same voice."""
    apart = _BEHIND + _AHEAD
    at = np.arange(len(loud)) + np.repeat(np.arange(len(begins) - 1) * apart, np.diff(begins))
    padded = np.zeros(len(loud) + (len(begins) - 1) * apart, np.float32)
    padded[at + _BEHIND] = loud
    width, done = apart + 1, 1
    while done * 2 <= width:
        padded = np.maximum(padded[:-done], padded[done:])
        done *= 2
    rest = width - done
    padded = np.maximum(padded[: len(padded) - rest], padded[rest:]) if rest else padded
    return padded[at]


assert _HIGH <= BINS
assert HOP * 2 < WINDOW
