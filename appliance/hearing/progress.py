"""Tones of exchanges by their cadence: ring-back, busy, congestion, dial, and the special information tone.

Frequencies differ between countries, and so does what a cadence means (ITU-T E.180 and its Supplement 2): a tone with
pauses of 1.5 s and more is ring-back, one that goes on and off at least as often as every 0.62 s is congestion, a
slower one busy, one that does not stop for 2.9 s dial tone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final

from vittne.appliance.hearing.heard import Heard, State, regularity, seconds
from vittne.appliance.hearing.lines import Line

_HERTZ: Final = (330.0, 570.0)  # middles: 350 + 440 to 480 + 620
_SAME_HZ: Final = 12.0
_DIAL_S: Final = 2.9
_RING_ON_S: Final = (0.25, 2.8)
_LONE_RING_S: Final = 0.75
_LONE_RING_HZ: Final = (380.0, 490.0)
_LONG_PAUSE_S: Final = 1.5
_LONGEST_PAUSE_S: Final = 7.0
_TOLD_AFTER_S: Final = 2.0
_SHORT_S: Final = (0.12, 0.95)  # on and off of busy and congestion
_LEAST_TONES: Final = 4
_CONGESTION_S: Final = 0.62
_ALTERNATING_S: Final = 0.1
_IRREGULAR_S: Final = 0.1
_OTHER_S: Final = 0.15
_OTHER_SHARE: Final = 0.8
_NEWS_S: Final = 5.0
_SIT_HZ: Final = ((900.0, 1000.0), (1340.0, 1460.0), (1740.0, 1820.0))
_SIT_S: Final = (0.2, 0.5)
_SIT_PAUSE_S: Final = 0.15
_MOST: Final = 32


@dataclass(slots=True)
class _Train:
    """Tones of one frequency after each other. starts: frames at which groups begin that a long pause precedes."""

    begin_ns: int
    end_ns: int
    hertz: float
    first: int
    last: int
    ons: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST))
    offs: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST))
    begins: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST))
    groups: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST))
    tones: int = 0
    rings: int = 0
    told_frame: int = 0
    told_tones: int = 0


class ProgressWatch:
    """One voice's tones of exchanges."""

    def __init__(self) -> None:
        self._train: _Train | None = None
        self._sit: list[Line] = []
        self._dialled_ns = 0

    def feed(self, lines: list[Line], current: Line | None, frame: int) -> list[Heard]:
        """Take tones in that are over, in order; current: a low one that is not; frame: up to where all is known."""
        found: list[Heard] = []
        for line in lines:
            if not line.is_high and _HERTZ[0] <= line.hertz <= _HERTZ[1]:
                found += self._pause(line.first)
                found += self._tone(line)
            elif line.seconds >= _OTHER_S and (not line.is_high or line.share > _OTHER_SHARE):
                found += self._break()
        if current is not None and _HERTZ[0] <= current.hertz <= _HERTZ[1]:
            found += self._dial(current)
            frame = min(frame, current.first)
        return found + self._pause(frame)

    def _pause(self, frame: int) -> list[Heard]:
        """Return what is known of the last tones when none has begun until a frame."""
        train = self._train
        pause = 0.0 if train is None else seconds(train.last, frame)
        if train is None or pause <= _TOLD_AFTER_S:
            return []
        if pause > _LONGEST_PAUSE_S:
            return self._end()
        return self._tell(train, at_pause=True) if train.told_tones < train.tones else []

    def information(self, lines: list[Line]) -> list[Heard]:
        """Return special information tones among tones in order."""
        return [heard for line in lines for heard in self._sit_of(line)]

    def finish(self) -> list[Heard]:
        """Return what is left to say when the voice is over."""
        return self._end()

    def _dial(self, line: Line) -> list[Heard]:
        if line.seconds < _DIAL_S or line.end_ns - self._dialled_ns < _NEWS_S * 1e9:
            return []
        self._dialled_ns = line.end_ns
        return [Heard("dial", line.begin_ns, line.end_ns, count=1, hertz=line.hertz)]

    def _tone(self, line: Line) -> list[Heard]:
        if line.seconds >= _DIAL_S:
            return [*self._end(), Heard("dial", line.begin_ns, line.end_ns, count=1, hertz=line.hertz)]
        found: list[Heard] = []
        train = self._train
        if train is not None:
            pause = seconds(train.last, line.first)
            if pause > _LONGEST_PAUSE_S or abs(train.hertz - line.hertz) > _SAME_HZ:
                found += self._end()
                train = None
        if train is None:
            train = self._train = _Train(line.begin_ns, line.end_ns, line.hertz, line.first, line.last)
            train.told_frame = line.last
        else:
            train.offs.append(seconds(train.last, line.first))
        if not train.offs or train.offs[-1] > _LONG_PAUSE_S:
            train.rings += 1
            train.groups.append(line.first)
        train.ons.append(line.seconds)
        train.begins.append(line.first)
        train.tones += 1
        train.last, train.end_ns = line.last, line.end_ns
        if seconds(train.told_frame, line.last) > _NEWS_S or (train.told_tones == 0 and train.tones >= _LEAST_TONES):
            found += self._tell(train)
        return found

    def _tell(self, train: _Train, at_pause: bool = False) -> list[Heard]:
        kind = _kind(train, at_pause)
        if kind is None:
            return []
        train.told_frame, train.told_tones = train.last, train.tones
        marks = train.groups if kind == "ringback" else train.begins
        intervals = [seconds(a, b) for a, b in pairwise(marks)]
        typical = median(intervals) if intervals else 0.0
        regular = regularity(intervals, typical) if len(intervals) > 1 else 0.0
        count = train.rings if kind == "ringback" else train.tones
        return [Heard(kind, train.begin_ns, train.end_ns, typical, regular, count, train.hertz)]

    def _break(self) -> list[Heard]:
        """Return what is left to say when another tone comes between: what was not clear before is a melody."""
        if self._train is not None and self._train.told_tones == 0:
            self._train = None
        return self._end()

    def _end(self) -> list[Heard]:
        train, self._train = self._train, None
        if train is None or train.told_tones == train.tones:
            return []
        return self._tell(train, at_pause=True)

    def _sit_of(self, line: Line) -> list[Heard]:
        place = len(self._sit)
        fits = line.is_high and _SIT_S[0] <= line.seconds <= _SIT_S[1]
        follows = not self._sit or seconds(self._sit[-1].last, line.first) < _SIT_PAUSE_S
        if not (fits and follows and _SIT_HZ[place][0] <= line.hertz <= _SIT_HZ[place][1]):
            is_first = fits and _SIT_HZ[0][0] <= line.hertz <= _SIT_HZ[0][1]
            self._sit = [line] if is_first else []
            return []
        self._sit.append(line)
        if len(self._sit) < len(_SIT_HZ):
            return []
        begin, self._sit = self._sit[0], []
        return [Heard("sit", begin.begin_ns, line.end_ns, count=1, hertz=begin.hertz)]


