"""Was a reference announcement played to a party, when, and how much of it.

Method and measured figures: docs/announcement-detection.md. The same samples, references and VERSION give the same
verdict: whatever changes a verdict changes VERSION.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np

from vittne.appliance.hearing.align import align
from vittne.appliance.hearing.features import WHOLE, Bools, Features, features
from vittne.appliance.hearing.front import F32, FRAME_S, HOP, RATE, WINDOW
from vittne.appliance.hearing.judge import Judged, judge
from vittne.appliance.hearing.pattern import BEFORE_S, PIECE, Bank, Hint, Pattern, Pieces, paired, pattern, pieces_of
from vittne.appliance.hearing.reference import Reference
from vittne.codecs.base import I16

VERSION: Final = "2"
HINT: Final = 0.28  # correlation of a piece from which on a place is looked at
SAME_S: Final = 0.3  # matches of a reference that begin so close together are one
_BLOCK: Final = 256  # pairs of frames
_LIVE_BLOCK: Final = 100
_WINDOW: Final = 1500  # frames of which ...
_MOST_HINTS: Final = 6  # ... so many are looked at of one reference
_MOST_IN_ALL: Final = 48
_SPEED: Final = 0.0125
_NEAR: Final = 4  # frames
_COVERED: Final = 0.9  # of a place, by what was heard in full: nothing else can be better there
_HALF_S: Final = WINDOW / RATE / 2


@dataclass(frozen=True, slots=True)
class Match:
    """A reference that was heard in full, or a part of one. Rounded: seconds to ms, the rest to thousandths.

    reference: its place in the list. begin, end: seconds on the voice's clock where the whole reference would lie.
    heard_from, heard_to: where the first and the last of it was heard. share: of its speech that was heard;
    required_share: of what is required. score: agreement of what is required with the voice, 0 to 1.
    """

    reference: int
    state: Literal["full", "partial"]
    begin: float
    end: float
    heard_from: float
    heard_to: float
    share: float
    required_share: float
    score: float


class Detector:
    """Looks for references; made once, kept for all voices: it does not change once it is used.

    Raises ValueError for a reference with too little sound, or one that is too long (pattern.py).
    """

    def __init__(self, references: Iterable[Reference] = ()) -> None:
        self.patterns: list[Pattern] = []
        self.longest = 0
        self._live: list[Pieces] = []
        for one in references:
            self.learn(one)

    def learn(self, reference: Reference) -> None:
        """Look for this one, too: so many are learned one by one, between other work. Raises ValueError as above."""
        one = pattern(reference)
        self.patterns.append(one)
        self.longest = max(self.longest, len(one))
        self._live.append(pieces_of(one, _LIVE_BLOCK))

    @cached_property
    def bank(self) -> Bank:
        """All patterns, to be looked for in long samples."""
        return Bank([pieces_of(one, _BLOCK) for one in self.patterns], _BLOCK)

    @cached_property
    def live_bank(self) -> Bank:
        """All patterns, to be looked for in what comes while a call lasts."""
        pieces, self._live = self._live, []
        return Bank(pieces, _LIVE_BLOCK)

    def search(self, samples: I16, lost: Sequence[tuple[int, int]] = ()) -> list[Match]:
        """Return what was heard in one party's samples, in order of time; no two matches are made of the same sound.

        lost: ranges of samples that did not come.
        """
        return chosen(
            [
                matched(number, judged, 0, self.patterns[number])
                for number, judged in self.places(samples, lost, found_only=True)
                if judged.state != "none"
            ]
        )

    def places(
        self, samples: I16, lost: Sequence[tuple[int, int]] = (), *, found_only: bool = False
    ) -> list[tuple[int, Judged]]:
        """Return every place that was looked at, with its reference's number: what a threshold is chosen by.

        found_only: without those of which it is soon known that nothing is there.
        """
        found = features(samples, _whole(len(samples), lost) if lost else None)
        if len(found) < 2:
            return []
        padded = np.concatenate((found.steps, np.zeros((2 * PIECE - len(found) % 2, found.steps.shape[1]), np.int8)))
        hints = kept(self.bank.hints(paired(padded), 0, HINT), 1 + len(found) // _WINDOW)
        out: list[tuple[int, Judged]] = []
        taken: list[tuple[float, float]] = []  # frames in which a reference was heard in full
        for hint in hints:
            one = self.patterns[hint.pattern]
            begin, end = hint.at + one.first, hint.at + one.last
            if any(min(end, last) - max(begin, first) > _COVERED * (end - begin) for first, last in taken):
                continue
            judged = self._judge(found, hint, 0, found_only=found_only)
            if judged is not None:
                out.append((hint.pattern, judged))
                if judged.state == "full":
                    taken.append((judged.begin + one.first, judged.begin + one.last))
        return out

    def _judge(self, voice: Features, hint: Hint, first: int, *, found_only: bool) -> Judged | None:
        one = self.patterns[hint.pattern]
        return judge(one, align(one, voice, hint.at - first, hint.anchor), found_only=found_only)

    def look(self, voice: Features, hint: Hint, first: int = 0) -> Match | None:
        """Return the match at a place that was hinted at, if there is one. first: number of the voice's first frame."""
        judged = self._judge(voice, hint, first, found_only=True)
        if judged is None or judged.state == "none":
            return None
        return matched(hint.pattern, judged, first, self.patterns[hint.pattern])

    def similarity(self) -> F32:
        """Return (n, n) how much of each reference is heard in each other one: 1 is the same, below 0.3 chance."""
        count = len(self.patterns)
        alike = np.eye(count, dtype=np.float32)
        for voice, one in enumerate(self.patterns):
            padded = np.pad(one.features.steps, ((0, 2 * PIECE + len(one) % 2), (0, 0)))
            for hint in kept(self.bank.hints(paired(padded), 0, HINT)):
                if hint.pattern != voice:
                    other = self.patterns[hint.pattern]
                    judged = judge(other, align(other, one.features, hint.at, hint.anchor))
                    if judged is not None:
                        value = np.float32(round(judged.share * max(0.0, judged.of_heard), 3))
                        alike[voice, hint.pattern] = max(alike[voice, hint.pattern], value)
        return np.maximum(alike, alike.T)


