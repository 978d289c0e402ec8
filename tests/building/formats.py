"""Codecs as the builders offer and send them: payload type, clock, and payload made from samples."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Codec:
    """encoding: IANA subtype. clock_rate in RTP ticks. audio_rate in Hz of the samples that go in.

    frame_bytes in frame_ms for codecs whose payload is only of the right size, not real voice.
    """

    encoding: str
    payload_type: int
    clock_rate: int
    audio_rate: int = 8000
    channels: int = 1
    fmtp: str = ""
    frame_bytes: int = 0
    frame_ms: int = 10

    @property
    def rtpmap(self) -> str:
        rate = f"{self.encoding}/{self.clock_rate}"
        return f"{self.payload_type} {rate}" + (f"/{self.channels}" if self.channels > 1 else "")


CODECS: Final = {
    codec.encoding: codec
    for codec in (
        Codec("PCMU", 0, 8000),
        Codec("GSM", 3, 8000, frame_bytes=33, frame_ms=20),
        Codec("G723", 4, 8000, frame_bytes=24, frame_ms=30),
        Codec("PCMA", 8, 8000),
        Codec("G722", 9, 8000, 16000),
        Codec("CN", 13, 8000),
        Codec("G729", 18, 8000, fmtp="annexb=no", frame_bytes=10),
        Codec("iLBC", 97, 8000, fmtp="mode=20", frame_bytes=38, frame_ms=20),
        Codec("telephone-event", 101, 8000, fmtp="0-15"),
        Codec("L16", 96, 16000, 16000),
        Codec("opus", 111, 48000, 48000, channels=2, fmtp="useinbandfec=1"),
    )
}


def tone_of(name: str) -> float:
    """A pitch of each party's own, 300 to 1500 Hz, in steps of 50: told apart by their spectrum."""
    known = ("alice", "bob", "carol", "dave", "erin", "music")
    number = known.index(name) if name in known else 6 + sum(name.encode()) % 18
    return 300.0 + 50.0 * number


def voice_of(name: str, seconds: float, rate: int = 8000, *, begin_s: float = 0.0) -> Samples:
    """Return (seconds * rate,) of the voice of one party: its tone, swelling in syllables, in noise of its own.

    The same name and begin_s give the same samples, so what was sent can be looked for in what was decoded.
    """
    n = round(seconds * rate)
    at = begin_s + np.arange(n) / rate
    rng = np.random.default_rng([*name.encode(), round(begin_s * 1000)])
    knots = np.arange(int(seconds * 8) + 2)
    swell = np.interp(np.arange(n) / rate * 8, knots, rng.uniform(0.2, 1, len(knots)))
    wave = 8000 * swell * np.sin(2 * np.pi * tone_of(name) * at) + rng.normal(0, 400, n) * swell
    return wave.astype(np.int16)


@functools.cache
def g711(law: str) -> npt.NDArray[np.uint8]:
    """Return (65536,) code of every sample (indexed by sample + 32768): ITU-T G.711, nearest value."""
    code = np.arange(256)
    if law == "u":
        bits = ~code & 0xFF
        size = ((((bits & 15) << 3) + 132) << (bits >> 4 & 7)) - 132
        value = np.where(bits & 0x80, -size, size)
    else:
        bits = code ^ 0x55
        shift = bits >> 4 & 7
        size = np.where(shift, (((bits & 15) << 4) + 264) << np.maximum(shift - 1, 0), ((bits & 15) << 4) + 8)
        value = np.where(bits & 0x80, size, -size)
    order = np.argsort(value, kind="stable")
    between = (value[order][1:] + value[order][:-1]) / 2
    return code[order][np.searchsorted(between, np.arange(-32768, 32768))].astype(np.uint8)


def payloads(codec: Codec, pcm: Samples, ptime_ms: int, seed: int = 0) -> list[bytes]:
    """Return pcm (mono, at codec.audio_rate) as payloads of ptime_ms each; a rest shorter than that is left out."""
    width = codec.audio_rate * ptime_ms // 1000
    count = len(pcm) // width
    if codec.encoding in ("PCMU", "PCMA"):
        coded = g711("u" if codec.encoding == "PCMU" else "a")[pcm.astype(np.int32) + 32768].tobytes()
        return [coded[i * width : (i + 1) * width] for i in range(count)]
    if codec.encoding == "L16":
        raw = pcm.astype(">i2").tobytes()
        return [raw[2 * i * width : 2 * (i + 1) * width] for i in range(count)]
    if codec.encoding in ("G722", "opus"):
        return _encoded(codec, pcm[: count * width], width)
    return _frames_of_noise(codec, count, ptime_ms, seed)


def _frames_of_noise(codec: Codec, count: int, ptime_ms: int, seed: int) -> list[bytes]:
    size = max(1, ptime_ms // codec.frame_ms) * (codec.frame_bytes or 20)
    noise = np.random.default_rng(seed).integers(0, 256, (count, size), np.uint8)
    if codec.encoding == "GSM":
        noise[:, ::33] = noise[:, ::33] & 15 | 0xD0  # RFC 3551 4.5.8: every frame begins with 1101
    if codec.encoding == "G723":
        noise[:, ::24] &= 0xFC  # RFC 3551 4.5.3: 00 is the high rate
    return [row.tobytes() for row in noise]


def _encoded(codec: Codec, pcm: Samples, width: int) -> list[bytes]:
    import av  # noqa: PLC0415 (slow to load, and few tests need it)

    names = {"G722": ("g722", "mono"), "opus": ("libopus", "stereo")}
    name, layout = names[codec.encoding]
    context: Any = av.CodecContext.create(name, "w")
    context.sample_rate, context.format, context.layout = codec.audio_rate, "s16", layout
    context.open()
    samples = np.repeat(pcm, 2) if layout == "stereo" else pcm
    step = width * (2 if layout == "stereo" else 1)
    found: list[bytes] = []
    chunks: Sequence[Samples] = [samples[i : i + step] for i in range(0, len(samples), step)]
    for number, chunk in enumerate(chunks):
        frame = av.AudioFrame.from_ndarray(chunk.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = codec.audio_rate, number * width
        found += [bytes(packet) for packet in context.encode(frame)]
    found += [bytes(packet) for packet in context.encode(None)]
    return found[: len(chunks)]
