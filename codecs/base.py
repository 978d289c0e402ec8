"""What every decoder is: payloads of one stream in, int16 samples at a natural rate out.

A decoder belongs to one stream (SSRC) and one payload format, and keeps the
codec's memory between calls. It never raises on what came from the wire: a
payload that does not decode gives silence of its own length and is counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vittne.codecs import concealment
from vittne.codecs.formats import Format, sample_rate, ticks

I16 = npt.NDArray[np.int16]

SILENCE: I16 = np.zeros(0, np.int16)


class NotDecodable(Exception):
    """A payload format that cannot be turned into samples here, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Decoder(ABC):
    """Payloads of one stream in one format, in order, to mono samples.

    sample_rate: Hz of the samples it gives. damaged: payloads that did not decode whole.
    """

    def __init__(self, format_: Format) -> None:
        self.format = format_
        self.sample_rate = sample_rate(format_)
        self.damaged = 0
        self._tail: I16 = SILENCE

    def decode(self, payloads: Sequence[bytes]) -> I16:
        """Return the samples of payloads that follow each other without a gap.

        Exactly `samples_in` of each payload, whatever the codec made of it.
        """
        voice = self._decode(payloads)
        keep = concealment.memory(self.sample_rate)
        # A copy: a view would keep the whole run of samples alive.
        self._tail = (voice if len(voice) >= keep else np.concatenate([self._tail, voice]))[-keep:].copy()
        return voice

    def samples_in(self, payload: bytes) -> int:
        """Return how many samples a payload takes on the time line."""
        return (ticks(self.format, payload) or 0) * self.sample_rate // self.format.clock_rate

    def conceal(self, samples: int) -> I16:
        """Return `samples` to stand where packets were lost: the last voice repeated and faded out."""
        return concealment.fade_out(self._tail, samples, self.sample_rate)

    def silence(self, samples: int) -> I16:
        """Return `samples` to stand where the sender sent nothing on purpose."""
        return np.zeros(samples, np.int16)

    @abstractmethod
    def _decode(self, payloads: Sequence[bytes]) -> I16: ...


def fitted(voice: I16, samples: int) -> I16:
    """Return voice cut, or filled up with silence, to exactly `samples`."""
    if len(voice) == samples:
        return voice
    return np.concatenate([voice[:samples], np.zeros(max(samples - len(voice), 0), np.int16)])
