"""The sound process: one recording, open and decoded where somebody wants to hear it (DESIGN 3).

    python -m vittne.appliance.audio.process FD

FD is a socket to the recorder (messages.py). Everything is loaded before it is told which recording; then it opens the
recording's files, gives up network, files and rights (analysis/sandbox.py), and decodes what anybody may have sent. It
keeps nothing but memory, and ends when the recorder lets go of it.
"""

from __future__ import annotations

import gc
import socket
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from vittne.appliance.analysis.sandbox import close_all_but, enclose
from vittne.appliance.audio import messages
from vittne.appliance.audio.encoded import Encoded, Wanted, silenced
from vittne.appliance.audio.peaks import Peaks
from vittne.appliance.keyring.harden import follow_parent
from vittne.appliance.opened import OpenedRecording
from vittne.appliance.playback import Playback
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import RECORDING, CallRow
from vittne.codecs.base import NotDecodable
from vittne.codecs.blocks import Blocks
from vittne.codecs.container import Parties, available_kinds, chosen, writing
from vittne.codecs.decoder import open_decoder
from vittne.codecs.formats import STATIC, Format
from vittne.codecs.resample import resample
from vittne.codecs.timeline import lay_out

_MOST_MEMORY: Final = 3 << 30  # of address space
_MOST_ENCODED: Final = 2  # files that are kept
_NOTES: Final = 50
_REHEARSED: Final = (
    *STATIC.values(),
    Format("opus", 48_000, 2),
    Format("AMR", 8000),
    Format("AMR-WB", 16_000),
    Format("iLBC", 8000),
    Format("speex", 16_000),
    Format("L16", 44_100),
    Format("G726-32", 8000),
    Format("AAL2-G726-24", 8000),
    Format("MS-GSM", 8000),
)


class Sound:
    """A recording that is open: answers questions about its sound."""

    def __init__(self, asked: dict[str, Any]) -> None:
        """Open what {"folder", "keys", "answered_us", "ended_us"} names. Raises StoreError."""
        folder = Path(asked["folder"])
        keys = {int(n): b64decode(key) for n, key in asked["keys"]}
        self._opened = OpenedRecording(folder, keys)
        call = CallRow(self._opened.id, RECORDING, (), "", "", 0, asked["answered_us"], asked["ended_us"])
        playback = Playback(self._opened)
        voices = playback.voices(call)
        rendering = lay_out(voices.tracks, voices.gaps, voices.from_ns, voices.to_ns)
        self._events = playback.events
        self._voices = voices
        self._blocks = Blocks(rendering)
        self._peaks = Peaks(self._blocks)
        self._encoded: dict[Wanted, Encoded] = {}

    def about(self) -> dict[str, Any]:
        """Say what is there. Times: ns UTC."""
        rendering = self._blocks.rendering
        notes = [*self._voices.notes, *rendering.notes]
        return {
            "rate": rendering.sample_rate,
            "samples": rendering.samples,
            "from_ns": rendering.from_ns,
            "to_ns": rendering.to_ns,
            "kinds": available_kinds(),
            "gaps": [[gap.from_ns, gap.to_ns, gap.reason] for gap in self._voices.gaps],
            "events": [[at_ns, said] for at_ns, said in self._events],
            "notes": [[note.track, note.reason, note.packets] for note in notes[:_NOTES]],
            "problems": self._opened.problems[:_NOTES],
        }

    def pcm(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return samples, 16 bits little endian, of the parties asked for."""
        samples = silenced(self._blocks.samples(asked["first"], asked["count"]), tuple(asked["mute"]))
        return {}, chosen(samples, Parties(asked["party"])).astype("<i2").tobytes()

    def peaks(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return lows and highs, (n, 4) int16 little endian, of a stretch in ms."""
        found = self._peaks.between(asked["from_ms"], asked["to_ms"], asked["points"])
        return {}, found.astype("<i2").tobytes()

    def encoded(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return bytes of a file, and how many it has, once that is known."""
        wanted = Wanted(asked["kind"], Parties(asked["party"]), asked["first"], asked["end"], tuple(asked["mute"]))
        found = self._encoded.pop(wanted, None) or Encoded(self._blocks, wanted)
        self._encoded[wanted] = found
        while len(self._encoded) > _MOST_ENCODED:
            del self._encoded[next(iter(self._encoded))]
        piece = found.read(asked["offset"], asked["most"]) if asked["most"] else b""
        return {"total": found.total}, piece

    def answer(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Do what is asked."""
        do = {"pcm": self.pcm, "peaks": self.peaks, "encoded": self.encoded}[asked["do"]]
        return do(asked)


def rehearse() -> None:
    """Do once what will be done, so that every module and library is loaded while files can be opened."""
    for format_ in _REHEARSED:
        try:
            open_decoder(format_).decode([bytes(40)])
        except NotDecodable:
            continue
    resample(np.zeros(800, np.int16), 8000, 48_000)
    for kind in available_kinds():
        sink = _Nothing()
        for _ in writing(sink, kind, [np.zeros((960, 2), np.int16)], 48_000):  # type: ignore[arg-type]
            pass


class _Nothing:
    def write(self, piece: bytes) -> int:
        return len(piece)


def serve(channel: socket.socket) -> None:
    """Open what the first message names, then answer until the other side is gone."""
    stream = channel.makefile("rb")
    sound: Sound | None = None
    while len(head := stream.read(messages.HEAD.size)) == messages.HEAD.size:
        asked = messages.parse(stream.read(messages.lengths(head)[0]))
        try:
            if sound is None:
                sound = Sound(asked)
                asked.clear()
                enclose(lock_memory=False, most_memory=_MOST_MEMORY)
                said, data = sound.about(), b""
            else:
                said, data = sound.answer(asked)
        except StoreError as error:
            said, data = {"error": [error.what, str(error.where), error.next_step]}, b""
        except (NotDecodable, av.FFmpegError) as error:
            said, data = {"error": [f"this cannot be encoded here: {error}", "", "choose wav"]}, b""
        try:
            channel.sendall(messages.pack(said, data))
        except BrokenPipeError:
            return


def main(fd: int) -> int:
    """Rehearse, then serve the recorder at the other end of a socket."""
    close_all_but({fd})
    follow_parent()
    rehearse()
    gc.freeze()
    with socket.socket(fileno=fd) as channel:
        channel.sendall(messages.pack({"ready": True}))
        serve(channel)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
