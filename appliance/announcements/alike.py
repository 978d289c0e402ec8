"""Which announcements share phrases, and which cannot be told apart: said in seconds that a person can listen to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vittne.appliance.announcements.terms import RATE
from vittne.appliance.hearing.detector import Detector, Match
from vittne.appliance.hearing.reference import Reference

SHARED: Final = 0.35  # likeness from which on two are said to share something
_PAD_S: Final = 1.0
_ALL: Final = 0.95  # of what is required

Stretch = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Alike:
    """Two announcements that are like each other.

    first_in_second: all that must be heard of the first is in the second, so that where the second is played the first
    counts as played; second_in_first: the other way round. stretches: seconds of the first, and those of the second
    that sound the same.
    """

    first: str
    second: str
    likeness: float  # 0 to 1
    first_in_second: bool
    second_in_first: bool
    stretches: tuple[tuple[Stretch, Stretch], ...]

    @property
    def is_same(self) -> bool:
        """Nothing tells the two apart."""
        return self.first_in_second and self.second_in_first

    def words(self) -> str:
        """Return what it comes to, for people."""
        where = "; ".join(
            f"{_seconds(mine)} of {self.first} are {_seconds(theirs)} of {self.second}"
            for mine, theirs in self.stretches
        )
        where = f" ({where})" if where else ""
        if self.is_same:
            return f"{self.first} and {self.second} cannot be told apart{where}: retire one, or require what differs"
        for is_in, small, large in (
            (self.first_in_second, self.first, self.second),
            (self.second_in_first, self.second, self.first),
        ):
            if is_in:
                return (
                    f"all that must be heard of {small} is in {large}{where}: where {large} is played, {small} counts "
                    "as played too; require what only it says"
                )
        return f"{self.first} and {self.second} share phrases{where}: only what is heard whole tells them apart"

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "first": self.first,
            "second": self.second,
            "likeness": round(self.likeness, 3),
            "cannot_be_told_apart": self.is_same,
            "first_in_second": self.first_in_second,
            "second_in_first": self.second_in_first,
            "stretches": [{"first_s": list(mine), "second_s": list(theirs)} for mine, theirs in self.stretches],
            "words": self.words(),
        }


def alike(named: Sequence[tuple[str, Reference]], only: str = "") -> list[Alike]:
    """Return the pairs that share something, the most alike first. only: pairs with this one."""
    if len(named) < 2:
        return []
    likeness = Detector([reference for _, reference in named]).similarity()
    found = []
    for i, (first, one) in enumerate(named):
        for j, (second, other) in enumerate(named[:i]):
            if only and only not in (first, second):
                continue
            here, there = _search(one, other), _search(other, one)
            score = float(max(likeness[i, j], likeness[j, i]))
            if score >= SHARED or here or there:
                whole = _is_in(one, here), _is_in(other, there)
                found.append(Alike(first, second, score, *whole, _stretches(here, there)))
    return sorted(found, key=lambda pair: (-pair.likeness, pair.first, pair.second))


def _search(wanted: Reference, sound: Reference) -> list[Match]:
    """Return where in one sound another is heard; times are on the sound's clock."""
    pad = np.zeros(int(_PAD_S * RATE), np.int16)
    return Detector([wanted]).search(np.concatenate([pad, sound.samples, pad]))


def _is_in(wanted: Reference, found: Sequence[Match]) -> bool:
    """Say whether all that must be heard of a reference is in a sound, so that hearing the sound could count for it."""
    return any(match.state == "full" or (wanted.required and match.required_share >= _ALL) for match in found)


def _stretches(here: Sequence[Match], there: Sequence[Match]) -> tuple[tuple[Stretch, Stretch], ...]:
    """Return seconds of the first and of the second. here: the first in the second; there: the other way round."""
    found = [(_within(match), _heard(match)) for match in here] or [(_heard(match), _within(match)) for match in there]
    return tuple(found)


def _heard(match: Match) -> Stretch:
    return round(match.heard_from - _PAD_S, 1), round(match.heard_to - _PAD_S, 1)


def _within(match: Match) -> Stretch:
    return round(match.heard_from - match.begin, 1), round(match.heard_to - match.begin, 1)


def _seconds(stretch: Stretch) -> str:
    return f"seconds {max(stretch[0], 0):.1f} to {stretch[1]:.1f}"
