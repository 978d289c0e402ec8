"""`vittne play`: a call on this machine's sound card, through PyAudio (the extra `audio`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from vittne.appliance.export import render, tell
from vittne.appliance.looks import Look, Purpose, enter_look
from vittne.appliance.opened import open_recording
from vittne.appliance.playback import Playback
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.terminal import duration
from vittne.codecs.base import I16
from vittne.codecs.container import Parties, chosen

_PIECE_S: Final = 0.5  # so long Ctrl-C waits at most


def play(data_dir: Path, call: CallRow, party: str, from_answer: bool, purpose: Purpose = "", review: str = "") -> int:
    """Play a call to its end; Ctrl-C stops it. Raises StoreError: no PyAudio, no sound card, no recording."""
    audio = _pyaudio()  # before the recording is opened: nobody waits for nothing
    enter_look(data_dir, Look(kind="play", recording=call.id, party=party, purpose=purpose, review=review))
    with open_recording(data_dir, call.folder, call.id) as opened:
        voices = Playback(opened).voices(call, party, from_answer)
        tell(voices.notes, opened.problems)
        rendering = render(voices)
        channels = 2 if party == "both" else 1
        stream = _sound_card(audio, rendering.sample_rate, channels)
        try:
            for number, piece in enumerate(rendering.chunks(_PIECE_S)):
                _tell_position(number * _PIECE_S, rendering.samples / rendering.sample_rate)
                stream.write(chosen(piece, Parties(party)).tobytes())
        finally:
            stream.close()
            audio.terminate()
    return 0


def play_samples(samples: I16, rate: int) -> None:
    """Play one voice, (n,) int16. Raises StoreError: no PyAudio, no sound card."""
    audio = _pyaudio()
    stream = _sound_card(audio, rate, 1)
    size = int(_PIECE_S * rate)
    try:
        for begin in range(0, len(samples), size):
            stream.write(samples[begin : begin + size].tobytes())
    finally:
        stream.close()
        audio.terminate()


def _pyaudio() -> Any:
    try:
        import pyaudio  # noqa: PLC0415 - an extra that few have
    except ImportError as error:
        next_step = "install it (`apt install portaudio19-dev`, `pip install 'vittne[audio]'`), or use `vittne export`"
        raise StoreError("playing needs PyAudio", "play", next_step) from error
    return pyaudio.PyAudio()


def _sound_card(audio: Any, rate: int, channels: int) -> Any:
    try:
        return audio.open(format=audio.get_format_from_width(2), channels=channels, rate=rate, output=True)
    except OSError as error:
        audio.terminate()
        next_step = "connect one, or use `vittne export` and play the file elsewhere"
        raise StoreError(f"there is no sound card that can be used ({error})", "play", next_step) from error


def _tell_position(at_s: float, of_s: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{duration(at_s)} of {duration(of_s)} ", end="", file=sys.stderr, flush=True)
