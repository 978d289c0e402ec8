"""Announcements in voices, while their calls last: one Following for each voice, and when what was heard arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from vittne.appliance.analysis.messages import ANNOUNCED, Finding
from vittne.appliance.hearing.detector import Detector, Match
from vittne.appliance.hearing.followers import finish, follow
from vittne.appliance.hearing.following import Following
from vittne.appliance.hearing.front import HOP, RATE, WINDOW, Frames
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard

FULL: Final = 1.0  # the last of a finding's values: heard in full
PARTIAL: Final = 0.5
_MOST_ARRIVALS: Final = 512  # of a voice: what is older counts as the oldest


class AnnouncementListener:
    """Finds references; see FrameListener. Keeps some kilobytes of each voice.

    A finding is ANNOUNCED: what is the reference's place in the list, times are arrivals of the first and the last of
    it that was heard, values are share, required share, score, and FULL or PARTIAL. A later finding of a voice replaces
    an earlier one of the same reference that begins within SAME_S (detector.py) of it.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._voices: dict[int, tuple[Following, _Arrivals]] = {}

    def hear(self, runs: Runs, guard: Guard) -> list[Finding]:
        """See FrameListener. What comes next of the voices comes with the next call."""
        if not self._detector.patterns:
            return []
        if len({run.number for run in runs.each}) < len(runs.each):  # one with a long hole: piece by piece
            return [found for run in runs.each for found in self.hear(Runs.of([run]), guard)]
        each = []
        for run in runs.each:
            voice = self._voices.get(run.number)
            if voice is None:
                voice = self._voices[run.number] = (Following(self._detector, run.number), _Arrivals())
            voice[1].note(run)
            each.append(voice[0])
        return [
            _finding(number, match, self._voices[number][1])
            for number, matches in follow(each, runs, self._detector, guard)
            for match in matches
        ]

    def end(self, numbers: Sequence[int], guard: Guard) -> list[Finding]:
        """See FrameListener."""
        over = {number: self._voices.pop(number) for number in numbers if number in self._voices}
        told = finish([following for following, _ in over.values()], self._detector, guard)
        return [_finding(number, match, over[number][1]) for number, matches in told for match in matches]


class _Arrivals:
    """When frames of a voice arrived: of every piece the first one and the last one."""

    def __init__(self) -> None:
        self._known: deque[tuple[int, int]] = deque(maxlen=_MOST_ARRIVALS)  # frame, mono_ns

    def note(self, frames: Frames) -> None:
        last = len(frames.mono_ns) - 1
        for place in sorted({0, last}):
            self._known.append((frames.first + place, int(frames.mono_ns[place])))

    def at(self, second: float) -> int:
        """Return the monotonic ns at which a place on the voice's clock arrived; between two frames, evenly."""
        frame = (second * RATE - WINDOW) / HOP  # the frame that ends there
        before = self._known[0]
        for known in self._known:
            if known[0] > frame:
                if before[0] >= known[0] or frame <= before[0]:
                    return before[1]
                part = (frame - before[0]) / (known[0] - before[0])
                return before[1] + round(part * (known[1] - before[1]))
            before = known
        return before[1]


def _finding(number: int, match: Match, arrivals: _Arrivals) -> Finding:
    begin, end = arrivals.at(match.heard_from), arrivals.at(match.heard_to)
    state = FULL if match.state == "full" else PARTIAL
    values = (match.share, match.required_share, match.score, state)
    return Finding(ANNOUNCED, number, begin, max(begin, end), match.reference, values)
