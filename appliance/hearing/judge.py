"""How much of a pattern was heard where it was laid along a voice, and whether that is all of it.

Everything is judged in windows of 0.3 s of speech that came: how well pattern and voice agree there, less how much
energy the voice lacks where the pattern has it. The level is the one of this very call, band by band, as it is where
they agree best. Talk or music on top lowers the agreement, but takes no energy away; a prompt that is cut, or another
word, does both. What did not come is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.align import Aligned
from vittne.appliance.hearing.features import LEVEL_STEPS, Bools
from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.pattern import I64, Pattern

SPAN: Final = 15  # frames of speech in a window
HEARD: Final = 0.25  # evidence of a window whose middle was heard
_LACK: Final = 0.14  # what a neper of missing energy weighs against agreement
_LEAST_LACK: Final = -0.5  # nepers
_MOST_LACK: Final = 2.5
_STRONG: Final = round(1.7 * LEVEL_STEPS)  # below the strongest band of a frame
_AUDIBLE: Final = 3 * LEVEL_STEPS  # below the strongest of the pattern

FULL_SCORE: Final = 0.40
FULL_LESS: Final = 0.36  # score less what the whole of it lacks:
_LACK_OF_ALL: Final = 0.5  # weight of a neper of it: another voice agrees as badly as noise does, but lacks more
FULL_SHARE: Final = 0.80
FULL_END: Final = 0.17  # evidence of the first and the last window
FULL_INSIDE: Final = 0.05  # ... of every other one, but for a short hole in a straight way: packets lost upstream
FULL_ASIDE: Final = 3.5  # frames off a straight way
STRAIGHT: Final = 1.3  # frames off
SHORT: Final = 10  # windows
MOST_LOST: Final = 0.15  # of the speech
PARTIAL_SCORE: Final = 0.5  # of what was heard
PARTIAL_RUN: Final = 45  # frames
MOSTLY_SCORE: Final = 0.42  # enough when so much was heard:
MOSTLY: Final = 0.7
_SPEED: Final = 0.013

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """What was heard. heard_from, heard_to: frames of the pattern. ends: evidence of the weaker end.

    of_heard: agreement where it was heard. would_be_full: all but the ends is as for a full match.
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


def judge(one: Pattern, laid: Aligned) -> Judged | None:
    """Return the verdict; None if hardly any of it came."""
    came = np.flatnonzero(one.speech & laid.whole)
    if len(came) < min(SPAN, int(one.speech.sum())) or not len(came):
        return None
    asked = one.required if one.required.any() else one.speech
    wanted = asked[came]
    evidence, lack = _evidence(one, laid, came, wanted)
    size = len(came) - len(evidence) + 1
    middle = np.clip(np.arange(len(came)) - size // 2, 0, len(evidence) - 1)
    heard_came = _runs(evidence[middle] >= HEARD, evidence[middle])
    gone = _gone(laid.whole)
    heard = _filled(heard_came, came, one, gone)
    share = float(heard[one.speech].mean())
    required_share = float(heard[asked].mean())
    parts = [_part(part, came, evidence, size, gone) for part in _stretches(asked, one)]
    ends, inside, low = min(part[0] for part in parts), min(part[1] for part in parts), max(part[2] for part in parts)
    lost = float((gone & asked).sum() / asked.sum())
    score = (1 - lost) * _score(laid, came[wanted]) if wanted.any() else 0.0
    begin, end, aside = _line(one, laid)
    would_be_full = (
        score >= FULL_SCORE
        and score - _LACK_OF_ALL * lack >= FULL_LESS
        and required_share >= FULL_SHARE
        and (inside >= FULL_INSIDE or (aside <= STRAIGHT and low <= SHORT))
        and aside <= FULL_ASIDE
        and lost <= MOST_LOST
    )
    of_heard = _score(laid, came[heard_came])
    enough = _longest(heard_came) >= min(PARTIAL_RUN, 0.8 * float(one.speech.sum()))
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


def _evidence(one: Pattern, laid: Aligned, came: I64, wanted: Bools) -> tuple[F64, float]:
    """Return (windows,) agreement less what is missing, and what of all that is wanted is missing, nepers of energy."""
    size = min(SPAN, len(came))
    product, own, theirs = (_moving(part[came], size) for part in (laid.product, laid.own, laid.theirs))
    agreement = product / np.sqrt(np.maximum(1.0, own * np.maximum(theirs, 0.05 * own)))
    best = float(np.sort(agreement)[len(agreement) // 2 :].mean())
    good = _moving(np.pad(agreement >= 0.55 * best, size - 1), size) > 0
    level = one.features.level[came].astype(np.int16)
    strongest = level.max(axis=1, keepdims=True)
    strong = (level >= strongest - _STRONG) & (strongest >= int(one.features.level.max()) - _AUDIBLE)
    above = laid.level[came].astype(np.int16) - level
    lack = (_gain(above[good], strong[good]) - above) * np.float32(1 / LEVEL_STEPS)
    lack = np.where(strong, lack.clip(_LEAST_LACK, _MOST_LACK), np.float32(0))
    missing = _moving(lack.sum(axis=1), size)
    cells = _moving(strong.sum(axis=1), size)
    lacking = float(lack[wanted].clip(0).sum(dtype=np.float64)) / max(1, int(strong[wanted].sum()))
    return agreement - _LACK * missing / np.maximum(cells, 1), lacking


def _gain(above: npt.NDArray[np.int16], strong: Bools) -> F32:
    """Return (bands,) how much louder the voice is than the pattern, at the median, in level steps."""
    if not strong.any():
        return np.zeros(above.shape[1], np.float32)
    overall = float(np.median(above[strong]))
    gain = np.full(above.shape[1], overall, np.float32)
    values = np.where(strong.T, above.T, np.int16(1 << 14))
    values.sort(axis=1)
    counts = strong.sum(axis=0)
    bands = np.flatnonzero(counts >= 10)
    low, high = (counts[bands] - 1) // 2, counts[bands] // 2
    gain[bands] = (values[bands, low] + values[bands, high]) / 2
    return gain


def _moving(line: npt.NDArray[Any], size: int) -> F64:
    """Return sums of so many that follow each other; exact, the parts are whole or eighths."""
    sums = np.concatenate(([0.0], np.cumsum(line, dtype=np.float64)))
    moving: F64 = sums[size:] - sums[:-size]
    return moving


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


def _part(part: tuple[int, int], came: I64, evidence: F64, size: int, gone: Bools) -> tuple[float, float, int]:
    """Return the evidence of a stretch's weaker end and of its weakest window, and how many weak ones are in a row."""
    first, last = int(np.searchsorted(came, part[0])), int(np.searchsorted(came, part[1]))
    if last <= first or gone[part[0]] or gone[part[1] - 1]:
        return 0.0, 0.0, 0  # nobody knows
    begin = min(first, len(evidence) - 1)
    end = min(max(last - size, begin), len(evidence) - 1)
    inside = evidence[begin : end + 1]
    return float(min(inside[0], inside[-1])), float(inside.min()), _longest(inside < FULL_INSIDE)


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
