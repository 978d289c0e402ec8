"""One voice's speech and states, from its frames as they come: all that listens to rows, in one pass."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from vittne.appliance.hearing.beeps import BeepWatch
from vittne.appliance.hearing.data import DataWatch
from vittne.appliance.hearing.front import Frames
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.heard import Heard
from vittne.appliance.hearing.lines import Line, Lines, Mask, near_digits
from vittne.appliance.hearing.music import Music, MusicWatch
from vittne.appliance.hearing.progress import ProgressWatch
from vittne.appliance.hearing.quiet import QuietWatch
from vittne.appliance.hearing.rows import SECOND_ROWS, Rows, rows_of
from vittne.appliance.hearing.seconds import AT_ONCE, BEHIND, Seconds
from vittne.appliance.hearing.speech import Speech, SpeechWatch

_REMEMBERED: Final = AT_ONCE + 10  # seconds, of music
_SETTLED: Final = 4  # seconds after the end in which what waits for a pause is told


class VoiceStates:
    """Keeps a few seconds of rows and what is not over; about 30 kB.

    at_least: seconds that are worked on together, up to 64; more cost less (a third at 4) and are told later.
    """

    def __init__(self, at_least: int = 1) -> None:
        self._seconds = Seconds(at_least)
        self._lines = Lines(is_high=False), Lines(is_high=True)
        self._speech, self._music = SpeechWatch(), MusicWatch()
        self._progress, self._beeps = ProgressWatch(), BeepWatch()
        self._data, self._quiet = DataWatch(), QuietWatch()
        self._music_at: deque[int] = deque(maxlen=_REMEMBERED)  # first frames of its seconds
        self._last = -1

    def hear(self, frames: Frames) -> tuple[list[Speech], list[Heard]]:
        """Return what is known of speech and states with these frames; what is told again has the same begin.

        Both are told two to four seconds after they are over: a second is judged by those around it.
        """
        return self.take(rows_of(Runs.of([frames])))

    def take(self, rows: Rows) -> tuple[list[Speech], list[Heard]]:
        """Do as hear() does, with rows that were made of the frames."""
        if not len(rows):
            return [], []
        self._last = max(self._last, int(rows["frame"][-1]))
        self._seconds.add(rows)
        return self._work()

    def end(self) -> tuple[list[Speech], list[Heard]]:
        """Return what is left to say; the voice is over."""
        self._seconds.finish(_SETTLED)
        speech, heard = self._work()
        heard += self._progress.finish() + self._data.finish() + self._quiet.finish()
        return speech + self._speech.finish(), heard + _music(self._music.finish())

    def _work(self) -> tuple[list[Speech], list[Heard]]:
        speech: list[Speech] = []
        heard: list[Heard] = []
        for rows, seconds in self._seconds.ready():
            low, in_low = self._lines[0].find(rows, seconds)
            high, in_high = self._lines[1].find(rows, seconds)
            in_tone = in_low | in_high | near_digits(rows)
            heard += self._quiet.feed(rows, seconds, self._last)
            speech += self._voiced(rows, seconds, in_tone, heard)
            frame = int(rows["frame"][(BEHIND + seconds) * SECOND_ROWS - 1])
            heard += self._tones(sorted(low + high, key=lambda line: line.first), frame)
        return speech, heard

    def _voiced(self, rows: Rows, seconds: int, in_tone: Mask, heard: list[Heard]) -> list[Speech]:
        modem, is_modem = self._data.modem(rows, seconds)
        music, is_music = self._music.find(rows, seconds, in_tone, is_modem)
        heard += _music(music) + modem
        for second in np.flatnonzero(is_music).tolist():
            self._music_at.append(int(rows["frame"][(BEHIND + second) * SECOND_ROWS]))
        not_speech = [one or other for one, other in zip(is_music, is_modem, strict=True)]
        return self._speech.find(rows, seconds, in_tone, not_speech)

    def _tones(self, lines: list[Line], frame: int) -> list[Heard]:
        low, high = (lines_.current for lines_ in self._lines)
        quiet = [line for line in lines if not self._music_in(line.first, line.last)]
        heard = self._progress.feed(quiet, low, frame) + self._progress.information(lines)
        heard += self._data.feed(lines, high)
        return heard + self._beeps.feed(quiet, frame, self._speech.count, self._music_in)

    def _music_in(self, first: int, last: int) -> int:
        return sum(1 for begin in self._music_at if begin <= last and begin + SECOND_ROWS > first)


def _music(found: list[Music]) -> list[Heard]:
    return [Heard("hold-music", one.begin_ns, one.end_ns, count=1) for one in found]
