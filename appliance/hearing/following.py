"""Looking for references in a voice while it goes on: each second of it is looked at once, in bounded memory.

What a piece of a reference resembles is a place to look at; it is looked at when all of the reference could have been
heard there. A part of a reference is told when nothing is left to look at that the same sound could be instead.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vittne.appliance.hearing.detector import HINT, SAME_S, Detector, Match, alike, better, chosen, clashes
from vittne.appliance.hearing.features import (
    LOOK_AHEAD,
    WHOLE,
    WIDTH,
    Asked,
    Bools,
    FeatureMaker,
    Features,
    bands_of,
    features_of,
)
from vittne.appliance.hearing.front import F32, FRAME_S, Frames
from vittne.appliance.hearing.pattern import PIECE, Hint, paired

TURN: Final = 50  # frames that are looked at together while a place waits; ...
_LONG_TURN: Final = 100  # ... else, which costs less; not where a reference may be over before its first piece is seen:
_SHORT: Final = 140  # frames
_MARGIN: Final = 24  # frames kept around the longest reference
_MOST_WAITING: Final = 64  # places
_MOST_KEPT: Final = 64  # matches


class Following:
    """One voice. Memory: 48 bytes a frame for the longest reference and two seconds, 100 a place.

    number: of the voice, where many are followed (followers.py).
    """

    def __init__(self, detector: Detector, number: int = 0) -> None:
        self.number = number
        self._detector = detector
        self._reach = round(detector.longest * 1.0125) + 2 * PIECE + _MARGIN
        is_short = any(one.last - one.first < _SHORT for one in detector.patterns)
        self._idle_turn = TURN if is_short else _LONG_TURN
        self._found: list[Match] = []
        self._told: list[Match] = []
        self._begin_at(0)

    def _begin_at(self, frame: int) -> None:
        self._maker = FeatureMaker()
        self._next = frame  # the number of the next frame
        self._kept = Features.none()
        self._first = frame  # the number of the first frame kept
        self._origin = frame
        self._searched = frame  # places before it were looked for
        self._since = 0  # frames fed that were not looked at
        self._waiting: list[Hint] = []
        self._looked: list[Hint] = []

    def feed(self, frames: Frames) -> list[Match]:
        """Return new matches and better ones, which replace those of the same reference that begin within SAME_S."""
        if not len(frames.power) or not self._detector.patterns:
            return []
        told = self.begin(frames.first, len(frames.power))
        bands, whole = bands_of(frames.power), frames.present >= WHOLE
        for begin in range(0, len(bands), TURN):
            if self.put(bands[begin : begin + TURN], whole[begin : begin + TURN]):
                self.take(features_of([self.asked()])[0])
                told += self.look(self._detector.live_bank.hints(*self.places(), HINT))
        return told

    # What feed() is made of, step by step, for many voices at once

    def begin(self, first: int, count: int) -> list[Match]:
        """Expect so many frames; return what is over where they do not follow those before."""
        told: list[Match] = []
        if first != self._next:
            told = self._end()
            self._begin_at(first)
        self._next = first + count
        return told

    def put(self, bands: F32, whole: Bools) -> bool:
        """Take up to TURN frames in; whether there are so many that it is time to look at them."""
        self._since += len(bands)
        self._maker.put(bands, whole)
        if self._since < (TURN if self._waiting else self._idle_turn):
            return False
        self._since = 0
        return True

    def asked(self, *, is_last: bool = False) -> Asked:
        """Return what features are to be made of. is_last: nothing comes any more."""
        return self._maker.asked(is_last=is_last)

    def take(self, new: Features) -> None:
        """Take these features in."""
        if len(new):
            self._kept = new.behind(self._kept)

    def places(self) -> tuple[F32, int]:
        """Return pairs of frames in which pieces of references are to be looked for, and where they begin."""
        return paired(self._kept.steps[self._searched - self._first :]), self._searched

    def look(self, hints: list[Hint]) -> list[Match]:
        """Return what feed() does, by what was found at places()."""
        self._note(hints)
        return self._tell(self._look(self._first + len(self._kept)))

    def finish(self) -> list[Match]:
        """Return what is new at the voice's end: everything that waited."""
        return self._end() if self._detector.patterns else []

    def _end(self) -> list[Match]:
        features = features_of([self.asked(is_last=True)])[0]
        return self.ended(self._detector.live_bank.hints(*self.ending(features), HINT))

    def ending(self, new: Features) -> tuple[F32, int]:
        """Take the last features in; return as places() does, up to the end of the voice."""
        self.take(new)
        rest = 2 * PIECE + len(self._kept) % 2
        steps = np.concatenate((self._kept.steps[self._searched - self._first :], np.zeros((rest, WIDTH), np.int8)))
        return paired(steps), self._searched

    def ended(self, hints: list[Hint]) -> list[Match]:
        """Return what is new at the voice's end, by what was found at ending()."""
        for hint in hints:
            self._wait(hint)
        return self._tell(self._look(None))

    def _note(self, hints: list[Hint]) -> None:
        """Take in what was found at all places that are new, and forget frames that nothing needs."""
        for hint in hints:
            self._wait(hint)
        places = (len(self._kept) - self._searched + self._first) // 2 - PIECE + 1
        self._searched += 2 * max(0, places)
        unneeded = len(self._kept) - self._reach - _LONG_TURN
        if unneeded > 0:
            unneeded = min(unneeded, self._searched - self._first)
            self._kept = self._kept.part(unneeded)
            self._first += unneeded

    def _wait(self, hint: Hint) -> None:
        for place, other in enumerate(self._waiting):
            if alike(hint, other):
                if hint.score > other.score:
                    self._waiting[place] = hint
                return
        if not any(alike(hint, other) for other in self._looked):
            self._waiting.append(hint)
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.remove(min(self._waiting, key=lambda one: one.score))

    def _look(self, until: int | None) -> list[Match]:
        """Return matches at places whose references end before a frame; None: at all."""
        if not self._waiting:
            return []
        ready = [one for one in self._waiting if until is None or self._ends(one) <= until]
        self._waiting = [one for one in self._waiting if one not in ready]
        self._looked = (self._looked + ready)[-_MOST_WAITING:]
        looked = (self._detector.look(self._kept, one, self._first) for one in ready)
        return [one for one in looked if one is not None]

    def _ends(self, hint: Hint) -> int:
        """Return the frame at which all of a reference can have been heard, and be aligned."""
        one = self._detector.patterns[hint.pattern]
        return hint.at + one.last + 4 + int(np.ceil(0.0125 * max(0, one.last - hint.anchor)))

    def _tell(self, new: list[Match]) -> list[Match]:
        """Return what may be told now. A full match is told at once, a part when no place that waits clashes."""
        if not new and not self._found:
            return []
        before = self._told
        self._found = chosen(self._found + new)[-_MOST_KEPT:]
        told = [one for one in self._found if one not in before and (one.state == "full" or not self._may_clash(one))]
        self._told = [one for one in before if not any(_replaces(other, one) for other in told)]
        self._told = (self._told + told)[-_MOST_KEPT:]
        return [one for one in told if not any(worse_told(one, other) for other in before)]

    def _may_clash(self, one: Match) -> bool:
        for hint in self._waiting:
            pattern = self._detector.patterns[hint.pattern]
            begin, end = (hint.at + pattern.first) * FRAME_S, (hint.at + pattern.last) * FRAME_S
            if min(end, one.heard_to) - max(begin, one.heard_from) > 0:
                return True
        return False


def _replaces(one: Match, other: Match) -> bool:
    return one.reference == other.reference and abs(one.begin - other.begin) <= SAME_S


def worse_told(one: Match, other: Match) -> bool:
    """Whether a better match of the same sound was told already."""
    return clashes(one, other) and better(other) >= better(one)


assert LOOK_AHEAD * FRAME_S < 1
