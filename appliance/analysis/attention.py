"""Everything that is heard in a voice besides tones: one Front for each, shared by all who listen to frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.messages import NOT_DECODED, Finding
from vittne.appliance.analysis.sound import FrameListener, Sound
from vittne.appliance.hearing.front import Front
from vittne.capture.columns import I64
from vittne.codecs.base import I16


class Attention:
    """Hands frames of voices to listeners. busy: is told which voice is being listened to, None when none is."""

    def __init__(self, listeners: Iterable[FrameListener], busy: Callable[[int | None], None]) -> None:
        self.listeners = list(listeners)
        self._busy = busy
        self._fronts: dict[int, Front] = {}

    def hear(self, sound: Sound) -> list[Finding]:
        """Return what was found in those packets of a sound that are to be listened to."""
        if sound.listen is None or not sound.listen.any():
            return []
        findings: list[Finding] = []
        starts = np.flatnonzero(np.concatenate(([True], sound.number[1:] != sound.number[:-1]))).tolist()
        for begin, end in zip(starts, [*starts[1:], len(sound.number)], strict=True):
            which: slice | npt.NDArray[np.intp] = slice(begin, end)
            wanted = sound.listen[begin:end]
            if not wanted.all():
                which = begin + np.flatnonzero(wanted)
            number = int(sound.number[begin])
            columns = sound.begin[which], sound.length[which], sound.at[which], sound.mono_ns[which]
            if not len(columns[0]):
                continue
            self._busy(number)
            try:
                findings += self._voice(number, sound.samples, *columns)
            except Exception:  # a fault of ours may cost this voice, never the next one
                self._fronts.pop(number, None)
                findings.append(Finding(NOT_DECODED, number, int(columns[3].min()), int(columns[3].max())))
        self._busy(None)
        return findings

    def _voice(self, number: int, samples: I16, begin: I64, length: I64, at: I64, mono: I64) -> list[Finding]:
        front = self._fronts.get(number)
        if front is None:
            front = self._fronts[number] = Front(number)
        findings = []
        for frames in front.feed(samples, begin, length, at, mono):
            for listener in self.listeners:
                findings += listener.hear(frames)
        return findings

    def end(self, numbers: Iterable[int]) -> list[Finding]:
        """Return what is known at last of voices that are over."""
        findings = []
        for number in numbers:
            if self._fronts.pop(number, None) is not None:
                for listener in self.listeners:
                    findings += listener.end(number)
        return findings
