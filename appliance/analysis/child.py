"""The analysis process: reads pieces out of shared memory, decodes, listens, answers (DESIGN 3).

It has two descriptors, a socket to the worker and the memory, and nothing else: see sandbox.py. It reads what anybody
sent with decoders in C, so it may break; the worker starts another one.
"""

from __future__ import annotations

import gc
import socket
import sys
from time import monotonic_ns
from typing import Final

import numpy as np

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.area import Area
from vittne.appliance.analysis.messages import REQUEST, Finding, Rows, pack_replies, read
from vittne.appliance.analysis.narrow import RATE
from vittne.appliance.analysis.sandbox import close_all_but, enclose
from vittne.appliance.analysis.sound import Listener, Sound
from vittne.appliance.analysis.tones import ToneListener
from vittne.appliance.analysis.voices import Voices
from vittne.capture.handed import Voice
from vittne.codecs.formats import STATIC, Format

_KEY: Final = "1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
_DYNAMIC: Final = (
    Format("opus", 48_000, 2),
    Format("AMR", 8000),
    Format("AMR-WB", 16_000),
    Format("iLBC", 8000),
    Format("speex", 16_000),
    Format("L16", 44_100),
    Format("PCMU", 11_025),
    Format("G726-40", 8000),
    Format("AAL2-G726-24", 8000),
    Format("MS-GSM", 8000),
)


class Analysis:
    """What is done with each piece."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._voices = Voices(self._busy)
        self._listeners: list[Listener] = [ToneListener()]

    def _busy(self, number: int | None) -> None:
        self._area.busy_with = number

    def look(self, offset: int, size: int, is_late: bool) -> list[Finding]:
        """Return what is found in a piece. is_late: nobody waits for it, only what it says of voices counts."""
        rows = read(self._area.data[offset : offset + size])
        return self.look_at(rows, is_late)

    def look_at(self, rows: Rows, is_late: bool = False) -> list[Finding]:
        """See look()."""
        fresh = np.array([voice.number for voice in rows.voices if voice.is_new], np.int32)
        if len(fresh):
            for listener in self._listeners:
                listener.forget(fresh)
        self._voices.describe(rows.voices)
        if is_late:
            return [Finding(messages.LATE, 0, 0, 0)]
        sound, findings = self._voices.decode(rows)
        for listener in self._listeners:
            findings += listener.hear(sound)
        return findings


def rehearse(area: Area) -> None:
    """Do once what will be done, so that every module and library is loaded while files can be opened."""
    formats = dict(enumerate((*STATIC.values(), *_DYNAMIC)))
    count = 4 * len(formats)
    kind = np.repeat(np.arange(len(formats)), 4).astype(np.uint8)
    packets = [b"\x80" + bytes([number]) + bytes(10 + 40 * (place % 4)) for place, number in enumerate(kind.tolist())]
    length = np.array([len(packet) for packet in packets], np.int64)
    rows = Rows(
        np.arange(count, dtype=np.int64),
        length,
        np.zeros(count, np.uint32),
        kind.astype(np.int32),
        np.arange(count, dtype=np.uint16),
        kind,
        np.cumsum(length) - length,
        np.frombuffer(b"".join(packets), np.uint8),
        [Voice(number, formats, (_KEY,) if not number else (), is_new=True) for number in formats],
    )
    Analysis(area).look_at(rows)
    time = np.arange(800) / RATE
    tone = (4000 * (np.sin(2 * np.pi * 770 * time) + np.sin(2 * np.pi * 1336 * time))).astype(np.int16)
    number, whole = np.zeros(5, np.int32), np.full(5, 160, np.int64)
    heard = ToneListener().hear(Sound(number, np.arange(5), np.arange(5) * 160, whole, tone, np.arange(5) * 160))
    pack_replies(0, heard)


def main(fd: int, memory_fd: int, size: int) -> None:
    """Answer until the worker is gone."""
    close_all_but({fd, memory_fd})
    area = Area(memory_fd, size)
    rehearse(area)
    enclose()
    gc.freeze()
    analysis = Analysis(area)
    with socket.socket(fileno=fd) as worker:
        worker.sendall(pack_replies(messages.READY, [])[0])
        while request := worker.recv(REQUEST.size):
            number, offset, length, until = REQUEST.unpack(request)
            is_late = bool(until) and monotonic_ns() > until
            for reply in pack_replies(number, analysis.look(offset, length, is_late)):
                worker.sendall(reply)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
