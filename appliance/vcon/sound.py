"""Sound that somebody sent, decoded by FFmpeg in bounds: known kinds and codecs, one stream, a length, a rate.

It is read from memory and from nowhere else: no kind is taken that can name another file or address. Nobody calls this
but apart.py, in a process that has given up everything.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from vittne.codecs.base import I16

MOST_DECODED: Final = 1 << 30  # bytes of samples: 9 hours of stereo at 8 kHz
MOST_CHANNELS: Final = 8
RATES: Final = range(4000, 192_001)
_MOST_DAMAGED: Final = 200  # packets that do not decode, before it is given up
_MOST_STREAMS: Final = 16
_KINDS: Final = (  # where in a file what stands, and FFmpeg's demuxer for it
    (8, b"WAVE", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (4, b"ftyp", "mov"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b".snd", "au"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b"#!AMR", "amr"),
    (0, b"caff", "caf"),
    (0, b"ID3", "mp3"),
)
_CODECS: Final = frozenset(
    {
        *("flac", "opus", "libopus", "vorbis", "mp3", "mp3float", "mp2", "aac", "alac", "speex", "libspeex", "ilbc"),
        *("amrnb", "amr_nb", "libopencore_amrnb", "amrwb", "amr_wb", "libopencore_amrwb", "gsm", "gsm_ms"),
        *("g722", "g726", "g726le", "g729", "g723_1"),
    }
)


class BadSound(ValueError):
    """Sound that is not taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file of sound is. alone: nothing but one stream of sound is in it; tags: texts beside the sound."""

    kind: str
    codec: str
    rate: int
    channels: int
    alone: bool
    tags: tuple[str, ...] = ()


@contextmanager
def read_sound(data: bytes | memoryview) -> Iterator[tuple[Facts, Iterator[I16]]]:
    """Yield what a file is, and its samples, (k, channels) int16 at its own rate. Raises BadSound, also from within."""
    kind = _kind(bytes(data[:16]))
    try:
        container = av.open(io.BytesIO(data), "r", format=kind, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise BadSound(f"it begins as {kind} does, and cannot be read as that") from error
    with container:
        stream = _stream(container)
        codec = str(stream.codec_context.codec.name)
        facts = Facts(
            kind,
            codec,
            int(stream.codec_context.sample_rate or 0),
            int(stream.codec_context.channels or 0),
            len(container.streams) == 1,
            tuple(str(text)[:4096] for one in (container, *container.streams) for text in one.metadata.values()),
        )
        if not codec.startswith(("pcm_", "adpcm_")) and codec not in _CODECS:
            raise BadSound(f"its codec {codec[:40]} is not taken")
        if facts.rate not in RATES or not 1 <= facts.channels <= MOST_CHANNELS:
            raise BadSound(f"{facts.channels} channels at {facts.rate} Hz are no telephone's")
        yield facts, _samples(container, stream, facts)


def _kind(head: bytes) -> str:
    for at, mark, kind in _KINDS:
        if head[at : at + len(mark)] == mark:
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # a frame of MPEG audio
        return "mp3"
    raise BadSound("it is of no kind of sound that is taken (wav, flac, ogg, mp3, mp4, webm, au, aiff, amr, caf)")


def _stream(container: Any) -> AudioStream:
    if len(container.streams) > _MOST_STREAMS or len(container.streams.audio) != 1:
        raise BadSound(f"it has {len(container.streams.audio)} streams of sound, not one")
    found: AudioStream = container.streams.audio[0]
    if found.codec_context is None:
        raise BadSound("there is no decoder for it")
    found.codec_context.thread_count = 1
    return found


def _samples(container: Any, stream: AudioStream, facts: Facts) -> Iterator[I16]:
    to_16_bits: AudioResampler | None = None
    room, damaged = MOST_DECODED // 2, 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                damaged += 1
                if damaged > _MOST_DAMAGED:
                    raise BadSound("it is damaged: too much of it does not decode") from error
                continue
            for frame in frames:
                if not isinstance(frame, AudioFrame):
                    continue
                if (frame.sample_rate, frame.layout.nb_channels) != (facts.rate, facts.channels):
                    raise BadSound("it changes its rate or channels on the way")
                to_16_bits = to_16_bits or AudioResampler(format="s16", layout=frame.layout, rate=facts.rate)
                for piece in to_16_bits.resample(frame):
                    found = piece.to_ndarray().reshape(-1, facts.channels)
                    room -= found.size
                    if room < 0:
                        raise BadSound(f"it is longer than {MOST_DECODED >> 20} MB of samples")
                    yield np.ascontiguousarray(found, np.int16)
    except av.FFmpegError as error:
        raise BadSound(f"it breaks off ({error.strerror})") from error
