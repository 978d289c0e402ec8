"""One voice's speech and states, from its frames as they come: all that listens to rows, in one pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.appliance.hearing.beeps import BeepWatch
from vittne.appliance.hearing.data import DataWatch
from vittne.appliance.hearing.front import Frames
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard, NoGuard
from vittne.appliance.hearing.heard import Heard
from vittne.appliance.hearing.lines import Line, Lines, Tones, lasting, near_digits, tones_of
from vittne.appliance.hearing.music import Music, MusicWatch, measures, score
from vittne.appliance.hearing.progress import ProgressWatch
from vittne.appliance.hearing.quiet import QuietWatch
from vittne.appliance.hearing.rows import SECOND_ROWS, Rows, rows_of
from vittne.appliance.hearing.seconds import AT_ONCE, BEHIND, Seconds, stacked
from vittne.appliance.hearing.speech import Speech, SpeechWatch, Voiced, voiced_of

_REMEMBERED: Final = AT_ONCE + 10  # seconds, of music
_TOGETHER: Final = 32  # voices
_SETTLED: Final = 4  # seconds after the end in which what waits for a pause is told


@dataclass(frozen=True, slots=True)
class Derived:
    """What comes of a voice's rows without anything that was before. music: scores of seconds."""

    low: Tones
    high: Tones
    music: list[float]
    voiced: Voiced


class VoiceStates:
    """Keeps a few seconds of rows and what is not over; about 30 kB.

    number: of the voice, where there are many. at_least: seconds that are worked on together, up to 64; more cost less
    (a third at 4) and are told later.
    """

    def __init__(self, at_least: int = 1, number: int = 0) -> None:
        self.number = number
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
        if not len(frames.power):
            return [], []
        self.put(rows_of(Runs.of([frames])))
        return work_on([self])[0]

    def put(self, rows: Rows) -> None:
        """Take in rows that were made of the frames, to be worked on by work_on()."""
        self._last = max(self._last, int(rows["frame"][-1]))
        self._seconds.add(rows)

    def end(self) -> tuple[list[Speech], list[Heard]]:
        """Return what is left to say; the voice is over."""
        (told,) = end_all([self])
        return told

    def no_more(self) -> None:
        """Nothing comes after what was put in."""
        self._seconds.finish(_SETTLED)

    def rest(self, speech: list[Speech], heard: list[Heard]) -> tuple[list[Speech], list[Heard]]:
        """Return what was told at last, and what is left to say."""
        heard += self._progress.finish() + self._data.finish() + self._quiet.finish()
        return speech + self._speech.finish(), heard + _music(self._music.finish())

    # What work_on() does for many voices, one by one

    def next(self) -> tuple[Rows, int] | None:
        """Return what is to be worked on now; see Seconds."""
        return self._seconds.next()

    @property
    def speech_watch(self) -> SpeechWatch:
        """Whose floors are moved for all voices at once."""
        return self._speech

    def conclude(self, rows: Rows, seconds: int, derived: Derived) -> tuple[list[Speech], list[Heard]]:
        """Return what follows of rows."""
        lines = self._lines[0].find(rows, seconds, derived.low) + self._lines[1].find(rows, seconds, derived.high)
        heard = self._quiet.feed(rows, seconds, self._last)
        modem, is_modem = self._data.modem(rows, seconds)
        music, is_music = self._music.find(rows, seconds, derived.music, is_modem)
        heard += _music(music) + modem
        for second in np.flatnonzero(is_music).tolist():
            self._music_at.append(int(rows["frame"][(BEHIND + second) * SECOND_ROWS]))
        not_speech = [one or other for one, other in zip(is_music, is_modem, strict=True)]
        speech = self._speech.find(rows, seconds, derived.voiced, not_speech)
        frame = int(rows["frame"][(BEHIND + seconds) * SECOND_ROWS - 1])
        return speech, heard + self._tones(sorted(lines, key=lambda line: line.first), frame)

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


def work_on(voices: Sequence[VoiceStates], guard: Guard | None = None) -> list[tuple[list[Speech], list[Heard]]]:
    """Return what is known of each voice with what was put in: many are worked on together, as if each were alone."""
    guard = guard or NoGuard()
    found: list[tuple[list[Speech], list[Heard]]] = [([], []) for _ in voices]
    left = list(enumerate(voices))
    while left:
        by_length: dict[int, list[tuple[int, VoiceStates, Rows]]] = {}
        for place, voice in left:
            if (ready := voice.next()) is not None:
                by_length.setdefault(ready[1], []).append((place, voice, ready[0]))
        for seconds, some in by_length.items():
            for begin in range(0, len(some), _TOGETHER):
                _work_together(some[begin : begin + _TOGETHER], seconds, guard, found)
        left = [(place, voice) for some in by_length.values() for place, voice, _ in some]
    return found


def end_all(voices: Sequence[VoiceStates], guard: Guard | None = None) -> list[tuple[list[Speech], list[Heard]]]:
    """Return what is left to say of voices that are over."""
    guard = guard or NoGuard()
    for voice in voices:
        voice.no_more()
    found = work_on(voices, guard)
    for place, voice in enumerate(voices):
        with guard.of(voice.number):
            found[place] = voice.rest(*found[place])
    return found


def _work_together(
    some: list[tuple[int, VoiceStates, Rows]], seconds: int, guard: Guard, found: list[tuple[list[Speech], list[Heard]]]
) -> None:
    """Add to what is found what follows of as many seconds of each of some voices."""
    rows = stacked([each for _, _, each in some])
    low, high = tones_of(rows, is_high=False), tones_of(rows, is_high=True)
    in_tone = lasting(low.follows) | lasting(high.follows) | near_digits(rows)
    music = score(*measures(rows, in_tone)).tolist()
    voiced = voiced_of([voice.speech_watch for _, voice, _ in some], rows, seconds, in_tone)
    for at, (place, voice, _) in enumerate(some):
        with guard.of(voice.number):
            speech, heard = voice.conclude(rows[at], seconds, Derived(low.of(at), high.of(at), music[at], voiced[at]))
            found[place][0].extend(speech)
            found[place][1].extend(heard)
