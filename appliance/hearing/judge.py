"""How much of a pattern was heard where it was laid along a voice, and whether that is all of it.

Everything is judged in windows of 0.3 s of speech: how well pattern and voice agree there, less how much energy the
voice lacks where the pattern has it. The level is the one of this very call, band by band, as it is where they agree
best. Talk or music on top lowers the agreement, but takes no energy away; a prompt that is cut, or another word, does
both. What did not come is left out, and so is what a decoder made up for it (faded.py).

What was heard is counted in windows of frames that came. Whether anything is missing (ends, inside) is asked of windows
of the pattern, of which enough came: else what came before a loss would speak for what was lost behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from vittne.appliance.hearing.align import Aligned
from vittne.appliance.hearing.faded import faded
from vittne.appliance.hearing.features import Bools
from vittne.appliance.hearing.hopeless import Bounds, is_hopeless
from vittne.appliance.hearing.pattern import I64, Pattern
from vittne.appliance.hearing.weighed import F64, SPAN, Weighed, weigh

HEARD: Final = 0.25  # evidence of a window whose middle was heard

FULL_SCORE: Final = 0.40
FULL_LESS: Final = 0.36  # score less what the whole of it lacks:
_LACK_OF_ALL: Final = 0.5  # weight of a neper of it: another voice agrees as badly as noise does, but lacks more
FULL_SHARE: Final = 0.80
FULL_END: Final = 0.25  # evidence of the first and the last window, as a share of the agreement where it is best, ...
_END_ASIDE: Final = 0.06  # less this for each frame that the last block lies off those before: chance looks for a place
FULL_INSIDE: Final = 0.05  # evidence of every other window, but for a hole: packets lost upstream. That is short, ...
SHORT: Final = 10  # windows
# ... the way around it straight to so many frames where the voice has no more than this above the pattern, in nepers
# of a band: what is concealed fades away, another word is loud where the pattern is not.
HOLES: Final = ((2.0, 0.02), (1.3, 0.16))
ENOUGH: Final = 8  # frames of a window that came
FULL_ASIDE: Final = 3.5  # frames off a straight way
MOST_LOST: Final = 0.15  # of the speech
PARTIAL_SCORE: Final = 0.5  # of what was heard
PARTIAL_RUN: Final = 45  # frames
MOSTLY_SCORE: Final = 0.42  # enough when so much was heard:
MOSTLY: Final = 0.7
_SPEED: Final = 0.013


@dataclass(frozen=True, slots=True)
class Judged:
    """What was heard. heard_from, heard_to: frames of the pattern.

    ends: evidence of the weaker end, as a share of the agreement where it is best. of_heard: agreement where it was
    heard. would_be_full: all but the ends is as for a full match.
    """

    state: Literal["full", "partial", "none"]
    share: float
    required_share: float
    score: float
    heard_from: int
    heard_to: int
    begin: float  # frames of the voice where the pattern's frame 0 and its end lie
    end: float
    ends: float
    of_heard: float
    would_be_full: bool


def judge(one: Pattern, laid: Aligned, *, found_only: bool = False) -> Judged | None:
    """Return the verdict; None if hardly any of it came. found_only: also where it is soon known that it is none."""
    sent = np.flatnonzero(one.speech & laid.whole)
    laid = replace(laid, whole=laid.whole & ~faded(laid.level))
    came = np.flatnonzero(one.speech & laid.whole)
    if len(came) < min(SPAN, int(one.speech.sum())) or not len(came):
        return None
    asked = one.required if one.required.any() else one.speech
    wanted = asked[came]
    if found_only and is_hopeless(one, laid, came, asked, _bounds_of(one)):
        return None
    weighed = weigh(one, laid, came)
    size = min(SPAN, len(came))
    evidence = weighed.evidence(np.arange(len(came) - size + 1), np.arange(size, len(came) + 1))
    middle = np.clip(np.arange(len(came)) - size // 2, 0, len(evidence) - 1)
    heard_came = _runs(evidence[middle] >= HEARD, evidence[middle])
    gone = _gone(laid.whole)
    heard = _filled(heard_came, came, one, gone)
    share = float(heard[one.speech].mean())
    required_share = float(heard[asked].mean())
    stretches = _stretches(asked, one)
    parts = [_part(part, one, weighed, gone) for part in stretches]
    ends = min(_ends(*both, one, laid, weighed) for both in zip(parts, stretches, strict=True))
    lack = weighed.lacking(wanted)
    lost = float((gone & asked).sum() / asked.sum())
    score = (1 - lost) * _score(laid, sent[asked[sent]])
    begin, end, aside = _line(one, laid)
    would_be_full = (
        score >= FULL_SCORE
        and score - _LACK_OF_ALL * lack >= FULL_LESS
        and required_share >= FULL_SHARE
        and all(part.inside >= FULL_INSIDE or part.is_hole(aside) for part in parts)
        and aside <= FULL_ASIDE
        and lost <= MOST_LOST
    )
    of_heard = _score(laid, came[heard_came])
    enough = _longest(heard_came) >= _bounds_of(one).run
    partial = enough and of_heard >= (MOSTLY_SCORE if share >= MOSTLY else PARTIAL_SCORE)
    places = np.flatnonzero(heard)
    return Judged(
        "full" if would_be_full and ends >= FULL_END else "partial" if partial else "none",
        share,
        required_share,
        score,
        int(places[0]) if len(places) else 0,
        int(places[-1]) + 1 if len(places) else 0,
        begin,
        end,
        ends,
        of_heard,
        would_be_full,
    )


def _bounds_of(one: Pattern) -> Bounds:
    return Bounds(SPAN, HEARD, min(PARTIAL_RUN, 0.8 * float(one.speech.sum())), FULL_SHARE)


def _score(laid: Aligned, places: I64) -> float:
    product, own, theirs = (float(part[places].sum(dtype=np.float64)) for part in (laid.product, laid.own, laid.theirs))
    return product / max(1.0, float(np.sqrt(own * max(theirs, 0.05 * own))))


def _bounds(flags: Bools) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return list(zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True))


def _runs(flags: Bools, evidence: F64) -> Bools:
    """Return flags without short runs of little evidence: chance."""
    kept = flags.copy()
    for begin, end in _bounds(flags):
        if end - begin < SPAN and evidence[begin:end].max() < 0.5:
            kept[begin:end] = False
    return kept


def _longest(flags: Bools) -> int:
    return max((end - begin for begin, end in _bounds(flags)), default=0)


def _filled(heard_came: Bools, came: I64, one: Pattern, gone: Bools) -> Bools:
    """Return (n,) heard frames; what did not come, if it was short, counts as what lies nearest on both sides."""
    heard = np.zeros(len(one), np.bool_)
    heard[came] = heard_came
    here = np.zeros(len(one), np.bool_)
    here[came] = True
    lost = np.flatnonzero(one.speech & ~here)
    before = np.clip(np.searchsorted(came, lost) - 1, 0, len(came) - 1)
    behind = np.clip(np.searchsorted(came, lost), 0, len(came) - 1)
    heard[lost] = heard_came[before] & heard_came[behind]
    return heard & ~gone


def _stretches(asked: Bools, one: Pattern) -> list[tuple[int, int]]:
    """Return stretches of the pattern that must be heard whole; pauses within them do not divide them."""
    if asked is one.speech or asked.sum() == one.speech.sum():
        return [(one.first, one.last)]
    silent = ~one.speech
    joined = asked.copy()
    for begin, end in _bounds(silent):
        if begin > 0 and end < len(joined) and joined[begin - 1] and joined[end]:
            joined[begin:end] = True
    return _bounds(joined)


def _gone(whole: Bools) -> Bools:
    """Return (n,) frames in stretches of a window's length and more that did not come at all."""
    gone = np.zeros(len(whole), np.bool_)
    for begin, end in _bounds(~whole):
        gone[begin:end] = end - begin >= SPAN
    return gone


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch that must be heard. first, last, inside: evidence of its ends, and of its weakest window.

    weak: windows in a row that are; excess: the most that is heard in one of them and not in the pattern.
    """

    first: float
    last: float
    inside: float
    weak: int
    excess: float

    def is_hole(self, aside: float) -> bool:
        """Whether what is weak was lost on the way. aside: frames that the whole lies off a straight way."""
        return 0 < self.weak <= SHORT and any(aside <= most and self.excess <= more for most, more in HOLES)


def _part(part: tuple[int, int], one: Pattern, weighed: Weighed, gone: Bools) -> _Part:
    speech = np.cumsum(np.concatenate(([0], one.speech)))
    first, last = int(speech[part[0]]), int(speech[part[1]])
    size = min(SPAN, last - first)
    starts = np.arange(first, last - size + 1)
    begins, ends = (np.searchsorted(weighed.place, starts + more) for more in (0, size))
    count = len(weighed.place)
    if gone[part[0]] or gone[part[1] - 1] or begins[0] == ends[-1]:
        return _Part(0.0, 0.0, 0.0, 0, 0.0)  # nobody knows
    least = min(ENOUGH, count)
    outer = weighed.evidence(
        np.array([min(begins[0], count - least), max(0, min(begins[-1], ends[-1] - least))]),
        np.array([min(count, max(ends[0], begins[0] + least)), max(ends[-1], least)]),
    )
    known = ends - begins >= min(ENOUGH, size)
    if not known.any():
        return _Part(float(outer[0]), float(outer[1]), 0.0, 0, 0.0)
    begins, ends = begins[known], ends[known]
    inside = weighed.evidence(begins, ends)
    weak = inside < FULL_INSIDE
    excess = float(weighed.excess_of(begins[weak], ends[weak]).max(initial=0.0))
    return _Part(float(outer[0]), float(outer[1]), float(inside.min()), _longest(weak), excess)


def _ends(part: _Part, at: tuple[int, int], one: Pattern, laid: Aligned, weighed: Weighed) -> float:
    """Return the evidence of a stretch's weaker end, as a share of the best."""
    best = max(0.1, weighed.best)
    first, last = part.first / best, part.last / best
    if len(laid.lag) > 2:
        if at[0] <= one.first:
            first -= _END_ASIDE * abs(float(laid.lag[0] - laid.lag[1:3].mean()))
        if at[1] >= one.last:
            last -= _END_ASIDE * abs(float(laid.lag[-1] - laid.lag[-3:-1].mean()))
    return min(first, last)


def _line(one: Pattern, laid: Aligned) -> tuple[float, float, float]:
    """Return where frame 0 and the end lie on the voice, and how far blocks lie off a straight way, in frames."""
    middle = (laid.edges[:-1] + laid.edges[1:]) / 2
    within = slice(one.first, one.last)
    sums = [np.add.reduceat(part[within], laid.edges[:-1] - one.first) for part in (laid.product, laid.own)]
    weight = np.clip(sums[0] / np.maximum(1.0, sums[1]), 0.05, 1.0)
    centre = float((middle * weight).sum() / weight.sum())
    mean = float((laid.lag * weight).sum() / weight.sum())
    spread = float((weight * (middle - centre) ** 2).sum())
    slope = float((weight * (middle - centre) * (laid.lag - mean)).sum()) / spread if spread > 0 else 0.0
    slope = min(max(slope, -_SPEED), _SPEED)
    off = laid.lag - mean - slope * (middle - centre)
    at = laid.at + mean - slope * centre
    return at, at + len(one) * (1 + slope), float(off.max() - off.min())
