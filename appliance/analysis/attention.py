"""Everything that is heard in voices besides tones: frames are made once for all who listen, many voices at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

from vittne.appliance.analysis.messages import NOT_DECODED, Finding
from vittne.appliance.analysis.sound import FrameListener, Sound
from vittne.appliance.hearing.fronts import Fronts, Packets, Runs
from vittne.appliance.hearing.guard import Guard

_TOGETHER: Final = 32  # voices that end at once


class Attention:
    """Hands frames of voices to listeners. busy: is told which voice is being listened to, None when none is."""

    def __init__(self, listeners: Iterable[FrameListener], busy: Callable[[int | None], None]) -> None:
        self.listeners = list(listeners)
        self._guard = Guard(busy)
        self._fronts = Fronts()

    def hear(self, sound: Sound) -> Iterator[list[Finding]]:
        """Yield what was found in those packets of a sound that are to be listened to, some voices at a time."""
        if sound.listen is None or not sound.listen.any():
            return
        packets = Packets(sound.number, sound.begin, sound.length, sound.at, sound.mono_ns)
        if not sound.listen.all():
            packets = packets.part(np.flatnonzero(sound.listen))
        for runs in self._fronts.feed(sound.samples, packets, self._guard):
            yield self._heard(runs)
            yield from self._faults(packets)
        yield from self._faults(packets)

    def _heard(self, runs: Runs) -> list[Finding]:
        findings: list[Finding] = []
        for listener in self.listeners:
            try:
                findings += listener.hear(runs, self._guard)
            except Exception:  # what is done for all of them failed: it costs these voices, never the next ones
                self._guard.faulty |= {run.number for run in runs.each}
        return findings

    def _faults(self, packets: Packets) -> Iterator[list[Finding]]:
        """Yield which voices a fault of ours cost what they said, and begin anew with them."""
        for number in sorted(self._guard.settled()):
            mono = packets.mono_ns[packets.number == number]
            self._fronts.forget(number)
            yield [Finding(NOT_DECODED, number, int(mono.min()), int(mono.max()))]

    def end(self, numbers: Iterable[int]) -> Iterator[list[Finding]]:
        """Yield what is known at last of voices that are over."""
        over = [number for number in numbers if self._fronts.forget(number)]
        for begin in range(0, len(over), _TOGETHER):
            found: list[Finding] = []
            for listener in self.listeners:
                with contextlib.suppress(Exception):  # a fault of ours costs these voices, never the next ones
                    found += listener.end(over[begin : begin + _TOGETHER], self._guard)
            yield found
        self._guard.settled()
