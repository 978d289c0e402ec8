"""Digits as tones in decoded voices, by the same search as in G.711 (capture/inband.py)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.messages import DIGIT, Finding
from vittne.appliance.analysis.sound import Sound
from vittne.capture.buffers import Buffers
from vittne.capture.inband import InbandTones, bursts
from vittne.capture.inbandmath import PCMU, SAMPLES
from vittne.codecs.base import I16

_LEAST: Final = 256  # bytes of a buffer, so that the search may look past the end


def _codes() -> npt.NDArray[np.uint8]:
    """Return (65536,) the PCMU code nearest to each sample, by the sample read as unsigned."""
    order = np.argsort(SAMPLES[PCMU], kind="stable")
    value = SAMPLES[PCMU][order]
    every = np.arange(-32768, 32768)
    nearest = order[np.searchsorted((value[1:] + value[:-1]) / 2, every)].astype(np.uint8)
    return np.roll(nearest, -32768)


_CODES: Final = _codes()


class ToneListener:
    """Finds digits; keeps less than 20 ms of each voice."""

    def __init__(self) -> None:
        self._tones = InbandTones()

    def hear(self, sound: Sound) -> list[Finding]:
        """See Listener. A finding is a digit, or a piece of one that goes on in the next sound."""
        if not len(sound.number):
            return []
        coded = np.zeros(len(sound.samples) + _LEAST, np.uint8)
        coded[: len(sound.samples)] = coded_pcmu(sound.samples)
        buffers = Buffers()
        address = buffers.base(coded) + sound.begin
        law = np.full(len(sound.number), PCMU, np.uint8)
        still = np.zeros(len(sound.number), np.uint32)  # they are in order
        found = np.flatnonzero(self._tones.find(sound.number, law, address, sound.length, still, buffers))
        findings = []
        for number in np.unique(sound.number[found]).tolist():
            mine = found[sound.number[found] == number]
            findings += [Finding(DIGIT, number, *ends) for ends in bursts(mine, sound.mono_ns)]
        return findings

    def forget(self, numbers: npt.NDArray[np.int32]) -> None:
        """See Listener."""
        self._tones.clear(numbers)


def coded_pcmu(samples: I16) -> npt.NDArray[np.uint8]:
    """Return samples as PCMU: what the search reads."""
    return _CODES[samples.view(np.uint16)]
