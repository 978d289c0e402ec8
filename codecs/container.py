"""Samples into files: WAV, FLAC, Ogg Opus and MP3, streamed from pieces.

The bit-exact flags are set and nothing is written that changes from run to run
(program versions, random serial numbers): equal samples give equal files with one
FFmpeg build, and WAV and FLAC decode to exactly what was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError

from vittne.codecs.base import I16, NotDecodable

_ENCODE_SAMPLES: Final = 1 << 16  # per frame handed to an encoder
BIT_EXACT: Final = {"fflags": "+bitexact"}


class Parties(Enum):
    """Whose voice a file holds."""

    CALLER = "caller"  # mono, the left column
    CALLEE = "callee"  # mono, the right column
    BOTH = "both"  # stereo, caller left


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: FFmpeg's muxer, its encoders by preference, and the rates it can hold."""

    muxer: str
    encoders: tuple[str, ...]
    rates: tuple[int, ...] = ()  # () is any
    bit_rate: int | None = None  # for each channel


_MP3_RATES: Final = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
KINDS: Final[dict[str, Kind]] = {
    "wav": Kind("wav", ("pcm_s16le",)),
    "flac": Kind("flac", ("flac",)),
    # 24 kbit/s mono is transparent for telephone voice.
    "opus": Kind("ogg", ("libopus",), (8000, 12_000, 16_000, 24_000, 48_000), 24_000),
    "mp3": Kind("mp3", ("libmp3lame",), _MP3_RATES, 32_000),
}


def available_kinds() -> tuple[str, ...]:
    """Return the kinds of file that this build of FFmpeg can write."""
    return tuple(name for name, kind in KINDS.items() if _encoder(kind) is not None)


def write(
    target: str | Path | BinaryIO,
    kind_name: str,
    chunks: Iterable[I16],
    sample_rate: int,
    parties: Parties = Parties.BOTH,
) -> int:
    """Write (k, 2) int16 pieces to a file; return the samples of each channel taken in.

    kind_name: one of `available_kinds`; NotDecodable when this FFmpeg cannot write it.
    """
    return max(writing(target, kind_name, chunks, sample_rate, parties))


def writing(
    target: str | Path | BinaryIO,
    kind_name: str,
    chunks: Iterable[I16],
    sample_rate: int,
    parties: Parties = Parties.BOTH,
) -> Iterator[int]:
    """Do what write() does, a piece at a time; yield the samples taken in so far after each."""
    kind = KINDS[kind_name]
    encoder = _encoder(kind)
    if encoder is None:
        raise NotDecodable(f"this FFmpeg cannot write {kind_name}")
    with open_output(target, kind.muxer) as container:
        stream = add_stream(container, encoder, _rate_for(kind, sample_rate), parties)
        if kind.bit_rate:
            stream.codec_context.bit_rate = kind.bit_rate * (2 if parties is Parties.BOTH else 1)
        samples = 0
        for frame in frames(chunks, sample_rate, parties):
            samples += frame.samples
            container.mux(stream.encode(frame))
            yield samples
        if not samples:
            container.start_encoding()
        container.mux(stream.encode(None))
    yield samples


def open_output(target: str | Path | BinaryIO, muxer: str) -> OutputContainer:
    """Open a file for writing, bit-exact."""
    where = str(target) if isinstance(target, Path) else target
    container = av.open(where, "w", format=muxer, options=BIT_EXACT)
    assert isinstance(container, OutputContainer)
    return container


def add_stream(container: OutputContainer, encoder: str, rate: int, parties: Parties) -> AudioStream:
    """Add a stream of one or two channels with a bit-exact encoder."""
    stream = container.add_stream(encoder, rate=rate)
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = "stereo" if parties is Parties.BOTH else "mono"
    stream.codec_context.flags |= av.codec.context.Flags.bitexact
    return stream


def frames(chunks: Iterable[I16], sample_rate: int, parties: Parties) -> Iterator[AudioFrame]:
    """Yield the chosen columns as FFmpeg frames, each with its place."""
    at = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _ENCODE_SAMPLES):
            piece = chosen(chunk[start : start + _ENCODE_SAMPLES], parties)
            layout = "stereo" if piece.shape[1] == 2 else "mono"
            packed = np.ascontiguousarray(piece).reshape(1, -1)
            frame = AudioFrame.from_ndarray(packed, format="s16", layout=layout)
            frame.sample_rate = sample_rate
            frame.time_base = Fraction(1, sample_rate)
            frame.pts = at
            at += len(piece)
            yield frame


def chosen(chunk: I16, parties: Parties) -> I16:
    """Return (k, 1) or (k, 2): the columns of the parties asked for."""
    if parties is Parties.BOTH:
        return chunk
    return chunk[:, :1] if parties is Parties.CALLER else chunk[:, 1:]


def _encoder(kind: Kind) -> str | None:
    for name in kind.encoders:
        try:
            av.Codec(name, "w")
        except (FFmpegError, ValueError):
            continue
        return name
    return None


def _rate_for(kind: Kind, rate: int) -> int:
    """Return the rate itself where the kind of file can hold it, else the next higher, else the highest."""
    if not kind.rates or rate in kind.rates:
        return rate
    return min((held for held in kind.rates if held > rate), default=kind.rates[-1])
