"""One FFmpeg decoder through PyAV: bytes in, int16 mono out, and no exception for bad bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from vittne.codecs.base import I16, SILENCE, NotDecodable


class Engine:
    """An open FFmpeg decoder. What it refuses comes back as None, never as an exception."""

    def __init__(self, context: AudioCodecContext, container: InputContainer | OutputContainer | None = None) -> None:
        self._context = context
        self._container = container  # a context that came from a container dies with it

    def decode(self, data: bytes) -> I16 | None:
        """Return the samples of one packet, which may hold many frames; None when it is refused."""
        if not data:
            return SILENCE
        try:
            frames = self._context.decode(av.Packet(data))
        except (FFmpegError, ValueError):
            return None
        if len(frames) == 1:
            return _mono(frames[0])
        return np.concatenate([SILENCE, *(_mono(frame) for frame in frames)])


def open_engine(names: Sequence[str], rate: int, bit_rate: int | None = None) -> Engine:
    """Open the first of the named decoders that this build of FFmpeg has; NotDecodable when it has none.

    Several names: distributions differ in what they compile in.
    """
    for name in names:
        if name not in av.codecs_available:
            continue
        try:
            context = AudioCodecContext.create(name, "r")
            if not isinstance(context, AudioCodecContext):
                continue
            context.sample_rate = rate
            context.layout = "mono"
            if bit_rate is not None:
                context.bit_rate = bit_rate
            context.open()
        except (FFmpegError, ValueError):
            continue
        return Engine(context)
    raise NotDecodable(f"no decoder for {rate} Hz in this FFmpeg (looked for {', '.join(names)})")


def open_raw(demuxer: str, options: dict[str, str]) -> Engine:
    """Open the decoder that a raw demuxer sets up, for what PyAV cannot set itself (G.726's bits)."""
    try:
        container = av.open(io.BytesIO(bytes(256)), format=demuxer, options=options)
        stream = container.streams[0]
    except (FFmpegError, ValueError, IndexError) as error:
        raise NotDecodable(f"no {demuxer} in this FFmpeg: {error}") from error
    if not isinstance(stream, AudioStream):
        raise NotDecodable(f"{demuxer} in this FFmpeg is not audio")
    return Engine(stream.codec_context, container)


_DTYPES: Final = {"s16": np.int16, "s16p": np.int16, "flt": np.float32, "fltp": np.float32}


def _mono(frame: AudioFrame) -> I16:
    """Return a frame as (n,) int16; floats are scaled and rounded as swresample does."""
    dtype = _DTYPES.get(frame.format.name)
    if dtype is not None and len(frame.layout.channels) == 1:
        # Straight from the plane: to_ndarray costs more than decoding a frame of G.729.
        samples: npt.NDArray[Any] = np.frombuffer(memoryview(frame.planes[0]), dtype, frame.samples)
    else:
        samples = frame.to_ndarray().reshape(-1, frame.samples, order="F").mean(axis=0)
    if samples.dtype == np.int16:
        return samples.copy()
    return np.asarray(np.clip(np.rint(samples * 32768.0), -32768, 32767), np.int16)
