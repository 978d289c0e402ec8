"""The analysis process: reads pieces out of shared memory, decodes, listens, answers (DESIGN 3).

It has two descriptors, a socket to the worker and the memory, and nothing else: see sandbox.py. It reads what anybody
sent with decoders in C, so it may break; the worker starts another one.
"""

from __future__ import annotations

import gc
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic_ns
from typing import Final

import numpy as np

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.announcements import AnnouncementListener
from vittne.appliance.analysis.area import Area
from vittne.appliance.analysis.attention import Attention
from vittne.appliance.analysis.messages import REQUEST, Finding, Rows, pack_replies, read
from vittne.appliance.analysis.narrow import RATE
from vittne.appliance.analysis.references import read_references
from vittne.appliance.analysis.sandbox import close_all_but, enclose
from vittne.appliance.analysis.sound import Listener, Sound
from vittne.appliance.analysis.states import StateListener
from vittne.appliance.analysis.tones import ToneListener
from vittne.appliance.analysis.voices import Voices
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.front import Frames
from vittne.appliance.hearing.reference import Reference
from vittne.capture.columns import U8
from vittne.capture.handed import Voice
from vittne.codecs.formats import STATIC, Format

STATES_S: Final = 10  # of speech and tones worked on together: nobody waits for those, and it costs half of two seconds
MOST_WAITING: Final = 16 << 20  # samples that wait to be listened to, of voices in which tones were searched

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

    def __init__(self, references: list[Reference], places: list[int]) -> None:
        self._listener = AnnouncementListener(Detector(references))
        self._places = places

    def hear(self, frames: Frames) -> list[Finding]:
        """See FrameListener."""
        return self._named(self._listener.hear(frames))

    def end(self, number: int) -> list[Finding]:
        """See FrameListener."""
        return self._named(self._listener.end(number))

    def _named(self, found: list[Finding]) -> list[Finding]:
        return [replace(one, what=self._places[one.what]) for one in found]


def _is_usable(reference: Reference) -> bool:
    try:
        Detector([reference])
    except ValueError:
        return False
    return True


