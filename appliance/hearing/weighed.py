"""What a pattern laid along a voice says for and against it, frame by frame, ready to be summed up in windows.

For it: agreement. Against it: energy that the voice lacks where the pattern has it. The level is the one of this very
call, band by band, as it is where they agree best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.align import Aligned
from vittne.appliance.hearing.features import BANDS, LEVEL_STEPS, Bools
from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.pattern import I64, Pattern

SPAN: Final = 15  # frames of speech in a window
_LACK: Final = 0.14  # what a neper of missing energy weighs against agreement
_LEAST_LACK: Final = -0.5  # nepers
_MOST_LACK: Final = 2.5
_MOST_EXCESS: Final = 4.0
_STRONG: Final = round(1.7 * LEVEL_STEPS)  # below the strongest band of a frame
_AUDIBLE: Final = 3 * LEVEL_STEPS  # below the strongest of the pattern

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Sums over n frames of speech that came, from the first one on: (n + 1,). place: (n,) in the pattern's speech.

    missing: nepers of energy in cells, which are those where the pattern is strong. excess: of all bands. best:
    agreement of the better half of windows. lack: (n, BANDS) and strong: (n, BANDS) as in missing, cells.
    """

    place: I64
    product: F64
    own: F64
    theirs: F64
    missing: F64
    cells: F64
    excess: F64
    best: float
    lack: F32
    strong: Bools

    def excess_of(self, first: I64, last: I64) -> F64:
        """Return (windows,) nepers of energy above the pattern's, of a band of frames [first, last)."""
        found: F64 = (self.excess[last] - self.excess[first]) / (last - first) / BANDS
        return found

    def evidence(self, first: I64, last: I64) -> F64:
        """Return (windows,) agreement less what is missing, of frames [first, last)."""
        product, own, theirs = (part[last] - part[first] for part in (self.product, self.own, self.theirs))
        missing, cells = (part[last] - part[first] for part in (self.missing, self.cells))
        return _agreement(product, own, theirs) - _LACK * missing / np.maximum(cells, 1)

    def lacking(self, wanted: Bools) -> float:
        """Return what of all that is wanted is missing, nepers of energy."""
        return float(self.lack[wanted].clip(0).sum(dtype=np.float64)) / max(1, int(self.strong[wanted].sum()))


def weigh(one: Pattern, laid: Aligned, came: I64) -> Weighed:
    """Return what frames of speech that came, (n,) places in the pattern, say."""
    size = min(SPAN, len(came))
    product, own, theirs = (_summed(part[came]) for part in (laid.product, laid.own, laid.theirs))
    agreement = _agreement(*(part[size:] - part[:-size] for part in (product, own, theirs)))
    best = round(float(np.sort(agreement)[len(agreement) // 2 :].mean()), 9)  # a mean's last bit differs by machine
    good = _moving(np.pad(agreement >= 0.55 * best, size - 1), size) > 0
    level = one.features.level[came].astype(np.int16)
    strongest = level.max(axis=1, keepdims=True)
    audible = int(one.features.level.max()) - _AUDIBLE
    strong = (level >= strongest - _STRONG) & (strongest >= audible)
    above = laid.level[came].astype(np.int16) - level
    more = (above - _gain(above[good], strong[good])) * np.float32(1 / LEVEL_STEPS)
    lack = np.where(strong, (-more).clip(_LEAST_LACK, _MOST_LACK), np.float32(0))
    is_heard = level + more * LEVEL_STEPS >= audible
    excess = np.where(is_heard, more.clip(0, _MOST_EXCESS), np.float32(0)).sum(axis=1)
    return Weighed(
        np.cumsum(one.speech)[came] - 1,
        product,
        own,
        theirs,
        _summed(lack.sum(axis=1)),
        _summed(strong.sum(axis=1)),
        _summed(excess),
        best,
        lack,
        strong,
    )


def _agreement(product: F64, own: F64, theirs: F64) -> F64:
    found: F64 = product / np.sqrt(np.maximum(1.0, own * np.maximum(theirs, 0.05 * own)))
    return found


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


def _summed(line: npt.NDArray[Any]) -> F64:
    """Return (n + 1,) sums from the first on; exact, the parts are whole or sixteenths."""
    return np.concatenate(([0.0], np.cumsum(line, dtype=np.float64)))


def _moving(line: npt.NDArray[Any], size: int) -> F64:
    """Return sums of so many that follow each other."""
    sums = _summed(line)
    moving: F64 = sums[size:] - sums[:-size]
    return moving
