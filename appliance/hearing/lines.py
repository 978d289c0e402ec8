"""Tones: runs of rows in which one frequency stays, in two parts of the spectrum.

Below 703 Hz a tone is whatever has nearly all power there within a narrow place: 425 Hz alone, or 440 and 480 Hz
together, whose middle is 460. Above, it is one line that stands out; a voice may be under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.hearing.front import F32
from vittne.appliance.hearing.rows import SECOND_ROWS, Places, Rows
from vittne.appliance.hearing.seconds import BEHIND

LEAST_ROWS: Final = 4
_EDGE_DB: Final = 9.0  # below the loudest of three rows around: the window holds only an end of the tone
_AROUND: Final = 3
_ONE_SPREAD_HZ: Final = 28.0  # a line alone has 9 to 20, 400 + 450 Hz have 30
_STEP_HZ: Final = (15.0, 8.0)  # from row to row, low and high
_RANGE_HZ: Final = (30.0, 25.0)
_LEAST_DBOV: Final = -55.0
_SMEAR_ROWS: Final = 1.2  # by which a run is longer than its tone
LASTING_ROWS: Final = 6  # from which on a tone is surely no vowel
_NEAR_ROWS: Final = 3
_AFTER_NS: Final = 25_000_000  # a tone begins and ends so long before the frame in which that shows has come
_HOLE_ROWS: Final = 9  # of lost packets in a tone
_PRESENT: Final = 0.97

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Line:
    """A tone. first, last: frames; begin_ns, end_ns: arrival, monotonic. share: of all power, mean; hertz: mean."""

    is_high: bool
    first: int
    last: int
    begin_ns: int
    end_ns: int
    hertz: float
    share: float
    spread: float  # Hz; 0 for high ones

    @property
    def seconds(self) -> float:
        """How long it sounded."""
        return max(0.02, (self.last - self.first + 1 - _SMEAR_ROWS) / SECOND_ROWS)

    @property
    def is_one(self) -> bool:
        """Whether it is one frequency and not two near each other."""
        return self.is_high or self.spread < _ONE_SPREAD_HZ


@dataclass(slots=True)
class _Run:
    """Sums over rows of a run, in whole numbers so that pieces add up to the same."""

    first: int
    last: int
    begin_ns: int
    end_ns: int
    count: int
    hertz: int  # sum of tenths
    parts: int  # sum of thousandths of all power (high), of tenths of Hz of spread (low)
    least: int
    most: int


class Lines:
    """One voice's runs; `is_high` says of which part of the spectrum."""

    def __init__(self, is_high: bool) -> None:
        self._is_high = is_high
        self._open: _Run | None = None
        self._held: Line | None = None  # over, but a hole of lost packets may be in it

    def find(self, rows: Rows, seconds: int, tones: Tones) -> list[Line]:
        """Return the tones that are over. rows, seconds: as of Seconds.next(); tones: of these rows."""
        begin, end = BEHIND * SECOND_ROWS, (BEHIND + seconds) * SECOND_ROWS
        goes_on = tones.follows[begin : end + 1]
        mine = tones.is_tone[begin:end]
        starts = np.flatnonzero(mine & ~goes_on[:-1])
        continued = bool(mine[0] and goes_on[0])
        if continued:
            starts = np.concatenate(([0], starts))
        stops = np.flatnonzero(mine & ~goes_on[1:]) + 1
        ends = np.concatenate((stops, [len(mine)]))[: len(starts)]
        long = ends - starts >= LEAST_ROWS
        long[:1] |= continued
        if len(long) and len(stops) < len(starts):
            long[-1] = True
        over: list[Line] = []
        last = int(rows["frame"][end - 1])
        lossy = np.concatenate(([0], np.cumsum(rows["present"][:end] < _PRESENT)))
        if self._open is not None and not continued:
            over += self._close(self._open, lossy, rows)
            self._open = None
        goes_on_after = bool(goes_on[-1] and long.any() and ends[long][-1] == len(mine))
        for run in self._runs(rows, tones.hertz, begin + starts[long], begin + ends[long], goes_on_after):
            whole = run if self._open is None else _joined(self._open, run)
            self._open = None
            if run.last == last and goes_on_after:
                self._open = whole
            else:
                over += self._close(whole, lossy, rows)
        return over + self._let_go(last)

    @property
    def current(self) -> Line | None:
        """The tone that has not ended yet."""
        return None if self._open is None else self._line(self._open)

    def _runs(self, rows: Rows, hertz: F32, begin: Places, end: Places, is_last_open: bool) -> list[_Run]:
        """Return what rows begin[i] to end[i] - 1 come to, without what glides: but for the ends, which may go on."""
        if not len(begin):
            return []
        share = rows["high_share"] * np.float32(1000) if self._is_high else rows["low_spread"] * np.float32(10)
        tenths, parts = np.rint(hertz * 10).astype(np.int64), np.rint(share).astype(np.int64)
        edges = np.stack([begin, end], axis=1).ravel()  # rows that are ahead make the last end one of them
        least, most = (function.reduceat(tenths, edges)[::2] for function in (np.minimum, np.maximum))
        stays = most - least <= 10 * _RANGE_HZ[self._is_high]
        stays[0] |= self._open is not None
        stays[-1] |= is_last_open
        sums, share_sums = (np.add.reduceat(values, edges)[::2] for values in (tenths, parts))
        frames, monos = rows["frame"], rows["mono_ns"]
        times = frames[begin], frames[end - 1], monos[begin], monos[end - 1]
        columns = (values[stays].tolist() for values in (*times, end - begin, sums, share_sums, least, most))
        return [_Run(*values) for values in zip(*columns, strict=True)]

    def _line(self, run: _Run) -> Line:
        share, spread = (run.parts / run.count / 1000, 0.0) if self._is_high else (1.0, run.parts / run.count / 10)
        times = run.begin_ns - _AFTER_NS, run.end_ns - _AFTER_NS
        hertz = run.hertz / run.count / 10
        return Line(self._is_high, run.first, run.last, *times, hertz, share, spread)

    def _close(self, run: _Run, lossy: npt.NDArray[np.int64], rows: Rows) -> list[Line]:
        """Return what is surely over: a tone with a hole in it, where packets were lost, is one tone."""
        if run.count < LEAST_ROWS or run.most - run.least > 10 * _RANGE_HZ[self._is_high]:
            return []
        line, held = self._line(run), self._held
        self._held = line
        if held is None:
            return []
        gap = line.first - held.last - 1
        at = line.first - int(rows["frame"][0])
        near = abs(line.hertz - held.hertz) < _STEP_HZ[self._is_high]
        if near and gap <= _HOLE_ROWS and at >= gap and lossy[at] - lossy[at - gap] >= gap - 1:
            self._held = _over(held, line)
            return []
        return [held]

    def _let_go(self, frame: int) -> list[Line]:
        """Return the tone held back, when no other can join it any more."""
        held = self._held
        if held is None or (self._open is not None and self._open.first - held.last <= _HOLE_ROWS):
            return []
        if frame - held.last <= _HOLE_ROWS + LEAST_ROWS:
            return []
        self._held = None
        return [held]