def _whole(count: int, lost: Sequence[tuple[int, int]]) -> Bools:
    came = np.ones(count + 1, np.int32)
    came[0] = 0
    for first, last in lost:
        came[max(0, first) + 1 : max(0, last) + 1] = 0
    sums = np.cumsum(came)
    places = np.arange(max(0, (count - WINDOW) // HOP + 1)) * HOP
    enough: Bools = sums[places + WINDOW] - sums[places] >= WHOLE * WINDOW
    return enough


def alike(one: Hint, other: Hint) -> bool:
    """Whether two hints mean the same place, as far as speeds may differ."""
    apart = _NEAR + _SPEED * abs(one.anchor - other.anchor)
    return one.pattern == other.pattern and abs(one.at - other.at) <= apart


def kept(hints: list[Hint], windows: int = 1) -> list[Hint]:
    """Return the best hint of each place, a few of each reference for each window."""
    out: list[Hint] = []
    of: dict[int, int] = {}
    for hint in sorted(hints, key=lambda one: (-one.score, one.pattern, one.at)):
        if of.get(hint.pattern, 0) < windows * _MOST_HINTS and not any(alike(hint, other) for other in out):
            out.append(hint)
            of[hint.pattern] = of.get(hint.pattern, 0) + 1
            if len(out) == windows * _MOST_IN_ALL:
                break
    return out


def matched(number: int, judged: Judged, first: int, one: Pattern) -> Match:
    """Return a verdict as a match, in seconds. first: number of the frame from which frames were counted."""
    begin = (first + judged.begin) * FRAME_S + BEFORE_S
    scale = (judged.end - judged.begin) / len(one)
    places = [(first + judged.begin + at * scale) * FRAME_S + _HALF_S for at in (judged.heard_from, judged.heard_to)]
    return Match(
        number,
        "full" if judged.state == "full" else "partial",
        round(begin, 3),
        round(begin + one.samples / RATE * scale, 3),
        round(places[0] - FRAME_S / 2, 3),
        round(places[1] - FRAME_S / 2, 3),
        round(judged.share, 3),
        round(judged.required_share, 3),
        round(min(1.0, max(0.0, judged.score)), 3),
    )


def better(one: Match) -> tuple[bool, float, float, int, float]:
    """Return what the best of matches is the greatest of."""
    return (one.state == "full", one.share * one.score * (one.end - one.begin), one.score, -one.reference, -one.begin)


def clashes(one: Match, other: Match) -> bool:
    """Whether two matches are made of the same sound."""
    common = min(one.heard_to, other.heard_to) - max(one.heard_from, other.heard_from)
    shorter = min(one.heard_to - one.heard_from, other.heard_to - other.heard_from)
    return common > 0.5 * shorter


def chosen(matches: list[Match]) -> list[Match]:
    """Return the best ones that do not clash, in order of time."""
    out: list[Match] = []
    for one in sorted(matches, key=better, reverse=True):
        if not any(clashes(one, other) for other in out):
            out.append(one)
    return sorted(out, key=lambda one: (one.begin, one.reference))
