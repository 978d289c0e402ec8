"""Speech and states of voices as findings: one pass over the frames, for both.

What is told again with the same kind, `what` and begin says more of the same, and takes the place of what was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, get_args

from vittne.appliance.analysis.messages import STATE, Finding
from vittne.appliance.analysis.speech import speech_findings
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard
from vittne.appliance.hearing.heard import Heard, State
from vittne.appliance.hearing.rows import rows_of
from vittne.appliance.hearing.speech import Speech
from vittne.appliance.hearing.voicestates import VoiceStates, end_all, work_on

NAMES: Final[tuple[State, ...]] = get_args(State)
STATES: Final[dict[State, int]] = {name: number for number, name in enumerate(NAMES, 1)}  # Finding.what
LIVE_S: Final = 8  # seconds worked on together while a call lasts; at 2 they cost two thirds more


class StateListener:
    """Tells who speaks and what else is heard (FrameListener). at_least: see VoiceStates."""

    def __init__(self, at_least: int = LIVE_S) -> None:
        self._at_least = at_least
        self._voices: dict[int, VoiceStates] = {}

    def hear(self, runs: Runs, guard: Guard) -> list[Finding]:
        """See FrameListener. Findings come up to fourteen seconds after what they tell of is over."""
        rows = rows_of(runs)
        voices: dict[int, VoiceStates] = {}
        for run, (begin, end) in zip(runs.each, pairwise(runs.begins), strict=True):
            with guard.of(run.number):
                voice = self._voices.get(run.number)
                if voice is None:
                    voice = self._voices[run.number] = VoiceStates(self._at_least, run.number)
                voice.put(rows[begin:end])
                voices[run.number] = voice
        each = [voice for number, voice in voices.items() if number not in guard.faulty]
        found = zip(each, work_on(each, guard), strict=True)
        return [one for voice, told in found for one in _findings(voice.number, *told)]

    def end(self, numbers: Sequence[int], guard: Guard) -> list[Finding]:
        """See FrameListener."""
        over = [self._voices.pop(number) for number in numbers if number in self._voices]
        return [
            one
            for voice, told in zip(over, end_all(over, guard), strict=True)
            for one in _findings(voice.number, *told)
        ]


def state_name(what: int) -> State:
    """Return the name of a state by its number in a finding; ValueError when there is none."""
    if not 1 <= what <= len(NAMES):
        raise ValueError(f"{what} is no state")
    return NAMES[what - 1]


def _findings(number: int, speech: Iterable[Speech], heard: Iterable[Heard]) -> list[Finding]:
    return speech_findings(number, speech) + [_state(number, one) for one in heard]


def _state(number: int, one: Heard) -> Finding:
    values = (one.interval_s, one.regularity, float(one.count), one.hertz)
    return Finding(STATE, number, one.begin_ns, max(one.begin_ns, one.end_ns), STATES[one.state], values)
