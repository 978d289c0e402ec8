"""Beeps: one tone alone. Such that repeat regularly mark a recorded call; one after speech opens an answering machine.

A digit is never a beep: what lies near a frequency of DTMF counts only when nothing else sounds with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from vittne.appliance.hearing.heard import SECOND_FRAMES, Heard, regularity, seconds
from vittne.appliance.hearing.lines import Line

_HERTZ: Final = (390.0, 2520.0)
_DIGIT_HZ: Final = (697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0)
_NEAR: Final = 0.022  # of a frequency of DTMF
_ALONE_SHARE: Final = 0.95
_LOW_BEEP_S: Final = 0.7  # below 703 Hz a longer tone is an exchange's
_BEEP_S: Final = (0.08, 1.2)
_SAME_HZ: Final = 10.0
_APART_S: Final = (1.8, 70.0)
_RING_HZ: Final = (380.0, 500.0)
_RING_APART_S: Final = 7.0  # nearer ones are ring-back
_CHAINS: Final = 4
_REGULAR: Final = 0.9
_SURE_COUNT: Final = 3
_TWO_APART_S: Final = (4.0, 35.0)
_TWO_SHARE: Final = 0.85
_TWO_LENGTHS: Final = 0.3

ALONE_S: Final = 1.5  # without another tone, before and after
WAIT_S: Final = 3.0  # after a beep, until it is judged
_MACHINE_S: Final = (0.15, 2.2)
_MACHINE_SHARE: Final = 0.6
_CNG_HZ: Final = (1060.0, 1140.0)
_CNG_S: Final = 3.5  # calling tone of a fax, and multiples of it: no beep
_CNG_OFF_S: Final = 0.15
_NEAR_HZ: Final = 30.0
_PURE_SHARE: Final = 0.8
_SAID_BEFORE: Final = (6.0, 40)  # in so many seconds before, so many frames of speech
_SAID_AFTER: Final = (2.5, 5)  # at most
_EDGE: Final = 4  # frames next to a beep that tell nothing

Count = Callable[[int, int], int]


@dataclass(slots=True)
class _Chain:
    hertz: float
    begin_ns: int
    first: int
    seconds: float
    share: float
    count: int = 1
    intervals: deque[float] = field(default_factory=lambda: deque(maxlen=16))


class BeepWatch:
    """One voice's beeps."""

    def __init__(self) -> None:
        self._lines: list[Line] = []  # of the last seconds
        self._waiting: list[Line] = []
        self._chains: list[_Chain] = []

    def feed(self, lines: list[Line], frame: int, speech: Count, music: Count) -> list[Heard]:
        """Take tones in that are over, in order.

        frame: up to where all is known. speech, music: how many frames of it are from one to another.
        """
        self._lines += lines
        self._waiting += [line for line in lines if can_be_beep(line)]
        found: list[Heard] = []
        while self._waiting and seconds(self._waiting[0].last, frame) >= WAIT_S:
            line = self._waiting.pop(0)
            wide = SECOND_FRAMES
            if self._is_alone(line) and not music(line.first - wide, line.last + wide):
                found += self._judge(line, speech)
        oldest = self._waiting[0].first if self._waiting else frame
        self._lines = [line for line in self._lines if seconds(line.last, oldest) < ALONE_S + WAIT_S]
        return found

    def _is_alone(self, line: Line) -> bool:
        """Whether no other tone is near: of those that were over when this one is judged."""
        until = line.last + (WAIT_S - 0.5) * SECOND_FRAMES
        return not any(
            (other.first > line.last or other.last < line.first)
            and other.last <= until
            and seconds(other.last, line.first) < ALONE_S
            and seconds(line.last, other.first) < ALONE_S
            and (abs(other.hertz - line.hertz) < _NEAR_HZ or _is_pure(other))
            for other in self._lines
        )

    def _judge(self, line: Line, speech: Count) -> list[Heard]:
        if _RING_HZ[0] < line.hertz < _RING_HZ[1] and self._drop_rings(line):
            return []
        chain = next((one for one in self._chains if _continues(one, line)), None)
        if chain is not None:
            chain.intervals.append(seconds(chain.first, line.first))
            chain.count += 1
            before = chain.seconds, chain.share
            chain.first, chain.seconds, chain.share = line.first, line.seconds, line.share
            return _recording(chain, line, *before)
        if line.seconds <= _BEEP_S[1] and (line.is_high or line.seconds <= _LOW_BEEP_S):
            self._remember(_Chain(line.hertz, line.begin_ns, line.first, line.seconds, line.share))
        if not _is_machine(line, speech):
            return []
        return [Heard("machine-beep", line.begin_ns, line.end_ns, count=1, hertz=line.hertz)]

    def _drop_rings(self, line: Line) -> bool:
        """Whether a tone follows another as soon as ring-back does; the chain that they made is begun anew."""
        near = [one for one in self._chains if abs(one.hertz - line.hertz) < _SAME_HZ]
        if not any(seconds(one.first, line.first) < _RING_APART_S for one in near):
            return False
        self._chains = [one for one in self._chains if one not in near]
        self._remember(_Chain(line.hertz, line.begin_ns, line.first, line.seconds, line.share))
        return True

    def _remember(self, chain: _Chain) -> None:
        self._chains = [one for one in self._chains if seconds(one.first, chain.first) < _APART_S[1]]
        if len(self._chains) >= _CHAINS:
            self._chains.remove(min(self._chains, key=lambda one: (one.count, one.first)))
        self._chains.append(chain)


