"""Codecs of fixed frames: G.729, G.723.1, GSM, iLBC, Speex, AMR and G.728, by FFmpeg.

Frames that follow each other are handed to FFmpeg many to a packet where its
decoder takes that; else one by one. Discontinuous transmission: AMR, G.723.1 make
their own comfort noise; FFmpeg's G.729 knows no SID frame, so its noise is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from vittne.codecs import amr_packing, packing
from vittne.codecs.base import I16, SILENCE, Decoder, NotDecodable, fitted
from vittne.codecs.concealment import ComfortNoise
from vittne.codecs.ffmpeg import Engine, open_engine
from vittne.codecs.formats import Format, is_octet_aligned, parameters

Split = Callable[[bytes], list[bytes]]

_MOST_CONCEALED_MS: Final = 60  # as concealment.fade_out: then silence


class Framed(Decoder):
    """A codec of frames of one duration.

    split: payload to frames as the engine takes them. batched: the engine takes many in one packet.
    """

    def __init__(self, format_: Format, engine: Engine, split: Split, frame_samples: int, batched: bool) -> None:
        super().__init__(format_)
        self._engine = engine
        self._split = split
        self._frame_samples = frame_samples
        self._batched = batched

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        frames: list[bytes] = []
        for payload in payloads:
            found = self._split(payload)
            # What the time line was promised and what could be split agree, or the rest is silence.
            missing = self.samples_in(payload) // self._frame_samples - len(found)
            self.damaged += bool(missing) or not found
            frames += found if missing <= 0 else found + [b""] * missing
        return self._frames(frames)

    def _frames(self, frames: Sequence[bytes]) -> I16:
        """Return frame_samples for each frame; a frame that the engine refuses is silent."""
        if self._batched and all(frames):
            voice = self._engine.decode(b"".join(frames))
            if voice is not None and len(voice) == len(frames) * self._frame_samples:
                return voice
        return np.concatenate([SILENCE, *(self._one(frame) for frame in frames)])

    def _one(self, frame: bytes) -> I16:
        voice = self._engine.decode(frame)
        if voice is None:
            self.damaged += 1
            voice = SILENCE
        return fitted(voice, self._frame_samples)

    def _filled(self, frame: bytes, samples: int) -> I16:
        """Return `samples` made of one frame repeated."""
        count = -(-samples // self._frame_samples)
        return self._frames([frame] * count)[:samples]


class G729(Framed):
    """G.729 and annexes A and B."""

    _ERASED: Final = bytes(packing.G729_FRAME)  # FFmpeg takes all zeros as an erased frame

    def __init__(self, format_: Format) -> None:
        engine = open_engine(("g729",), 8000)
        super().__init__(format_, engine, packing.g729_frames, packing.G729_SAMPLES, batched=True)
        self._noise: ComfortNoise | None = None

    def _frames(self, frames: Sequence[bytes]) -> I16:
        runs: list[I16] = [SILENCE]
        start = 0
        for at, frame in enumerate(frames):
            if len(frame) != packing.G729_SID:
                continue
            runs.append(self._speech(frames[start:at]))
            self._noise = ComfortNoise(g729_sid_level(frame), self.sample_rate)
            runs.append(self._noise.silence(self._frame_samples))
            start = at + 1
        runs.append(self._speech(frames[start:]))
        return np.concatenate(runs)

    def _speech(self, frames: Sequence[bytes]) -> I16:
        if not frames:
            return SILENCE
        self._noise = None
        return super()._frames(frames)

    def conceal(self, samples: int) -> I16:
        """Return the codec's own concealment for 60 ms, then silence; in a silence, more of its noise."""
        if self._noise is not None:
            return self._noise.silence(samples)
        most = self.sample_rate * _MOST_CONCEALED_MS // 1000
        return fitted(self._filled(self._ERASED, min(samples, most)), samples)

    def silence(self, samples: int) -> I16:
        """Return the noise of the last SID frame, or silence when voice came last."""
        return super().silence(samples) if self._noise is None else self._noise.silence(samples)


def g729_sid_level(frame: bytes) -> float:
    """Return the level of a SID frame in dBov (G.729 annex B, B.4.2).

    The last five of its 15 bits are the gain of the excitation: 4 dB a step below 6, 2 dB above,
    in quarters of a sample (white noise through bcg729 comes back within 1 dB). The spectrum is
    left out: white noise of that level.
    """
    gain = frame[1] >> 1 & 31
    decibels = 34 + (gain - 6) * (2 if gain >= 6 else 4)
    return float(decibels - 20 * np.log10(4 * 32768))


