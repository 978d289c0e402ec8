"""Voices, packets and tracks for tests of the voice path, and FFmpeg's command line as the second opinion."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from vittne.codecs.formats import Format, ticks
from vittne.codecs.tracks import FormatFrom, Side, Track

I16 = npt.NDArray[np.int16]

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
CAPTURES = Path(__file__).parents[3] / "shared" / "captures"


def speechlike(seconds: float, rate: int, seed: int = 1) -> I16:
    """Return a gliding buzz with formants, syllables and a little noise: enough like speech for any codec."""
    count = round(seconds * rate)
    time = np.arange(count) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / rate
    voice = sum(np.sin(k * pitch) / k * (1.5 if 4 <= k <= 7 else 1.0) for k in range(1, 16))
    noise = np.random.default_rng(seed).standard_normal(count)
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, 1)
    return np.asarray(np.rint(envelope * (2500 * voice + 300 * noise)), np.int16)


def tone(seconds: float, rate: int, hertz: float, amplitude: float = 8000) -> I16:
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(np.rint(amplitude * np.sin(2 * np.pi * hertz * time)), np.int16)


def encoded(voice: I16, encoder: str, rate: int, bit_rate: int | None = None, size: int = 0) -> list[bytes]:
    """Return the packets of an FFmpeg encoder; size: samples in a packet where the encoder leaves it open."""
    context = AudioCodecContext.create(encoder, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate = rate
    context.layout = "mono"
    context.format = "s16"
    context.time_base = Fraction(1, rate)
    if bit_rate:
        context.bit_rate = bit_rate
    context.open()
    size = context.frame_size or size
    voice = np.ascontiguousarray(voice)
    packets = []
    for at in range(0, len(voice) - size + 1, size):
        frame = AudioFrame.from_ndarray(voice[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate = rate
        frame.pts = at
        packets += context.encode(frame)
    return [bytes(packet) for packet in packets + context.encode(None)]


def has_encoder(name: str) -> bool:
    try:
        av.Codec(name, "w")
    except ValueError:
        return False
    return True


def ffmpeg(data: bytes, *arguments: str) -> I16:
    """Return what the ffmpeg program makes of bytes on its standard input, as int16."""
    command = ["ffmpeg", "-v", "error", *arguments, "-f", "s16le", "-"]
    result = subprocess.run(command, input=data, capture_output=True, check=True)
    return np.frombuffer(result.stdout, "<i2")


def snr_db(got: npt.NDArray[np.integer], wanted: npt.NDArray[np.integer]) -> float:
    """Return the level of `wanted` over that of the difference."""
    wanted_ = wanted.astype(np.float64)
    error = np.square(got.astype(np.float64) - wanted_).sum()
    return float("inf") if error == 0 else float(10 * np.log10(np.square(wanted_).sum() / error))


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def track(
    payloads: Sequence[bytes],
    format_: Format,
    *,
    seat: int = 1,
    at_ns: int = START,
    payload_type: int = 100,
    first_seq: int = 1000,
    first_timestamp: int = 50_000,
) -> Track:
    """Return a track of payloads sent and heard in perfect time."""
    length = np.array([ticks(format_, payload) or 0 for payload in payloads], np.int64)
    timestamp = first_timestamp + np.cumsum(length) - length
    return Track(
        name=f"seat {seat}",
        seat=seat,
        side=Side.LEFT if seat == 1 else Side.RIGHT,
        ssrc=seat,
        at_ns=at_ns + (timestamp - first_timestamp) * SECOND // format_.clock_rate,
        seq=first_seq + np.arange(len(payloads), dtype=np.int64),
        timestamp=timestamp,
        payload_type=np.full(len(payloads), payload_type, np.uint8),
        payloads=list(payloads),
        formats={payload_type: [FormatFrom(0, format_)]},
    )


def picked(whole: Track, rows: Sequence[int] | npt.NDArray[np.int64]) -> Track:
    """Return a track of the rows named, in that order."""
    index = np.asarray(rows, np.int64)
    return Track(
        whole.name,
        whole.seat,
        whole.side,
        whole.ssrc,
        whole.at_ns[index],
        whole.seq[index],
        whole.timestamp[index],
        whole.payload_type[index],
        [whole.payloads[row] for row in index.tolist()],
        whole.formats,
    )


def joined(*parts: Track) -> Track:
    """Return one track of the packets of several, by arrival: a stream that changes in the middle."""
    order = np.argsort(np.concatenate([part.at_ns for part in parts]), kind="stable")
    payloads = [payload for part in parts for payload in part.payloads]
    formats = {key: spans for part in parts for key, spans in part.formats.items()}
    return Track(
        parts[0].name,
        parts[0].seat,
        parts[0].side,
        parts[0].ssrc,
        np.concatenate([part.at_ns for part in parts])[order],
        np.concatenate([part.seq for part in parts])[order],
        np.concatenate([part.timestamp for part in parts])[order],
        np.concatenate([part.payload_type for part in parts])[order],
        [payloads[row] for row in order.tolist()],
        formats,
    )
