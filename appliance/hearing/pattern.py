"""A reference as features, and pieces of many references that are looked for all at once.

The first look is coarse: frames in pairs (40 ms), pieces of 1.9 s, correlated with a voice by fast Fourier transform
(overlap-save), all pieces in one product for each frequency. It only proposes places; what is decided, is decided by
aligning (align.py) in whole steps.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_MOST_CELLS: Final = 1 << 18  # pieces times places of many voices worked on as one: what the cache holds
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


@dataclass(frozen=True, slots=True)
class Pieces:
    """k pieces of a pattern, to be looked for in blocks of a size. spectra: (frequencies, WIDTH, k). start: frames."""

    spectra: npt.NDArray[np.complex64]
    norm: F32
    start: list[int]
    length: list[int]


def pieces_of(one: Pattern, size: int) -> Pieces:
    """Return the pieces of a pattern. size: of the blocks (pairs of frames)."""
    steps = one.features.steps * one.speech[:, None]
    span = one.last - one.first
    count = max(1, -(-span // (2 * PIECE)))
    pieces, start, length = [], [], []
    for at in np.linspace(one.first, max(one.first, one.last - 2 * PIECE), count).astype(int).tolist():
        piece = paired(steps[at : min(at + 2 * PIECE, one.last + 1)])
        if len(piece):
            pieces.append(np.pad(piece, ((0, PIECE - len(piece)), (0, 0))))
            start.append(at)
            length.append(len(piece))
    stack = np.stack(pieces) if pieces else np.zeros((0, PIECE, WIDTH), np.float32)
    spectra = np.conj(np.fft.rfft(stack, size, axis=1))  # (pieces, frequencies, WIDTH)
    norm = np.sqrt((stack**2).sum(axis=(1, 2))).astype(np.float32)
    return Pieces(np.ascontiguousarray(spectra.transpose(1, 2, 0)), norm, start, length)


class Bank:
    """Pieces of patterns, ready to be looked for in blocks of a fixed size (pairs of frames)."""

    def __init__(self, patterns: Sequence[Pieces], size: int) -> None:
        self.size = size
        self.step = size - PIECE + 1  # places that a block answers for
        self._owner = np.array([number for number, one in enumerate(patterns) for _ in one.start], np.int64)
        self._start = np.array([at for one in patterns for at in one.start], np.int64)
        self._length = np.array([length for one in patterns for length in one.length], np.int64)
        none = np.zeros((size // 2 + 1, WIDTH, 0), np.complex64)
        self._spectra = np.concatenate([none, *(one.spectra for one in patterns)], axis=2)
        self._norm = np.concatenate([np.zeros(0, np.float32), *(one.norm for one in patterns)])

    def hints(self, pairs: F32, first: int, least: float) -> list[Hint]:
        """Return where pieces resemble the voice, each peak once. first: the frame at which pairs begin."""
        return self.hints_of([(pairs, first)], least)[0]

    def hints_of(self, voices: Sequence[tuple[F32, int]], least: float) -> list[list[Hint]]:
        """Return hints() of many voices, (pairs, first) of each, worked on as one."""
        found: list[list[Hint]] = [[] for _ in voices]
        if not len(self._owner):
            return found
        most = max(1, _MOST_CELLS // (len(self._owner) * self.size))
        some: list[int] = []
        blocks = 0
        for place, (pairs, _) in enumerate(voices):
            if len(pairs) < PIECE:
                continue
            more = -(-(len(pairs) - PIECE + 1) // self.step)
            if some and blocks + more > most:
                self._look([voices[one] for one in some], least, [found[one] for one in some])
                some, blocks = [], 0
            some.append(place)
            blocks += more
        if some:
            self._look([voices[one] for one in some], least, [found[one] for one in some])
        return found

    def _look(self, voices: list[tuple[F32, int]], least: float, out: list[list[Hint]]) -> None:
        """Add the hints of some voices to their lists."""
        places = np.array([len(pairs) - PIECE + 1 for pairs, _ in voices])
        blocks = -(-places // self.step)
        score = self._scores([pairs for pairs, _ in voices], blocks)
        begins = np.cumsum(blocks) - blocks
        begins *= self.step  # where each voice begins among places
        piece, at = np.nonzero(score >= least)
        voice = np.searchsorted(begins, at, "right") - 1
        place = at - begins[voice]
        is_one = place < places[voice]
        piece, at, voice, place = piece[is_one], at[is_one], voice[is_one], place[is_one]
        value = score[piece, at]
        before = score[piece, at - (place > 0)]
        behind = score[piece, at + (place < places[voice] - 1)]
        peak = (value >= before) & (value >= behind)
        piece, voice, place, value = piece[peak], voice[peak], place[peak], value[peak]
        first = np.array([first for _, first in voices])[voice]
        at = first + 2 * place - self._start[piece]
        anchor = self._start[piece] + self._length[piece]
        columns = (self._owner[piece].tolist(), at.tolist(), anchor.tolist(), value.tolist())
        for number, one in zip(voice.tolist(), zip(*columns, strict=True), strict=True):
            out[number].append(Hint(*one))

    def _scores(self, voices: list[F32], blocks: I64) -> F32:
        """Return (pieces, places) normalised correlations, -1 to 1: step places for each block, blocks of each voice.

        The places of a voice are [0, len(pairs) - PIECE]; what is behind them, up to the end of its last block, is not
        to be used.
        """
        sizes = (blocks - 1) * self.step + self.size
        begins = np.cumsum(sizes) - sizes
        line = np.zeros((int(sizes.sum()), WIDTH), np.float32)
        for pairs, begin in zip(voices, begins.tolist(), strict=True):
            line[begin : begin + len(pairs)] = pairs
        within = np.arange(int(blocks.sum())) - np.repeat(np.cumsum(blocks) - blocks, blocks)
        starts = np.repeat(begins, blocks) + self.step * within
        shape, stride = (len(line) - self.size + 1, WIDTH, self.size), line.strides
        windows = np.lib.stride_tricks.as_strided(line, shape, (stride[0], stride[1], stride[0]))
        spectra = np.fft.rfft(windows[starts], axis=2)  # (blocks, WIDTH, frequencies)
        product = np.ascontiguousarray(spectra.transpose(2, 0, 1)) @ self._spectra  # (frequencies, blocks, pieces)
        lines = np.fft.irfft(np.ascontiguousarray(product.transpose(2, 1, 0)), self.size, axis=2)
        found = lines[:, :, : self.step].reshape(len(self._owner), -1)
        sums = np.concatenate(([0], np.cumsum((line**2).sum(axis=1), dtype=np.float64)))
        rows = (starts[:, None] + np.arange(self.step)).ravel()
        energy = np.empty((len(self._owner), len(rows)), np.float32)
        for length in np.unique(self._length).tolist():
            energy[self._length == length] = sums[rows + length] - sums[rows]
        norm = self._norm[:, None]
        score: F32 = found / (norm * np.sqrt(np.maximum(energy, _LEAST * norm**2)))
        return score