@dataclass(frozen=True, slots=True)
class Tones:
    """(..., n) of rows: which are tones in one part of the spectrum, and which of those go on from the row before."""

    hertz: F32
    is_tone: Mask
    follows: Mask

    def of(self, place: int) -> Tones:
        """Return those of one voice among many."""
        return Tones(self.hertz[place], self.is_tone[place], self.follows[place])


def tones_of(rows: Rows, *, is_high: bool) -> Tones:
    """Return what (..., n) rows are in a part of the spectrum."""
    hertz = rows["high_hz"] if is_high else rows["low_hz"]
    level = rows["high_level"] if is_high else rows["level"][..., 1]
    loudest = level.copy()
    for away in range(1, _AROUND + 1):
        np.maximum(loudest[..., away:], level[..., :-away], out=loudest[..., away:])
        np.maximum(loudest[..., :-away], level[..., away:], out=loudest[..., :-away])
    is_tone = (hertz > 0) & ~rows["is_digit"] & (level > np.maximum(loudest - _EDGE_DB, _LEAST_DBOV))
    follows = np.zeros(is_tone.shape, np.bool_)
    is_near = np.abs(np.diff(hertz, axis=-1)) < _STEP_HZ[is_high]
    np.logical_and(is_tone[..., 1:] & is_tone[..., :-1], is_near, out=follows[..., 1:])
    return Tones(hertz, is_tone, follows)


def lasting(follows: Mask) -> Mask:
    """Return which rows are in a tone of LASTING_ROWS or more, or so near that it still is in their window."""
    whole = follows.copy()
    for away in range(1, LASTING_ROWS - 1):
        whole[..., away:] &= follows[..., :-away]
    return _widened(whole, _NEAR_ROWS + LASTING_ROWS - 1)


def near_digits(rows: Rows) -> Mask:
    """Return (..., n) which rows have a digit in their window, or an end of one."""
    digit = rows["is_digit"]
    both = digit.copy()
    both[..., 1:] &= digit[..., :-1]
    return _widened(both, _NEAR_ROWS + 1)


def _widened(mask: Mask, before: int) -> Mask:
    if not mask.any():
        return mask
    near = mask.copy()
    for away in range(1, _NEAR_ROWS + 1):
        near[..., away:] |= mask[..., :-away]
    for away in range(1, before + 1):
        near[..., :-away] |= mask[..., away:]
    return near


def _joined(one: _Run, other: _Run) -> _Run:
    return _Run(
        one.first,
        other.last,
        one.begin_ns,
        other.end_ns,
        one.count + other.count,
        one.hertz + other.hertz,
        one.parts + other.parts,
        min(one.least, other.least),
        max(one.most, other.most),
    )


def _over(one: Line, other: Line) -> Line:
    a, b = one.last - one.first + 1, other.last - other.first + 1
    hertz, share = (one.hertz * a + other.hertz * b) / (a + b), (one.share * a + other.share * b) / (a + b)
    spread = (one.spread * a + other.spread * b) / (a + b)
    return Line(one.is_high, one.first, other.last, one.begin_ns, other.end_ns, hertz, share, spread)