class Analysis:
    """What is done with each piece. area: whose head says which voice is being worked on."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._voices = Voices(self._busy)
        self._tones: list[Listener] = [ToneListener()]
        self._attention = Attention([Announcements([], []), StateListener(STATES_S)], self._busy)

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

    def listen(self, rows: Rows) -> list[Finding]:
        """Return what is heard in a piece in which tones are not searched."""
        sound, findings = self._voices.decode(rows)
        return findings + self._attention.hear(sound)

    def hear(self, sound: Sound) -> list[Finding]:
        """Return what is heard besides tones."""
        return self._attention.hear(sound)

    def end(self, numbers: Iterable[int]) -> list[Finding]:
        """Return what is known at last of voices that are over."""
        return self._attention.end(numbers)

    def learn(self, references: list[Reference]) -> list[Finding]:
        """Listen for these announcements from now on; return the places of those that cannot be recognised."""
        places = [place for place, one in enumerate(references) if _is_usable(one)]
        self._attention.listeners[0] = Announcements([references[place] for place in places], places)
        left_out = sorted(set(range(len(references))) - set(places))
        return [Finding(messages.NOT_DECODED, place, 0, 0) for place in left_out]


@dataclass(slots=True)
class _Work:
    """What has time. number: of the request that it answers; HEARD: of none."""

    number: int
    do: Callable[[], list[Finding]]
    samples: int = 0  # that wait with it
    sound: Sound | None = None  # which may be left out; None: it must not


class Queue:
    """Requests in their order, but tones first: somebody waits for those."""

    def __init__(self, analysis: Analysis, tones: Area, listening: Area, worker: socket.socket) -> None:
        self._analysis = analysis
        self._tones = tones
        self._listening = listening
        self._worker = worker
        self._work: deque[_Work] = deque()
        self._samples = 0

    def run(self) -> None:
        """Answer until the worker is gone."""
        while True:
            try:
                request = self._worker.recv(REQUEST.size, socket.MSG_DONTWAIT if self._work else 0)
            except BlockingIOError:
                self._do_one()
                continue
            if not request:
                return
            self._take(*REQUEST.unpack(request))

    def _take(self, number: int, offset: int, size: int, until: int, kind: int, flags: int) -> None:
        analysis = self._analysis
        if kind == messages.TONES:
            is_late = bool(until) and monotonic_ns() > until
            self._search(number, read(self._tones.data[offset : offset + size]), is_late, bool(flags & messages.MUST))
            return
        data = self._listening.data[offset : offset + size]
        if kind == messages.LISTEN:
            rows = read(data)
            self._forget(analysis.describe(rows))
            self._work.append(_Work(number, partial(analysis.listen, rows)))
        elif kind == messages.ENDED:
            self._work.append(_Work(number, partial(analysis.end, data.view(np.int32).tolist())))
        elif kind == messages.REFERENCES:
            self._work.append(_Work(number, partial(self._learn, data)))
        else:
            self._work.append(_Work(number, list))

    def _search(self, number: int, rows: Rows, is_late: bool, must: bool) -> None:
        self._forget(self._analysis.describe(rows))
        if is_late:
            self._answer(number, [Finding(messages.LATE, 0, 0, 0)])
            return
        sound, findings = self._analysis.search(rows)
        self._answer(number, findings)
        if sound.listen is None or not sound.listen.any():
            return
        samples = len(sound.samples)
        self._work.append(_Work(messages.HEARD, partial(self._analysis.hear, sound), samples, None if must else sound))
        self._samples += samples
        self._make_room()

    def _forget(self, numbers: list[int]) -> None:
        """These numbers mean other voices from now on; what waits is still of those before."""
        if numbers:
            self._work.append(_Work(messages.HEARD, partial(self._end_quietly, numbers)))

    def _end_quietly(self, numbers: list[int]) -> list[Finding]:
        self._analysis.end(numbers)
        return []

    def _learn(self, data: U8) -> list[Finding]:
        return self._analysis.learn(read_references(data))

    def _make_room(self) -> None:
        """Leave out what has waited longest, where too much does; what must not be is done first."""
        while self._samples > MOST_WAITING:
            place = next(place for place, work in enumerate(self._work) if work.samples)
            work = self._work[place]
            if work.sound is None:
                self._do_one()
                continue
            del self._work[place]
            self._samples -= work.samples
            sound = work.sound
            lost = []
            for number in np.unique(sound.number).tolist():
                mono = sound.mono_ns[sound.number == number]
                lost.append(Finding(messages.LATE, number, int(mono.min()), int(mono.max())))
            self._answer(messages.HEARD, lost)

    def _do_one(self) -> None:
        work = self._work.popleft()
        self._samples -= work.samples
        findings = work.do()
        if findings or work.number != messages.HEARD:
            self._answer(work.number, findings)

    def _answer(self, number: int, findings: list[Finding]) -> None:
        for reply in pack_replies(number, findings):
            self._worker.sendall(reply)


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
    analysis.learn([Reference(noise[: 2 * RATE])])
    analysis.describe(rows)
    sound, _ = analysis.search(rows)
    analysis.hear(sound)
    every = np.arange(len(noise) // 160)
    all_of_it = np.ones(len(every), np.bool_)
    packets_of = np.zeros(len(every), np.int32), every * 20_000_000, every * 160, np.full(len(every), 160)
    analysis.hear(Sound(*packets_of, noise, every * 160, all_of_it))
    analysis.end(range(len(rows.voices)))
    time = np.arange(800) / RATE
    tone = (4000 * (np.sin(2 * np.pi * 770 * time) + np.sin(2 * np.pi * 1336 * time))).astype(np.int16)
    number, whole = np.zeros(5, np.int32), np.full(5, 160, np.int64)
    heard = ToneListener().hear(Sound(number, np.arange(5), np.arange(5) * 160, whole, tone, np.arange(5) * 160))
    pack_replies(0, heard)


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
