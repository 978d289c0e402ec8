"""G.722 and G.726: codes of a few bits without frames, so a run of payloads is decoded in one go.

RFC 3551 4.5.2 and 4.5.4. G.726 comes in two packings: "G726-xx" has the first
code in the low bits (as ITU-T X.420), "AAL2-G726-xx" in the high bits (as ITU-T
I.366.2 annex E). Static payload type 2 is G726-32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vittne.codecs import ffmpeg
from vittne.codecs.base import I16, SILENCE, Decoder, fitted
from vittne.codecs.ffmpeg import Engine
from vittne.codecs.formats import Format
from vittne.codecs.g726 import G726


class Adpcm(Decoder):
    """A codec without frames. group: payloads of a multiple of so many bytes end between two codes."""

    def __init__(self, format_: Format, engine: Engine, group: int) -> None:
        super().__init__(format_)
        self._engine = engine
        self._group = group

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        if len(payloads) == 1 or all(len(payload) % self._group == 0 for payload in payloads):
            return self._one(b"".join(payloads))
        return np.concatenate([self._one(payload) for payload in payloads])

    def _one(self, data: bytes) -> I16:
        voice = self._engine.decode(data)
        samples = self.samples_in(data)
        if voice is None or len(voice) != samples:
            self.damaged += 1
        return fitted(SILENCE if voice is None else voice, samples)


def open_g722(format_: Format) -> Adpcm:
    """Return a decoder of G.722 at 64 kbit/s, 16 kHz out."""
    return Adpcm(format_, ffmpeg.open_engine(("g722",), 16_000), 1)


def open_g726(format_: Format) -> Decoder:
    """Return a decoder of G726-16, -24, -32, -40, AAL2-G726-xx or G721."""
    encoding = format_.encoding.upper()
    kbits = 32 if encoding == "G721" else int(encoding[-2:])
    is_big_endian = encoding.startswith("AAL2-")
    bits = kbits // 8
    if kbits == 40:
        return G726(format_, bits, is_big_endian)  # FFmpeg's is wrong
    demuxer = "g726" if is_big_endian else "g726le"
    options = {"code_size": str(bits), "sample_rate": str(format_.clock_rate)}
    return Adpcm(format_, ffmpeg.open_raw(demuxer, options), bits)
