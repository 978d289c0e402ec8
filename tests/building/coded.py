"""Payloads of real codecs, from samples at 8000 Hz: FFmpeg's encoders, and bcg729 for G.729 where it is installed."""

from __future__ import annotations

import ctypes
import io
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from building.formats import CODECS, Codec, Samples, payloads

_SPEEX: Final = Codec("speex", 110, 8000)
_AMR: Final = Codec("AMR", 112, 8000, fmtp="octet-align=1")
_G726: Final = Codec("G726-32", 113, 8000)
PTIME_MS: Final = {"G723": 30}


def codec_of(name: str) -> Codec:
    """Return how a codec is offered."""
    return {"speex": _SPEEX, "AMR": _AMR, "G726-32": _G726}.get(name) or replace(CODECS[name], frame_bytes=0)


def ptime_of(name: str) -> int:
    """Return the milliseconds in a packet of encoded()."""
    return PTIME_MS.get(name, 20)


def encoded(name: str, said: Samples) -> list[bytes]:
    """Return what a telephone sends that says this; a test that asks for an encoder that is not here is skipped."""
    codec = codec_of(name)
    if name in ("PCMU", "PCMA", "G722", "opus"):
        return payloads(codec, _stretched(said, codec.audio_rate // 8000), 20)
    return _ENCODERS[name](said)


def _stretched(said: Samples, factor: int) -> Samples:
    """Return the samples at a higher rate, nothing added above 4 kHz."""
    if factor == 1:
        return said
    spectrum = np.fft.rfft(said.astype(np.float64))
    wide = np.fft.irfft(np.pad(spectrum, (0, len(said) * factor // 2 + 1 - len(spectrum))), len(said) * factor)
    return np.clip(np.rint(wide * factor), -32768, 32767).astype(np.int16)


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data) - size + 1, size)]


def _ffmpeg(said: Samples, *options: str) -> bytes:
    command = ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", "8000", "-ac", "1", "-i", "-", *options, "-"]
    done = subprocess.run(command, input=said.tobytes(), capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()
    return done.stdout


def _speex(said: Samples) -> list[bytes]:
    import av  # noqa: PLC0415

    with av.open(io.BytesIO(_ffmpeg(said, "-c:a", "libspeex", "-f", "ogg")), "r") as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def _by_pyav(said: Samples, encoder: str, bit_rate: int, size: int) -> list[bytes]:
    import av  # noqa: PLC0415

    context: Any = av.CodecContext.create(encoder, "w")
    context.sample_rate, context.layout, context.format = 8000, "mono", "s16"
    context.bit_rate, context.time_base = bit_rate, Fraction(1, 8000)
    context.open()
    found: list[bytes] = []
    for at in range(0, len(said) - size + 1, size):
        frame = av.AudioFrame.from_ndarray(said[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, at
        found += [bytes(packet) for packet in context.encode(frame)]
    return found


def _amr(said: Samples) -> list[bytes]:
    # RFC 4867 4.4: no mode asked for, then a table of contents of one frame, which is how the file format begins too.
    return [b"\xf0" + frame for frame in _by_pyav(said, "libopencore_amrnb", 12_200, 160)]


def _g729(said: Samples) -> list[bytes]:
    library = ctypes.CDLL("libbcg729.so.0")  # Debian's libbcg729-0: `make tools` brings it
    library.initBcg729EncoderChannel.restype = ctypes.c_void_p
    channel = ctypes.c_void_p(library.initBcg729EncoderChannel(ctypes.c_uint8(0)))
    out, size, coded = (ctypes.c_uint8 * 16)(), ctypes.c_uint8(0), bytearray()
    for frame in said[: len(said) // 80 * 80].reshape(-1, 80):
        data = np.ascontiguousarray(frame)
        library.bcg729Encoder(channel, ctypes.c_void_p(data.ctypes.data), out, ctypes.byref(size))
        coded += bytes(out[: size.value])
    library.closeBcg729EncoderChannel(channel)
    return _cut(bytes(coded), 20)


_ENCODERS: Final[dict[str, Callable[[Samples], list[bytes]]]] = {
    "GSM": lambda said: _cut(_ffmpeg(said, "-c:a", "libgsm", "-f", "gsm"), 33),
    "G726-32": lambda said: _cut(_ffmpeg(said, "-c:a", "g726le", "-b:a", "32k", "-f", "g726le"), 80),
    "G723": lambda said: _by_pyav(said, "g723_1", 6300, 240),
    "speex": _speex,
    "AMR": _amr,
    "G729": _g729,
}
