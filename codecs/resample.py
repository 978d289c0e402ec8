"""Sample rate conversion in pieces, by FFmpeg's swresample."""

from __future__ import annotations

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from vittne.codecs.base import I16, SILENCE, fitted


class Resampler:
    """One run of mono samples from one rate to another, without delay and of exact length.

    After `flush` everything given so far has come out: round(given * to_rate / from_rate) samples.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._from = from_rate
        self._to = to_rate
        self._given = 0
        self._taken = 0
        self._engine: AudioResampler | None = None
        if from_rate != to_rate:
            self._engine = AudioResampler(format="s16", layout="mono", rate=to_rate)

    def feed(self, samples: I16) -> I16:
        """Return what comes out for these samples; the last few milliseconds stay inside."""
        if self._engine is None or not len(samples):
            return samples
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None, :], format="s16", layout="mono")
        frame.sample_rate = self._from
        self._given += len(samples)
        return self._out(self._engine.resample(frame))

    def flush(self) -> I16:
        """Return the rest; the object is used up then."""
        if self._engine is None or not self._given:
            return SILENCE
        total = (2 * self._given * self._to + self._from) // (2 * self._from)
        before = self._taken
        rest = self._out(self._engine.resample(None))
        return fitted(rest, max(total - before, 0))

    def _out(self, frames: list[AudioFrame]) -> I16:
        samples = np.concatenate([SILENCE, *(frame.to_ndarray()[0] for frame in frames)])
        self._taken += len(samples)
        return samples


def resample(samples: I16, from_rate: int, to_rate: int) -> I16:
    """Return (round(n * to_rate / from_rate),) int16, lined up with what was given."""
    if not len(samples):
        return SILENCE
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([resampler.feed(samples), resampler.flush()])
