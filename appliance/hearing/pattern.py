"""A reference as features, and pieces of many references that are looked for all at once.

The first look is coarse: frames in pairs (40 ms), pieces of 1.9 s, correlated with a voice by fast Fourier transform
(overlap-save), all pieces in one product for each frequency. It only proposes places; what is decided, is decided by
aligning (align.py) in whole steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.features import WIDTH, Bools, Features, features
from vittne.appliance.hearing.front import F32, HOP, RATE, WINDOW
from vittne.appliance.hearing.reference import Reference

LEAST: Final = 25  # frames of speech in a reference
MOST_S: Final = 120
PIECE: Final = 48  # pairs of frames in a piece
_QUIET: Final = 1e-3  # of the loudest frame: below is no speech
_PAD: Final = 50 * HOP  # samples of silence around a reference
_LEAST: Final = 0.1  # of a piece's energy, that a voice is taken to have
_BEFORE: Final = (WINDOW - HOP) // HOP // 2  # frames that begin before the reference and still hold much of it

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A reference's n frames. speech: (n,). first, last: frames of its speech. required: (n,) must be heard whole.

    Frame 0 begins _BEFORE frames before the first sample.
    """

    features: Features
    speech: Bools
    first: int
    last: int
    required: Bools
    samples: int

    def __len__(self) -> int:
        return len(self.features)


BEFORE_S: Final = _BEFORE * HOP / RATE


def pattern(reference: Reference) -> Pattern:
    """Return a reference as features; ValueError if it holds too little sound, or is too long."""
    if len(reference.samples) > MOST_S * RATE:
        raise ValueError(f"a reference of more than {MOST_S} s")
    padded = np.pad(reference.samples, _PAD)
    begin = _PAD // HOP - _BEFORE
    found = features(padded).part(begin, begin + max(1, len(reference.samples) // HOP))
    loud = np.exp(found.level.astype(np.float32) / 8).sum(axis=1)
    speech = (loud > loud.max() * _QUIET) & (np.abs(found.steps).max(axis=1) > 0)
    places = np.flatnonzero(speech)
    if len(places) < LEAST:
        raise ValueError(f"a reference with less than {LEAST * HOP / RATE} s of sound")
    required = speech.copy()
    if reference.required:
        at = (np.arange(len(speech)) - _BEFORE) * HOP / RATE + WINDOW / RATE / 2
        within = np.zeros(len(speech), np.bool_)
        for begin_s, end_s in reference.required:
            within |= (at >= begin_s) & (at < end_s)
        required &= within
    return Pattern(found, speech, int(places[0]), int(places[-1]) + 1, required, len(reference.samples))


@dataclass(frozen=True, slots=True)
class Hint:
    """A place to look at: the pattern's frame 0 at a frame of the voice, seen around a frame of the pattern."""

    pattern: int
    at: int
    anchor: int
    score: float


def paired(steps: npt.NDArray[np.int8]) -> F32:
    """Return (n // 2, WIDTH) sums of frames two by two."""
    even = len(steps) // 2 * 2
    return np.add(steps[0:even:2], steps[1:even:2], dtype=np.int16).astype(np.float32)


class Bank:
    """Pieces of patterns, ready to be looked for in blocks of a fixed size (pairs of frames)."""

    def __init__(self, patterns: list[Pattern], size: int) -> None:
        self.size = size
        self.step = size - PIECE + 1  # places that a block answers for
        pieces, owner, start, length = [], [], [], []
        for number, one in enumerate(patterns):
            steps = one.features.steps * one.speech[:, None]
            span = one.last - one.first
            count = max(1, -(-span // (2 * PIECE)))
            for at in np.linspace(one.first, max(one.first, one.last - 2 * PIECE), count).astype(int).tolist():
                piece = paired(steps[at : min(at + 2 * PIECE, one.last + 1)])
                if len(piece):
                    pieces.append(np.pad(piece, ((0, PIECE - len(piece)), (0, 0))))
                    owner.append(number)
                    start.append(at)
                    length.append(len(piece))
        self._owner, self._start = np.array(owner, np.int64), np.array(start, np.int64)
        self._length = np.array(length, np.int64)
        stack = np.stack(pieces) if pieces else np.zeros((0, PIECE, WIDTH), np.float32)
        spectra = np.conj(np.fft.rfft(stack, size, axis=1))  # (pieces, frequencies, WIDTH)
        self._spectra = np.ascontiguousarray(spectra.transpose(1, 2, 0))
        self._norm = np.sqrt((stack**2).sum(axis=(1, 2))).astype(np.float32)

    def scores(self, pairs: F32) -> F32:
        """Return (pieces, places) normalised correlations at the places [0, len(pairs) - PIECE]; -1 to 1."""
        places = len(pairs) - PIECE + 1
        blocks = -(-places // self.step)
        padded = np.zeros(((blocks - 1) * self.step + self.size, WIDTH), np.float32)
        padded[: len(pairs)] = pairs
        shape, stride = (blocks, WIDTH, self.size), padded.strides
        view = np.lib.stride_tricks.as_strided(padded, shape, (self.step * stride[0], stride[1], stride[0]))
        spectra = np.fft.rfft(np.ascontiguousarray(view), axis=2)  # (blocks, WIDTH, frequencies)
        product = np.ascontiguousarray(spectra.transpose(2, 0, 1)) @ self._spectra  # (frequencies, blocks, pieces)
        lines = np.fft.irfft(np.ascontiguousarray(product.transpose(2, 1, 0)), self.size, axis=2)
        found = lines[:, :, : self.step].reshape(len(self._owner), -1)[:, :places]
        sums = np.concatenate(([0], np.cumsum((pairs**2).sum(axis=1), dtype=np.float64)))
        energy = np.empty((len(self._owner), places), np.float32)
        for length in np.unique(self._length).tolist():
            energy[self._length == length] = (sums[length:] - sums[:-length])[:places]
        norm = self._norm[:, None]
        score: F32 = found / (norm * np.sqrt(np.maximum(energy, _LEAST * norm**2)))
        return score

    def hints(self, pairs: F32, first: int, least: float) -> list[Hint]:
        """Return where pieces resemble the voice, each peak once. first: the frame at which pairs begin."""
        if len(pairs) < PIECE or not len(self._owner):
            return []
        score = self.scores(pairs)
        piece, place = np.nonzero(score >= least)
        value = score[piece, place]
        before = score[piece, np.maximum(place - 1, 0)]
        behind = score[piece, np.minimum(place + 1, score.shape[1] - 1)]
        peak = (value >= before) & (value >= behind)
        piece, place, value = piece[peak], place[peak], value[peak]
        at = first + 2 * place - self._start[piece]
        anchor = self._start[piece] + self._length[piece]
        columns = (self._owner[piece].tolist(), at.tolist(), anchor.tolist(), value.tolist())
        return [Hint(*one) for one in zip(*columns, strict=True)]
