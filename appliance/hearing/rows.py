"""What tones, music and speech need of each frame: a few numbers instead of a spectrum, without gaps in their count.

Every number comes of its own frame alone, so rows do not depend on how frames come in pieces. What else is derived is
derived a second (SECOND_ROWS) at a time, counted from the voice's first frame on, for the same reason.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.front import BINS, F32, RATE, WINDOW
from vittne.appliance.hearing.fronts import Runs
from vittne.capture.columns import SECOND

SECOND_ROWS: Final = 50  # frames in a second; what is decided together
FRAME_NS: Final = SECOND // SECOND_ROWS
QUIET_DBOV: Final = -127.0
BIN_HZ: Final = RATE / WINDOW

# Bins where bands begin: 47, 203, 453, 703, 906, 1250, 1578, 1938, 2563 and 3516 Hz. V.21 has 1578 to 1938 for itself.
_EDGES: Final = np.array([3, 13, 29, 45, 58, 80, 101, 124, 164, 225])
_LOW: Final = (13, 45)  # bins of tones of exchanges, 203 to 703 Hz
_HIGH: Final = (45, 164)  # of beeps, 703 to 2563 Hz
_HANN_POWER: Final = 191.6  # sum of the window's squares
_TO_DBOV: Final = -10 * np.log10(WINDOW * _HANN_POWER / 2 * 32767.0**2)
_LEAST: Final = 1e3  # power that counts as none: below half a step of sixteen bits
_LOW_HZ: Final = (np.arange(*_LOW) * BIN_HZ).astype(np.float32)

_LOW_SHARE: Final = 0.85  # of all power below 703 Hz: then it may be a tone of an exchange
_SPREAD_HZ: Final = 90.0  # 480 + 620 Hz have 70
_HIGH_SHARE: Final = 0.7  # of what is between 703 and 2563 Hz in one line: then it may be a beep, even under a voice
_LEAST_OF_ALL: Final = 0.35
_BEEP_AROUND: Final = (74, 106)  # bins, 1156 to 1656 Hz
_BEEP_PEAK: Final = (13, 20)  # of these: 1359 to 1453 Hz, the outer two excluded
_BEEP_SHARE: Final = 0.7
_FSK_SHARE: Final = 0.85
_LINE_SHARE: Final = 0.8  # of all power in one line: a tone, not the two of FSK
_BEEP_BAND: Final = 0.3  # of its neighbours, in the band of that beep
_DIGIT_LINE: Final = 0.25  # of all power in one line, at least
_DIGIT_SHARE: Final = 0.75  # of all power in one tone of each group of DTMF
_WEAKER_SHARE: Final = 0.06  # of all power in the weaker of both
_PAIR_HZ: Final = (np.array([697, 770, 852, 941]), np.array([1209, 1336, 1477, 1633]))
_PAIR_BINS: Final = [np.rint(hertz / BIN_HZ).astype(np.intp)[:, None] + np.arange(-2, 3) for hertz in _PAIR_HZ]
_IS_OF_DIGITS: Final = np.isin(np.arange(BINS), np.concatenate([bins[:, 1:4].ravel() for bins in _PAIR_BINS]))

LEVELS: Final = 4
ROW: Final = np.dtype(
    [
        ("frame", "<i8"),  # its number
        ("mono_ns", "<i8"),
        ("level", "<f4", LEVELS),  # dBov: 203 to 3516 Hz, then its lower, middle and upper part
        ("present", "<f4"),
        ("low_hz", "<f4"),  # middle of what is in 203 to 703 Hz; 0 when it is no tone
        ("low_spread", "<f4"),  # Hz
        ("high_hz", "<f4"),  # 0 when nothing between 703 and 2563 Hz is a tone
        ("high_share", "<f4"),  # of all power in it
        ("high_level", "<f4"),  # dBov
        ("low_peak", "<i2"),  # bins
        ("high_peak", "<i2"),
        ("is_fsk", "?"),  # two lines of V.21's upper channel; the lower one lies where * has its tones
        ("is_digit", "?"),  # DTMF: no tone, no speech, nothing
    ]
)

Rows = npt.NDArray[np.void]
Places = npt.NDArray[np.intp]


def dbov(power: F32) -> F32:
    """Return the level of sums of bins."""
    return np.asarray(np.maximum(10 * np.log10(power + _LEAST) + _TO_DBOV, QUIET_DBOV), np.float32)


def rows_of(runs: Runs) -> Rows:
    """Return (n,) ROW of n frames, of as many voices as there are."""
    power = runs.power
    rows = np.zeros(len(power), ROW)
    bands = np.ascontiguousarray(np.add.reduceat(power, _EDGES, axis=1).T)
    low, middle, high = bands[1] + bands[2], bands[3] + bands[4] + bands[5], bands[6] + bands[7] + bands[8]
    whole = low + middle + high + np.float32(_LEAST)
    for place, part in enumerate((whole, low, middle, high)):
        rows["level"][:, place] = dbov(part)
    rows["frame"], rows["mono_ns"], rows["present"] = runs.frame, runs.mono_ns, runs.present
    rows["low_peak"] = power[:, _LOW[0] : _LOW[1]].argmax(axis=1) + _LOW[0]
    peak = power[:, _HIGH[0] : _HIGH[1]].argmax(axis=1) + _HIGH[0]
    rows["high_peak"] = peak
    _low_tones(rows, power, low, whole)
    line = _high_tones(rows, power, peak, bands, whole)
    keyed = bands[6] > _FSK_SHARE * whole
    rows["is_fsk"] = keyed & (line < _LINE_SHARE * whole)
    some = np.flatnonzero(_IS_OF_DIGITS[peak] & (line > _DIGIT_LINE * whole))
    if len(some):
        pair = [power[some[:, None, None], bins].sum(axis=2).max(axis=1) for bins in _PAIR_BINS]
        is_pair = (pair[0] + pair[1] > _DIGIT_SHARE * whole[some]) & (np.minimum(*pair) > _WEAKER_SHARE * whole[some])
        rows["is_digit"][some] = is_pair
    return rows


def _low_tones(rows: Rows, power: F32, low: F32, whole: F32) -> None:
    some = np.flatnonzero(low > _LOW_SHARE * whole)
    part = power[some, _LOW[0] : _LOW[1]]
    total = part.sum(axis=1)
    middle = (part * _LOW_HZ).sum(axis=1) / total
    spread = np.sqrt(np.maximum((part * _LOW_HZ**2).sum(axis=1) / total - middle**2, 0))
    rows["low_spread"][some] = spread
    rows["low_hz"][some] = np.where(spread < _SPREAD_HZ, middle, 0)


def _high_tones(rows: Rows, power: F32, peak: Places, bands: F32, whole: F32) -> F32:
    """Fill in what may be a beep; return the power of the strongest line above 703 Hz."""
    total, offset = _line(power, peak)
    is_tone = (total > _HIGH_SHARE * bands[3:8].sum(axis=0)) & (total > _LEAST_OF_ALL * whole)
    hertz = np.where(is_tone, (peak + offset) * np.float32(BIN_HZ), 0)
    loud = total
    some = np.flatnonzero(~is_tone & (bands[5] > _BEEP_BAND * bands[4]) & (bands[5] > _BEEP_BAND * bands[6]))
    if len(some):
        loud = total.copy()
        hertz[some], loud[some] = _beep(power, some, total[some])
    rows["high_hz"], rows["high_level"] = hertz, dbov(loud)
    rows["high_share"] = np.minimum(loud / whole, 1)
    return total


def _line(power: F32, peak: Places) -> tuple[F32, F32]:
    """Return (n,) power of the five bins around a peak, and how many bins beside the peak their middle is."""
    first = np.arange(0, power.size, power.shape[1]) + peak
    flat = power.ravel()
    far, near, middle, next_, last = (flat.take(first + away) for away in range(-2, 3))
    total = far + near + middle + next_ + last
    return total, ((last - far) * 2 + next_ - near) / (total + np.float32(_LEAST))


def _beep(power: F32, some: Places, total: F32) -> tuple[F32, F32]:
    """Return Hz and power of a line at 1400 Hz that stands out of what is 250 Hz around it; 0 Hz where none does.

    That is where the beep of recorders lies in most countries; it is to be found under a voice, too. total: taken
    where there is none.
    """
    around = power[some, _BEEP_AROUND[0] : _BEEP_AROUND[1]]
    peak = around[:, _BEEP_PEAK[0] : _BEEP_PEAK[1]].argmax(axis=1) + _BEEP_PEAK[0]
    beep, offset = _line(around, peak)
    is_peak = (peak > _BEEP_PEAK[0]) & (peak < _BEEP_PEAK[1] - 1)
    stands_out = is_peak & (beep > _BEEP_SHARE * around.sum(axis=1)) & (beep > _LEAST)
    hertz = (peak + _BEEP_AROUND[0] + offset) * np.float32(BIN_HZ)
    return np.where(stands_out, hertz, np.float32(0)), np.where(stands_out, beep, total)
