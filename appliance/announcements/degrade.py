"""A reference through what telephony does to it, and how well it is still heard: before it goes live.

Nothing random is left to chance: the same reference gives the same figures. Codecs go through FFmpeg's encoders and
our own decoders; what FFmpeg cannot encode here is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

from vittne.appliance.announcements.terms import RATE
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.reference import Reference
from vittne.codecs.base import I16
from vittne.codecs.decoder import open_decoder
from vittne.codecs.formats import Format
from vittne.codecs.resample import resample

_PAD_S: Final = 1.0
_PACKET: Final = 160  # samples: 20 ms
_SEED: Final = 1

F64 = npt.NDArray[np.float64]
Change = Callable[[I16], I16]


@dataclass(frozen=True, slots=True)
class Expected:
    """What is made of a degraded reference. state: "none" when it is not found. wanted: what would be right."""

    what: str
    wanted: str
    state: str
    share: float
    required_share: float
    score: float
    offset_error_ms: float

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        shown = {name: getattr(self, name) for name in Expected.__slots__}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in shown.items()}


def expected(reference: Reference) -> Iterator[Expected]:
    """Yield what is to be expected of a reference, condition by condition."""
    pad = np.zeros(int(_PAD_S * RATE), np.int16)
    whole = np.concatenate([pad, reference.samples, pad])
    detector = Detector([reference])
    for what, change in CONDITIONS.items():
        try:
            sound = change(whole)
        except av.FFmpegError:  # an FFmpeg without this encoder
            continue
        wanted = _wanted(reference, what)
        found = max(detector.search(sound), key=lambda match: match.score, default=None)
        if found is None:
            yield Expected(what, wanted, "none", 0.0, 0.0, 0.0, 0.0)
        else:
            late_ms = (found.begin - _PAD_S) * 1000
            yield Expected(what, wanted, found.state, found.share, found.required_share, found.score, late_ms)


def _wanted(reference: Reference, what: str) -> str:
    """Return what is right to say: what is required may all be in the part that is left."""
    for share in _BROKEN:
        if what == f"broken off after {share * 100:g} %":
            length_s = len(reference.samples) / RATE
            last = max((end for _, end in reference.required), default=length_s)
            return "full" if last <= share * length_s else "partial"
    return "full"


def noisy(snr_db: float) -> Change:
    """Add noise that is so far below the mean level of what is heard."""

    def change(samples: I16) -> I16:
        loud = samples[np.abs(samples) > np.abs(samples).max(initial=0) / 100].astype(np.float64)
        rms = float(np.sqrt(np.mean(loud**2))) if len(loud) else 1.0
        noise = np.random.default_rng(_SEED).standard_normal(len(samples)) * rms * 10 ** (-snr_db / 20)
        return _clipped(samples + noise)

    return change


def gained(gain_db: float) -> Change:
    """Make it louder or fainter; what is too loud is clipped."""
    return lambda samples: _clipped(samples * 10 ** (gain_db / 20))


def lossy(share: float) -> Change:
    """Lose packets of 20 ms: silence in their place."""

    def change(samples: I16) -> I16:
        out = samples.copy()
        lost = np.flatnonzero(np.random.default_rng(_SEED).random(len(samples) // _PACKET) < share)
        for number in lost.tolist():
            out[number * _PACKET : (number + 1) * _PACKET] = 0
        return out

    return change


def through(encoder: str, format_: Format, rate: int = RATE, bit_rate: int | None = None, head: bytes = b"") -> Change:
    """Send it through a codec. head: what RTP has in front of the encoder's packets."""

    def change(samples: I16) -> I16:
        packets = _encoded(resample(samples, RATE, rate), encoder, rate, bit_rate)
        decoder = open_decoder(format_)
        return resample(decoder.decode([head + packet for packet in packets]), decoder.sample_rate, RATE)

    return change


def spoken_over(level_db: float) -> Change:
    """Put somebody's voice over it: its own, backwards, so that it is like speech and says nothing."""

    def change(samples: I16) -> I16:
        return _clipped(samples + samples[::-1] * 10 ** (level_db / 20))

    return change


def then(*changes: Change) -> Change:
    """Do one after the other."""

    def change(samples: I16) -> I16:
        for one in changes:
            samples = one(samples)
        return samples

    return change


def cut_after(share: float) -> Change:
    """Break off after a share of the reference, as when it is interrupted."""

    def change(samples: I16) -> I16:
        pad = int(_PAD_S * RATE)
        out = samples.copy()
        out[pad + int((len(samples) - 2 * pad) * share) :] = 0
        return out

    return change


_BROKEN: Final = (0.75, 0.5)
_AMR: Final = Format("AMR", 8000, 1, "octet-align=1")
_A_LAW: Final = through("pcm_alaw", Format("PCMA", 8000))
_AMR_LOW: Final = through("libopencore_amrnb", _AMR, bit_rate=4750, head=b"\xf0")
CONDITIONS: Final[dict[str, Change]] = {
    "as it is": lambda samples: samples,
    "G.711 A-law": _A_LAW,
    "G.711 mu-law": through("pcm_mulaw", Format("PCMU", 8000)),
    "G.722": through("g722", Format("G722", 8000), 16_000),
    "G.723.1, 6.3 kbit/s": through("g723_1", Format("G723", 8000), bit_rate=6300),
    "AMR, 4.75 kbit/s": _AMR_LOW,
    "Opus, 8 kbit/s": through("libopus", Format("OPUS", 48_000, 2), 48_000, 8000),
    "AMR, 4.75 kbit/s, then G.711 A-law, 5 % lost": then(_AMR_LOW, _A_LAW, lossy(0.05)),
    "5 % of packets lost": lossy(0.05),
    "noise at 20 dB": noisy(20),
    "noise at 10 dB": noisy(10),
    "20 dB fainter, G.711 A-law": then(gained(-20), _A_LAW),
    "12 dB louder (clipped)": gained(12),
    "talked over at -6 dB": spoken_over(-6),
    **{f"broken off after {share * 100:g} %": cut_after(share) for share in _BROKEN},
}


def _encoded(samples: I16, encoder: str, rate: int, bit_rate: int | None) -> list[bytes]:
    context: Any = av.CodecContext.create(encoder, "w")
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    context.time_base = Fraction(1, rate)
    if bit_rate is not None:
        context.bit_rate = bit_rate
    context.open()
    size = context.frame_size or rate // 50
    filled = np.concatenate([samples, np.zeros(-len(samples) % size, np.int16)])
    packets = []
    for at in range(0, len(filled), size):
        frame = AudioFrame.from_ndarray(filled[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets + [bytes(packet) for packet in context.encode(None)]


def _clipped(samples: F64 | npt.NDArray[np.floating[Any]]) -> I16:
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)
