"""Places at which nothing can be found, whatever energy says: most of those that are looked at, and soon known.

Evidence (weighed.py) is agreement less what is missing; where nothing is, it is hardly more than agreement. So where
agreement alone is too rare for a part of a reference and for the whole of it, the rest need not be worked out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.align import Aligned
from vittne.appliance.hearing.features import Bools
from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.pattern import I64, Pattern

_MORE: Final = 0.08  # by which evidence is above agreement at most: what a neper weighs, times half a neper, and a bit


@dataclass(frozen=True, slots=True)
class Bounds:
    """What judge.py asks for. span: frames of a window. heard: evidence of one whose middle is heard.

    run: frames heard in a row, for a part. share: of what is required, for the whole.
    """

    span: int
    heard: float
    run: float
    share: float


def is_hopeless(one: Pattern, laid: Aligned, came: I64, asked: Bools, bounds: Bounds) -> bool:
    """Whether neither a part nor the whole can be heard. came: frames of its speech that did; asked: (n,) required."""
    size = min(bounds.span, len(came))
    product, own, theirs = (_windows(part[came], size) for part in (laid.product, laid.own, laid.theirs))
    agreement = product / np.sqrt(np.maximum(1.0, own * np.maximum(theirs, 0.05 * own)))
    middle = np.clip(np.arange(len(came)) - size // 2, 0, len(agreement) - 1)
    can_be = (agreement >= bounds.heard - _MORE)[middle]
    if _longest(can_be) >= bounds.run:
        return False
    possible = one.speech.copy()  # what did not come may count as heard
    possible[came] = can_be
    return float(possible[asked].mean()) < bounds.share


def _windows(line: F32, size: int) -> npt.NDArray[np.float64]:
    sums = np.concatenate(([0.0], np.cumsum(line, dtype=np.float64)))
    return np.asarray(sums[size:] - sums[:-size])


def _longest(flags: Bools) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))