def _kind(train: _Train, at_pause: bool) -> State | None:
    """Return what a train is; None when that is not clear (yet)."""
    long = [off for off in train.offs if off > _LONG_PAUSE_S]
    rings_fit = all(_RING_ON_S[0] <= on <= _RING_ON_S[1] for on in train.ons)
    if long:
        return "ringback" if rings_fit and train.rings > 1 else None
    if train.tones >= _LEAST_TONES:
        return _short(train)
    is_of_ring = _LONE_RING_HZ[0] <= train.hertz <= _LONE_RING_HZ[1]
    is_lone = is_of_ring and train.tones == 1 and train.ons[0] >= _LONE_RING_S
    is_pair = train.tones == 2 and rings_fit and max(train.ons) < _LONE_RING_S and max(train.offs) < 0.4
    return "ringback" if at_pause and rings_fit and (is_lone or is_pair) else None


def _short(train: _Train) -> State | None:
    if not all(_SHORT_S[0] <= one <= _SHORT_S[1] for one in (*train.ons, *train.offs)):
        return None
    begins = list(train.begins)
    periods = [seconds(a, b) for a, b in pairwise(begins)]
    typical = median(periods)
    # In Spain every third pause of congestion is longer by a period.
    if any(min(abs(one - typical), abs(one - 2 * typical)) > _IRREGULAR_S for one in periods):
        return None
    if typical <= _CONGESTION_S:
        return "congestion"
    ons = list(train.ons)[:-1]
    even, odd = ons[::2], ons[1::2]
    alternates = bool(odd) and abs(median(even) - median(odd)) > _ALTERNATING_S
    return "congestion" if alternates else "busy"
