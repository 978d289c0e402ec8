"""What the analysis process has been asked for: in its order, but tones first, whatever else is being done."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Final, Protocol

import numpy as np

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.area import Area
from vittne.appliance.analysis.messages import REQUEST, Finding, Rows, pack_replies, read
from vittne.appliance.analysis.references import read_references
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.hearing.reference import Reference

MOST_WAITING: Final = 16 << 20  # samples that wait to be listened to, of voices in which tones were searched

Steps = Iterable[list[Finding]]  # what is done in some milliseconds at a time, with what was found in each


class Analyser(Protocol):
    """What is done with each request: child.py."""

    def describe(self, rows: Rows) -> list[int]:
        """Take in what is new of voices; return those that were others before."""
        ...

    def search(self, rows: Rows) -> tuple[Sound, list[Finding]]:
        """Return a piece decoded, and what is found in it at once."""
        ...

    def listen(self, rows: Rows) -> Steps:
        """Yield what is heard in a piece in which tones are not searched."""
        ...

    def hear(self, sound: Sound) -> Steps:
        """Yield what is heard besides tones."""
        ...

    def learn(self, references: Iterable[Reference]) -> Steps:
        """Listen for these announcements from now on; yield the places of those that cannot be recognised."""
        ...

    def end(self, numbers: Iterable[int]) -> Steps:
        """Yield what is known at last of voices that are over."""
        ...


@dataclass(slots=True)
class _Work:
    """What has time. number: of the request that it answers; HEARD: of none."""

    number: int
    steps: Iterator[list[Finding]]
    samples: int = 0  # that wait with it
    sound: Sound | None = None  # which may be left out as long as nothing of it is done; None: it must not
    found: list[Finding] = field(default_factory=list)


class Queue:
    """Requests in their order, but tones first: somebody waits for those. They come between any two steps of others."""

    def __init__(self, analysis: Analyser, tones: Area, listening: Area, worker: socket.socket) -> None:
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
                self._do_a_step()
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
            self._add(number, analysis.listen(rows))
        elif kind == messages.ENDED:
            self._add(number, analysis.end(data.view(np.int32).tolist()))
        elif kind == messages.REFERENCES:
            self._add(number, analysis.learn(read_references(data)))
        else:
            self._add(number, ())

    def _add(self, number: int, steps: Steps, samples: int = 0, sound: Sound | None = None) -> None:
        self._work.append(_Work(number, iter(steps), samples, sound))
        self._samples += samples

    def _search(self, number: int, rows: Rows, is_late: bool, must: bool) -> None:
        self._forget(self._analysis.describe(rows))
        if is_late:
            self._answer(number, [Finding(messages.LATE, 0, 0, 0)])
            return
        sound, findings = self._analysis.search(rows)
        self._answer(number, findings)
        if sound.listen is None or not sound.listen.any():
            return
        self._add(messages.HEARD, self._analysis.hear(sound), len(sound.samples), None if must else sound)
        self._make_room()

    def _forget(self, numbers: list[int]) -> None:
        """These numbers mean other voices from now on; what waits is still of those before."""
        if numbers:
            self._add(messages.HEARD, ([] for _ in self._analysis.end(numbers)))

    def _make_room(self) -> None:
        """Leave out what has waited longest, where too much does; what must not be is done first."""
        while self._samples > MOST_WAITING:
            place = next(place for place, work in enumerate(self._work) if work.samples)
            work = self._work[place]
            if work.sound is None:
                self._do_a_step()
                continue
            del self._work[place]
            self._samples -= work.samples
            sound = work.sound
            lost = []
            for number in np.unique(sound.number).tolist():
                mono = sound.mono_ns[sound.number == number]
                lost.append(Finding(messages.LATE, number, int(mono.min()), int(mono.max())))
            self._answer(messages.HEARD, lost)

    def _do_a_step(self) -> None:
        """Do what can be done in some milliseconds of what came first; answer when all of it is done."""
        work = self._work[0]
        work.sound = None
        for found in work.steps:
            work.found += found
            return
        self._work.popleft()
        self._samples -= work.samples
        if work.found or work.number != messages.HEARD:
            self._answer(work.number, work.found)

    def _answer(self, number: int, findings: list[Finding]) -> None:
        for reply in pack_replies(number, findings):
            self._worker.sendall(reply)
