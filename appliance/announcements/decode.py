"""A sound file that somebody gives us, to 8000 Hz: whatever FFmpeg reads of it, and nothing that it points to.

The file is foreign: it is read whole up to a limit, a playlist is refused, streams of absurd rates are, and decoding
ends where a sound is longer than one may be.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from vittne.appliance.announcements.terms import RATE
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain
from vittne.codecs.base import I16

LARGEST_BYTES: Final = 128 << 20
LONGEST_S: Final = 600.0  # of a file that an announcement is cut out of
_MOST_CHANNELS: Final = 8
_RATES: Final = range(4000, 384_001)
_LONGEST_NAME: Final = 255
# Containers that hold their sound themselves. Playlists (hls, concat, dash) open other files and addresses.
_CONTAINERS: Final = (
    *("wav", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3", "aac", "amr", "amrnb", "amrwb", "gsm", "asf", "avi"),
    *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "voc", "g723_1", "sln"),
)
# What PBXes keep their prompts in without any header.
_BARE: Final[dict[str, tuple[str, int]]] = {
    **dict.fromkeys((".ulaw", ".mulaw", ".ul", ".ulw", ".pcm"), ("mulaw", 8000)),
    **dict.fromkeys((".alaw", ".al", ".alw"), ("alaw", 8000)),
    **{f".sln{n or ''}": ("s16le", (n or 8) * 1000) for n in (0, 12, 16, 24, 32, 48)},
    ".g722": ("g722", 16_000),
    ".gsm": ("gsm", 8000),
    ".g729": ("g729", 8000),
}
_RATELESS: Final = frozenset({"gsm", "g729", "g722"})  # these demuxers take no option of that name


class BadSound(StoreError):
    """A file that cannot be heard, and why."""


@dataclass(frozen=True, slots=True)
class SoundFile:
    """samples: (n, channels) int16 at 8000 Hz. is_cut: it is longer than what was read of it."""

    name: str
    sha256: str
    samples: I16
    is_cut: bool

    @property
    def mono(self) -> I16:
        """All channels together."""
        if self.samples.shape[1] == 1:
            return self.samples[:, 0]
        return np.asarray(self.samples.mean(axis=1).round(), np.int16)


def decode(path: Path, longest_s: float = LONGEST_S, stereo: bool = False) -> SoundFile:
    """Return what is in a sound file. stereo: keep two channels apart, where there are two. Raises BadSound."""
    data = _read(path)
    bare = _BARE.get(path.suffix.lower())
    try:
        samples, is_cut = _decoded(data, bare, longest_s, stereo, path)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        reason = error.strerror if isinstance(error, av.FFmpegError) else type(error).__name__
        raise BadSound(f"this is no sound that can be read ({reason})", path, _NEXT) from None
    return SoundFile(path.name[:_LONGEST_NAME], hashlib.sha256(data).hexdigest(), samples, is_cut)


_NEXT: Final = "give WAV, FLAC, MP3, Ogg, M4A, AMR, or a PBX's own .ulaw, .alaw, .sln, .g722, .gsm"


def _read(path: Path) -> bytes:
    try:
        with open_plain(path) as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise explain(error, "read a sound file", path) from error
    if len(data) > LARGEST_BYTES:
        raise BadSound(f"the file is larger than {LARGEST_BYTES >> 20} MB", path, "cut the announcement out of it")
    if not data:
        raise BadSound("the file is empty", path, _NEXT)
    return data


def _decoded(data: bytes, bare: tuple[str, int] | None, longest_s: float, stereo: bool, path: Path) -> tuple[I16, bool]:
    form, options = None, {"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": "none"}
    if bare is not None:
        form, rate = bare
        options = {} if form in _RATELESS else {"sample_rate": str(rate)}
    most = int(longest_s * RATE)
    pieces, count = [], 0
    with av.open(io.BytesIO(data), "r", format=form, options=options) as container:
        if not container.streams.audio:
            raise BadSound("there is no sound in this file", path, _NEXT)
        stream = container.streams.audio[0]
        resampler: AudioResampler | None = None
        for frame in _frames(container, stream):
            _refuse_absurd(frame, path)
            if resampler is None:
                layout = "stereo" if stereo and len(frame.layout.channels) == 2 else "mono"
                resampler = AudioResampler(format="s16", layout=layout, rate=RATE)
            for piece in resampler.resample(frame):
                pieces.append(_columns(piece))
                count += len(pieces[-1])
            if count > most:
                break
        else:
            pieces += [_columns(piece) for piece in resampler.resample(None)] if resampler is not None else []
    if not pieces:
        raise BadSound("there is no sound in this file", path, _NEXT)
    samples = np.concatenate(pieces)
    return samples[:most], len(samples) > most


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Yield frames; a packet that is broken is passed over, as a player does, unless none can be decoded."""
    good = 0
    last: av.FFmpegError | None = None
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                good += 1
                yield frame
        except av.FFmpegError as error:
            last = error
    if not good and last is not None:
        raise last


def _refuse_absurd(frame: AudioFrame, path: Path) -> None:
    """A second at 1 Hz would become 8000: a small file could fill the memory."""
    if frame.sample_rate not in _RATES:
        raise BadSound(f"a sound with {frame.sample_rate} samples a second is none", path, _NEXT)
    if not 0 < len(frame.layout.channels) <= _MOST_CHANNELS:
        raise BadSound(f"a sound with {len(frame.layout.channels)} channels is none of a telephone", path, _NEXT)


def _columns(frame: AudioFrame) -> I16:
    """Return (n, channels) of packed samples."""
    return np.asarray(frame.to_ndarray(), np.int16).reshape(-1, len(frame.layout.channels))