def _is_pure(line: Line) -> bool:
    return line.is_high and line.share > _PURE_SHARE and line.seconds > _MACHINE_S[0]


def can_be_beep(line: Line) -> bool:
    """Whether a tone is one frequency alone, and surely no digit."""
    if not (line.is_one and _HERTZ[0] <= line.hertz <= _HERTZ[1] and _BEEP_S[0] <= line.seconds <= _MACHINE_S[1]):
        return False
    if not line.is_high and line.seconds > _LOW_BEEP_S and line.hertz < _RING_HZ[1]:
        return False
    near = any(abs(line.hertz / one - 1) < _NEAR for one in _DIGIT_HZ)
    return not near or line.share >= _ALONE_SHARE


def _continues(chain: _Chain, line: Line) -> bool:
    apart = seconds(chain.first, line.first)
    if _CNG_HZ[0] <= line.hertz <= _CNG_HZ[1] and abs(apart - round(apart / _CNG_S) * _CNG_S) < _CNG_OFF_S:
        return False
    return abs(chain.hertz - line.hertz) < _SAME_HZ and _APART_S[0] <= apart <= _APART_S[1]


def _recording(chain: _Chain, line: Line, length: float, share: float) -> list[Heard]:
    """Return the beep of a recorder, when they are many and regular, or two that are alike and nothing else."""
    typical = median(chain.intervals)
    if chain.count < _SURE_COUNT:
        alike = abs(line.seconds / length - 1) <= _TWO_LENGTHS and min(line.share, share) >= _TWO_SHARE
        if not (alike and _TWO_APART_S[0] <= typical <= _TWO_APART_S[1]):
            return []
        return [Heard("recording-beep", chain.begin_ns, line.end_ns, typical, 0.0, chain.count, chain.hertz)]
    shortest = min(chain.intervals)
    single = [one / max(1, round(one / shortest)) for one in chain.intervals]  # a beep under loud talk is not heard
    typical = median(single)
    regular = regularity(single, typical)
    if regular < _REGULAR:
        return []
    return [Heard("recording-beep", chain.begin_ns, line.end_ns, typical, regular, chain.count, chain.hertz)]


def _is_machine(line: Line, speech: Count) -> bool:
    if line.seconds < _MACHINE_S[0] or line.share < _MACHINE_SHARE or _CNG_HZ[0] <= line.hertz <= _CNG_HZ[1]:
        return False
    before = speech(line.first - int(_SAID_BEFORE[0] * SECOND_FRAMES), line.first - _EDGE)
    after = speech(line.last + _EDGE, line.last + int(_SAID_AFTER[0] * SECOND_FRAMES))
    return before >= _SAID_BEFORE[1] and after <= _SAID_AFTER[1]
