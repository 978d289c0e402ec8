"""One track decoded into pieces of samples, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, Protocol

import numpy as np

from vittne.codecs.base import I16, Decoder
from vittne.codecs.concealment import ComfortNoise, noise_level
from vittne.codecs.decoder import open_decoder
from vittne.codecs.plan import Plan
from vittne.codecs.resample import Resampler
from vittne.codecs.tracks import Gap, Note

Piece = tuple[int, I16]

_BATCH: Final = 500  # packets decoded at a time: bounds the memory of a piece
_FILL_S: Final = 5  # and so many seconds of noise
_NOISE_RATE: Final = 8000


class _Source(Protocol):
    """What fills a gap: a decoder after its voice, or comfort noise."""

    sample_rate: int

    def silence(self, samples: int) -> I16: ...


class Voice:
    """The samples of one track at the output's rate."""

    def __init__(self, plan: Plan, gaps: Sequence[Gap], from_ns: int, rate: int, since: int = -(1 << 62)) -> None:
        """since: the sample before which nothing needs to be filled; nobody hears it."""
        self.plan = plan
        self._since = since
        self._rate = rate
        self._starts = plan.starts(from_ns, rate)
        self._noise = plan.is_noise()
        self._gaps = [
            ((gap.from_ns - from_ns) * rate // 1_000_000_000, (gap.to_ns - from_ns) * rate // 1_000_000_000)
            for gap in gaps
        ]
        self._decoders: dict[int, Decoder] = {}
        self._source: _Source | None = None
        self._end = 0  # the output sample up to which everything has been said
        self._run: _Run | None = None

    def pieces(self) -> Iterator[Piece]:
        """Yield (first sample, (k,) int16), places ascending, never overlapping; the rest is silent."""
        breaks = np.flatnonzero(~self.plan.follows)
        for first, last in pairwise([*breaks.tolist(), len(self.plan)]):
            yield from self._fill(first)
            if self._noise[first]:
                self._begin_noise(last - 1)
            else:
                yield from self._decode(first, last)
        yield from self._close()

    def damage(self) -> list[Note]:
        """Return a note for each format with payloads that did not decode."""
        return [
            Note(self.plan.track.name, f"damaged {self.plan.formats[index].encoding} payloads", decoder.damaged)
            for index, decoder in self._decoders.items()
            if decoder.damaged
        ]

    def _fill(self, first: int) -> Iterator[Piece]:
        """Fill the gap before a row with what belongs there."""
        start = int(self._starts[first])
        source = self._source
        same_line = first > 0 and self.plan.line[first] == self.plan.line[first - 1]
        if source is None or not same_line or self._is_explained(self._end, start):
            return
        at = max(self._end, self._since)
        left = (start - at) * source.sample_rate // self._rate
        make = source.silence
        if at == self._end and isinstance(source, Decoder) and (self.plan.lost[first] or self._is_slip(first)):
            make = source.conceal
        while left > 0:
            step = min(left, _FILL_S * source.sample_rate)
            samples = make(step)
            if not samples.any():
                return
            yield from self._say(samples, source.sample_rate, at)
            at = self._end
            left -= step
            make = source.silence

    def _is_slip(self, row: int) -> bool:
        """Say whether a gap is only the correction of a clock, in the middle of voice."""
        return bool(self.plan.anchor_ns[row] != self.plan.anchor_ns[row - 1])

    def _is_explained(self, start: int, end: int) -> bool:
        return any(first < end and last > start for first, last in self._gaps)

    def _begin_noise(self, row: int) -> None:
        payload = self.plan.payloads[int(self.plan.row[row])]
        rate = self._source.sample_rate if self._source else _NOISE_RATE
        self._source = ComfortNoise(noise_level(payload), rate)
        self._end = max(self._end, int(self._starts[row]))

    def _decode(self, first: int, last: int) -> Iterator[Piece]:
        decoder = self._decoder(int(self.plan.format[first]))
        self._source = decoder
        place = int(self._starts[first])
        # What is already said is kept and the new voice loses its start: clocks that were set back.
        skip = max(self._end - place, 0) * decoder.sample_rate // self._rate
        place = max(place, self._end)
        rows = self.plan.row[first:last].tolist()
        for at in range(0, len(rows), _BATCH):
            payloads = [self.plan.payloads[row] for row in rows[at : at + _BATCH]]
            samples = decoder.decode(payloads)
            dropped = min(skip, len(samples))
            skip -= dropped
            if dropped < len(samples):
                yield from self._say(samples[dropped:], decoder.sample_rate, place)
                place = self._end

    def _decoder(self, index: int) -> Decoder:
        if index not in self._decoders:
            self._decoders[index] = open_decoder(self.plan.formats[index])
        return self._decoders[index]

    def _say(self, samples: I16, rate: int, place: int) -> Iterator[Piece]:
        """Yield samples for a place, through one resampler as long as they follow each other."""
        run = self._run
        if run is None or run.rate != rate or run.end != place:
            yield from self._close()
            run = self._run = _Run(rate, self._rate, place)
        yield from run.feed(samples)
        self._end = run.end

    def _close(self) -> Iterator[Piece]:
        if self._run is not None:
            yield from self._run.flush()
        self._run = None


class _Run:
    """Samples without a break at one rate, on their way to the output's rate."""

    def __init__(self, rate: int, to_rate: int, place: int) -> None:
        self.rate = rate
        self.end = place  # where the next sample will lie
        self._to_rate = to_rate
        self._start = place
        self._given = 0
        self._out = place
        self._resampler = Resampler(rate, to_rate)

    def feed(self, samples: I16) -> Iterator[Piece]:
        """Take samples in; yield what comes out."""
        self._given += len(samples)
        self.end = self._start + (2 * self._given * self._to_rate + self.rate) // (2 * self.rate)
        yield from self._piece(self._resampler.feed(samples))

    def flush(self) -> Iterator[Piece]:
        """Yield what is still inside."""
        yield from self._piece(self._resampler.flush())

    def _piece(self, samples: I16) -> Iterator[Piece]:
        if len(samples):
            yield self._out, samples
            self._out += len(samples)