class G7231(Framed):
    """G.723.1 at both rates; FFmpeg makes the noise of annex A."""

    _UNTRANSMITTED: Final = b"\x03"

    def __init__(self, format_: Format) -> None:
        engine = open_engine(("g723_1",), 8000)
        super().__init__(format_, engine, packing.g7231_frames, packing.G7231_SAMPLES, batched=True)
        self._in_silence = False

    def _frames(self, frames: Sequence[bytes]) -> I16:
        if frames and frames[-1]:
            self._in_silence = frames[-1][0] & 3 >= 2
        return super()._frames(frames)

    def silence(self, samples: int) -> I16:
        """Return the codec's noise after a SID frame, else silence."""
        return self._filled(self._UNTRANSMITTED, samples) if self._in_silence else super().silence(samples)


class Amr(Framed):
    """AMR and AMR-WB in both packings."""

    def __init__(self, format_: Format) -> None:
        said = parameters(format_.fmtp)
        if "interleaving" in said or said.get("crc") == "1" or said.get("robust-sorting") == "1":
            raise NotDecodable("AMR with interleaving, CRCs or robust sorting")
        wide = format_.encoding.upper() == "AMR-WB"
        aligned = is_octet_aligned(format_)
        # OpenCORE first: FFmpeg's own decoders know no SID frames, which every call has.
        names = ("libopencore_amrwb", "amrwb") if wide else ("libopencore_amrnb", "amrnb")
        rate = 16_000 if wide else 8000
        super().__init__(
            format_,
            open_engine(names, rate),
            lambda payload: amr_packing.unpack(payload, wide, aligned),
            rate // 50,
            batched=False,
        )
        self.sample_rate = rate
        self._sid = 9 if wide else 8
        self._in_silence = False

    def _frames(self, frames: Sequence[bytes]) -> I16:
        for frame in reversed(frames):
            kind = frame[0] >> 3 & 15 if frame else amr_packing.NO_DATA
            if kind != amr_packing.NO_DATA:
                self._in_silence = kind == self._sid
                break
        return super()._frames(frames)

    def conceal(self, samples: int) -> I16:
        """Return the codec's own concealment for 60 ms, then silence; in a silence, its noise."""
        most = samples if self._in_silence else self.sample_rate * _MOST_CONCEALED_MS // 1000
        return fitted(self._filled(amr_packing.NO_DATA_FRAME, min(samples, most)), samples)

    def silence(self, samples: int) -> I16:
        """Return the codec's noise after a SID frame, else silence."""
        if not self._in_silence:
            return super().silence(samples)
        return self._filled(amr_packing.NO_DATA_FRAME, samples)


class Ilbc(Decoder):
    """iLBC: the two modes are two decoders, because a payload's length may say another mode than SDP."""

    def __init__(self, format_: Format) -> None:
        super().__init__(format_)
        self._said = 20 if parameters(format_.fmtp).get("mode") == "20" else 30
        self._modes = {mode: _ilbc(format_, mode) for mode in packing.ILBC_BYTES}

    def _decode(self, payloads: Sequence[bytes]) -> I16:
        runs = [SILENCE]
        for payload in payloads:
            engine = self._modes[packing.ilbc_mode(len(payload), self._said)]
            runs.append(engine.decode([payload]))
        self.damaged = sum(engine.damaged for engine in self._modes.values())
        return np.concatenate(runs)


def _ilbc(format_: Format, mode: int) -> Framed:
    # FFmpeg picks the mode by bit rate: 15.2 kbit/s is 20 ms, 13.33 kbit/s is 30 ms.
    engine = open_engine(("ilbc", "libilbc"), 8000, 15_200 if mode == 20 else 13_333)
    return Framed(format_, engine, _equal(packing.ILBC_BYTES[mode]), mode * 8, batched=False)


def open_gsm(format_: Format) -> Framed:
    """Return a decoder of GSM full rate, 33 bytes a frame (RFC 3551 4.5.8)."""
    return Framed(format_, open_engine(("gsm", "libgsm"), 8000), _equal(33), 160, batched=True)


def open_ms_gsm(format_: Format) -> Framed:
    """Return a decoder of Microsoft's GSM, two frames in 65 bytes."""
    return Framed(format_, open_engine(("gsm_ms", "libgsm_ms"), 8000), _equal(65), 320, batched=False)


def open_speex(format_: Format) -> Framed:
    """Return a decoder of Speex at 8, 16 or 32 kHz (RFC 5574)."""
    rate = format_.clock_rate
    if rate not in (8000, 16_000, 32_000):
        raise NotDecodable(f"Speex at {rate} Hz")
    engine = open_engine(("speex", "libspeex"), rate)
    return Framed(format_, engine, packing.speex_frames, rate // 50, batched=False)


def open_g728(format_: Format) -> Framed:
    """Return a decoder of G.728: 5 bytes are four vectors of five samples (RFC 3551 4.5.5)."""
    return Framed(format_, open_engine(("g728",), 8000), _equal(5), 20, batched=True)


def _equal(size: int) -> Split:
    """Return a function that cuts a payload into frames of `size` bytes and drops the rest."""
    return lambda payload: [payload[at : at + size] for at in range(0, len(payload) - size + 1, size)]
