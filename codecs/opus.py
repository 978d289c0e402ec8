"""Opus by libopus through FFmpeg: 48 kHz, mixed to mono by the decoder itself. RFC 6716, RFC 7587.

A packet of one byte (its TOC alone) is a frame that was not sent, and libopus
answers with concealment or comfort noise (RFC 6716 3.1 and 4.4): that is how losses and
DTX reach it. In-band FEC cannot be had through FFmpeg, which has no way to ask
a packet for the copy of its predecessor: a lost frame is concealed even when the
next packet carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vittne.codecs.base import I16, SILENCE, Decoder, fitted
from vittne.codecs.ffmpeg import open_engine
from vittne.codecs.formats import Format
from vittne.codecs.packing import opus_samples

_DTX_BYTES: Final = 2  # RFC 6716 2.1.9: a packet this short says that silence goes on
_MOST_CONCEALED: Final = 48 * 60


class Opus(Decoder):
    """One Opus stream, mono or stereo, any mode and bandwidth."""

    def __init__(self, format_: Format) -> None:
        super().__init__(format_)
        # FFmpeg's own decoder is the second choice: it starts 6.5 ms late and is not bit-exact.
        self._engine = open_engine(("libopus", "opus"), 48_000)
        self._not_sent = b""
        self._in_silence = False

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        runs = [SILENCE]
        for payload in payloads:
            voice = self._engine.decode(payload)
            samples = opus_samples(payload)
            if voice is None or not samples:
                self.damaged += 1
                voice = SILENCE
            else:
                self._not_sent = bytes([payload[0] & 0xFC])
                self._in_silence = len(payload) <= _DTX_BYTES
            runs.append(fitted(voice, samples))
        return np.concatenate(runs)

    def conceal(self, samples: int) -> I16:
        """Return libopus's concealment for 60 ms, then silence; its noise when the sender was in DTX."""
        most = samples if self._in_silence else _MOST_CONCEALED
        return fitted(self._unsent(min(samples, most)), samples)

    def silence(self, samples: int) -> I16:
        """Return libopus's noise when the sender was in DTX, else silence."""
        return self._unsent(samples) if self._in_silence else super().silence(samples)

    def _unsent(self, samples: int) -> I16:
        step = opus_samples(self._not_sent)
        if not step:
            return np.zeros(samples, np.int16)
        runs = [self._engine.decode(self._not_sent) for _ in range(-(-samples // step))]
        return fitted(np.concatenate([SILENCE if run is None else run for run in runs]), samples)
