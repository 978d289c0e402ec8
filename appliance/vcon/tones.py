"""Keys that are heard as tones in sound from elsewhere: found by the search that capture uses, and made silent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.sound import Sound
from vittne.appliance.analysis.tones import ToneListener
from vittne.codecs.base import I16
from vittne.codecs.resample import Resampler

_RATE: Final = 8000
_PACKET: Final = 160
_NS: Final = 1_000_000_000
_AROUND_NS: Final = 100_000_000  # silent before and behind a key: its beginning, its echo
_TOGETHER: Final = 3000  # packets, a minute
_APART_NS: Final = 40_000_000


class ToneWatch:
    """Hears one file's channels; knows where keys are afterwards."""

    def __init__(self, rate: int, channels: int) -> None:
        self._listener = ToneListener()
        self._resamplers = [Resampler(rate, _RATE) for _ in range(channels)]
        self._waiting: list[list[I16]] = [[] for _ in range(channels)]
        self._length = [0] * channels  # of what waits
        self._done = [0] * channels  # packets
        self._found: list[tuple[int, int]] = []

    def hear(self, samples: I16) -> None:
        """Take in (k, channels) samples."""
        for channel, resampler in enumerate(self._resamplers):
            self._feed(channel, resampler.feed(np.ascontiguousarray(samples[:, channel])), _TOGETHER)

    def spans(self) -> list[tuple[int, int]]:
        """Return where keys are heard, ns from the beginning, ascending and apart; nothing is heard any more."""
        for channel, resampler in enumerate(self._resamplers):
            self._feed(channel, np.concatenate([resampler.flush(), np.zeros(_PACKET, np.int16)]), 1)
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(self._found):
            if merged and begin <= merged[-1][1] + _APART_NS:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((begin, end))
        return [(max(begin - _AROUND_NS, 0), end + _AROUND_NS) for begin, end in merged]

    def _feed(self, channel: int, samples: I16, least: int) -> None:
        self._waiting[channel].append(samples)
        self._length[channel] += len(samples)
        packets = self._length[channel] // _PACKET
        if packets < least:
            return
        here, rest = np.split(np.concatenate(self._waiting[channel]), [packets * _PACKET])
        self._waiting[channel], self._length[channel] = [rest], len(rest)
        at = np.arange(packets, dtype=np.int64) * _PACKET
        first = self._done[channel]
        step = _PACKET * _NS // _RATE
        heard = Sound(
            np.full(packets, channel, np.int32),
            (first + np.arange(packets, dtype=np.int64)) * step,
            at,
            np.full(packets, _PACKET, np.int64),
            np.ascontiguousarray(here),
            at + first * _PACKET,
        )
        self._done[channel] += packets
        self._found += [(one.begin_mono, one.end_mono + step) for one in self._listener.hear(heard)]


def silenced(pieces: Iterator[I16], rate: int, spans: list[tuple[int, int]]) -> Iterator[I16]:
    """Yield samples, (k, channels), with silence where keys are heard."""
    edges = [(begin * rate // _NS, -(-end * rate // _NS)) for begin, end in spans]
    at = 0
    for piece in pieces:
        here: npt.NDArray[np.int16] = piece
        for begin, end in edges:
            first, last = max(begin - at, 0), min(end - at, len(piece))
            if first < last:
                here = here.copy() if here is piece else here
                here[first:last] = 0
        at += len(piece)
        yield here
