"""The analysis process: reads pieces out of shared memory, decodes, listens, answers (DESIGN 3).

It has two descriptors, a socket to the worker and the memory, and nothing else: see sandbox.py. It reads what anybody
sent with decoders in C, so it may break; the worker starts another one.
"""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.announcements import AnnouncementListener
from vittne.appliance.analysis.area import Area
from vittne.appliance.analysis.attention import Attention
from vittne.appliance.analysis.messages import Finding, Rows, pack_replies
from vittne.appliance.analysis.narrow import RATE
from vittne.appliance.analysis.sandbox import close_all_but, enclose
from vittne.appliance.analysis.sound import Listener, Sound
from vittne.appliance.analysis.states import StateListener
from vittne.appliance.analysis.tasks import Queue
from vittne.appliance.analysis.tones import ToneListener
from vittne.appliance.analysis.voices import Voices
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard
from vittne.appliance.hearing.reference import Reference
from vittne.capture.handed import Voice
from vittne.codecs.formats import STATIC, Format

STATES_S: Final = 10  # of speech and tones worked on together: nobody waits for those, and it costs half of two seconds

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


class Announcements:
    """Listens for references, and names them by their places among those that were sent."""

    def __init__(self, detector: Detector, places: list[int]) -> None:
        self._listener = AnnouncementListener(detector)
        self._places = places

    def hear(self, runs: Runs, guard: Guard) -> list[Finding]:
        """See FrameListener."""
        return self._named(self._listener.hear(runs, guard))

    def end(self, numbers: Sequence[int], guard: Guard) -> list[Finding]:
        """See FrameListener."""
        return self._named(self._listener.end(numbers, guard))

    def _named(self, found: list[Finding]) -> list[Finding]:
        return [replace(one, what=self._places[one.what]) for one in found]


class Analysis:
    """What is done with each piece. area: whose head says which voice is being worked on."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._voices = Voices(self._busy)
        self._tones: list[Listener] = [ToneListener()]
        self._attention = Attention([Announcements(Detector(), []), StateListener(STATES_S)], self._busy)

    def _busy(self, number: int | None) -> None:
        self._area.busy_with = number

    def describe(self, rows: Rows) -> list[int]:
        """Take in what is new of voices; return those that were others before."""
        fresh = [voice.number for voice in rows.voices if voice.is_new]
        if fresh:
            for listener in self._tones:
                listener.forget(np.array(fresh, np.int32))
        self._voices.describe(rows.voices)
        return fresh

    def search(self, rows: Rows) -> tuple[Sound, list[Finding]]:
        """Return a piece decoded, and what is found in it at once."""
        sound, findings = self._voices.decode(rows)
        for listener in self._tones:
            findings += listener.hear(sound)
        return sound, findings

    def listen(self, rows: Rows) -> Iterator[list[Finding]]:
        """Yield what is heard in a piece in which tones are not searched, some voices at a time."""
        sound, findings = self._voices.decode(rows)
        yield findings
        yield from self._attention.hear(sound)

    def hear(self, sound: Sound) -> Iterator[list[Finding]]:
        """Yield what is heard besides tones, some voices at a time."""
        return self._attention.hear(sound)

    def end(self, numbers: Iterable[int]) -> Iterator[list[Finding]]:
        """Yield what is known at last of voices that are over, some at a time."""
        return self._attention.end(numbers)

    def learn(self, references: Iterable[Reference]) -> Iterator[list[Finding]]:
        """Listen for these announcements from now on; yield the places of those that cannot be recognised.

        A step is one of them. Those that were listened for before are, until all are learned.
        """
        detector = Detector()
        places = []
        for place, one in enumerate(references):
            try:
                detector.learn(one)
                places.append(place)
                yield []
            except ValueError:
                yield [Finding(messages.NOT_DECODED, place, 0, 0)]
        self._attention.listeners[0] = Announcements(detector, places)


def rehearsal() -> Rows:
    """Return packets of every codec, none of which means anything."""
    formats = dict(enumerate((*STATIC.values(), *_DYNAMIC)))
    count = 4 * len(formats)
    kind = np.repeat(np.arange(len(formats)), 4).astype(np.uint8)
    packets = [b"\x80" + bytes([number]) + bytes(10 + 40 * (place % 4)) for place, number in enumerate(kind.tolist())]
    length = np.array([len(packet) for packet in packets], np.int64)
    return Rows(
        np.arange(count, dtype=np.int64),
        length,
        np.zeros(count, np.uint32),
        kind.astype(np.int32),
        np.arange(count, dtype=np.uint16),
        kind,
        np.cumsum(length) - length,
        np.frombuffer(b"".join(packets), np.uint8),
        [Voice(number, formats, (_KEY,) if not number else (), is_new=True) for number in formats],
        np.ones(count, np.uint8),
    )


def rehearse(area: Area) -> None:
    """Do once what will be done, so that every module and library is loaded while files can be opened."""
    rows = rehearsal()
    analysis = Analysis(area)
    noise = np.random.default_rng(1).normal(0, 3000, 4 * RATE).astype(np.int16)
    _do_all(analysis.learn([Reference(noise[: 2 * RATE])]))
    analysis.describe(rows)
    sound, _ = analysis.search(rows)
    _do_all(analysis.hear(sound))
    every = np.arange(len(noise) // 160)
    all_of_it = np.ones(len(every), np.bool_)
    packets_of = np.zeros(len(every), np.int32), every * 20_000_000, every * 160, np.full(len(every), 160)
    _do_all(analysis.hear(Sound(*packets_of, noise, every * 160, all_of_it)))
    _do_all(analysis.end(range(len(rows.voices))))
    time = np.arange(800) / RATE
    tone = (4000 * (np.sin(2 * np.pi * 770 * time) + np.sin(2 * np.pi * 1336 * time))).astype(np.int16)
    number, whole = np.zeros(5, np.int32), np.full(5, 160, np.int64)
    heard = ToneListener().hear(Sound(number, np.arange(5), np.arange(5) * 160, whole, tone, np.arange(5) * 160))
    pack_replies(0, heard)


def _do_all(steps: Iterator[list[Finding]]) -> list[Finding]:
    return [found for step in steps for found in step]


def main(fd: int, size: int, memory_fd: int, listening_fd: int) -> None:
    """Answer until the worker is gone. memory_fd: for tones; listening_fd: for what has time; size: of either."""
    close_all_but({fd, memory_fd, listening_fd})
    area, listening = Area(memory_fd, size), Area(listening_fd, size)
    rehearse(area)
    enclose()
    gc.freeze()
    with socket.socket(fileno=fd) as worker:
        worker.sendall(pack_replies(messages.READY, [])[0])
        Queue(Analysis(area), area, listening, worker).run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
