"""Who spoke when, from stretches of speech by party: talk time, overlap, silence, turns, interruptions.

Times are in any one unit with any origin, the same for all; what comes back is in that unit too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Stretch = tuple[float, float]

_PAUSE: Final = 1.0  # within a turn, seconds
_LEAST_TALK: Final = 0.5  # of one who is interrupted, before it
_LEAST_OVERLAP: Final = 0.3


@dataclass(frozen=True, slots=True)
class Talk:
    """What was spoken in a call. talk, turns and interruptions by party; interruptions are those that it made.

    overlap: while two or more speak. silence: while nobody does. turns: how often somebody began after another.
    """

    talk: dict[str, float]
    overlap: float
    silence: float
    longest_silence: float
    turns: dict[str, int]
    interruptions: dict[str, int]


def who_spoke(
    stretches_by_party: Mapping[str, Sequence[Stretch]],
    begin: float | None = None,
    end: float | None = None,
    second: float = 1.0,
) -> Talk:
    """Return what stretches, in any order and even overlapping each other, come to.

    begin, end: of the call, for silence before the first and after the last word; without them these do not count.
    second: how long that is in the unit of all times.

    >>> talk = who_spoke({"caller": [(0, 4), (9, 10)], "callee": [(3.5, 6)]}, begin=0, end=12)
    >>> talk.talk, talk.overlap, talk.silence, talk.longest_silence
    ({'caller': 5.0, 'callee': 2.5}, 0.5, 5.0, 3.0)
    >>> talk.turns, talk.interruptions
    ({'caller': 2, 'callee': 1}, {'caller': 0, 'callee': 1})
    """
    by_party = {party: _merged(stretches) for party, stretches in stretches_by_party.items()}
    gaps = _gaps(_merged([one for stretches in by_party.values() for one in stretches]), begin, end)
    return Talk(
        {party: float(sum(b - a for a, b in stretches)) for party, stretches in by_party.items()},
        float(_overlap(by_party)),
        float(sum(gaps)),
        float(max(gaps, default=0.0)),
        _turns(by_party, _PAUSE * second),
        _interruptions(by_party, second),
    )


def _gaps(spoken: list[Stretch], begin: float | None, end: float | None) -> list[float]:
    """Return how long each silence is."""
    if not spoken:
        return [max(0.0, end - begin)] if begin is not None and end is not None else []
    before = [] if begin is None else [max(0.0, spoken[0][0] - begin)]
    after = [] if end is None else [max(0.0, end - spoken[-1][1])]
    return before + [b[0] - a[1] for a, b in pairwise(spoken)] + after


def _merged(stretches: Sequence[Stretch], pause: float = 0.0) -> list[Stretch]:
    """Return stretches in order, those that touch (or are no further apart than a pause) as one."""
    merged: list[Stretch] = []
    for a, b in sorted(one for one in stretches if one[1] > one[0]):
        if merged and a - merged[-1][1] <= pause:
            merged[-1] = merged[-1][0], max(merged[-1][1], b)
        else:
            merged.append((a, b))
    return merged


def _overlap(by_party: Mapping[str, Sequence[Stretch]]) -> float:
    """Return how long two or more speak."""
    edges = sorted((at, change) for stretches in by_party.values() for one in stretches for at, change in _edges(one))
    speaking, since, total = 0, 0.0, 0.0
    for at, change in edges:
        if speaking > 1:
            total += at - since
        speaking, since = speaking + change, at
    return total


def _edges(one: Stretch) -> tuple[tuple[float, int], tuple[float, int]]:
    return (one[0], 1), (one[1], -1)


def _turns(by_party: Mapping[str, Sequence[Stretch]], pause: float) -> dict[str, int]:
    """Return how often each began to speak after another had."""
    begins = sorted((a, party) for party, stretches in by_party.items() for a, _ in _merged(stretches, pause))
    turns = dict.fromkeys(by_party, 0)
    last = ""
    for _, party in begins:
        if party != last:
            turns[party] += 1
        last = party
    return turns


def _interruptions(by_party: Mapping[str, Sequence[Stretch]], second: float) -> dict[str, int]:
    """Return how often each began while another had been speaking for a while, and both went on."""
    counts = dict.fromkeys(by_party, 0)
    talks = {party: _merged(stretches, _PAUSE * second) for party, stretches in by_party.items()}
    for party, mine in talks.items():
        others = _merged([one for other, stretches in talks.items() if other != party for one in stretches])
        at = 0
        for a, b in mine:
            while at < len(others) and others[at][1] <= a:
                at += 1
            if at < len(others):
                began, ended = others[at]
                is_in = began + _LEAST_TALK * second <= a
                counts[party] += is_in and min(b, ended) - a >= _LEAST_OVERLAP * second
    return counts
