"""Fax and modems: CNG and CED (ITU-T T.30 section 4.3), ANSam (V.8), FSK of V.21, and the carriers that follow it."""

from __future__ import annotations

from typing import Final

import numpy as np

from vittne.appliance.hearing.heard import Heard, seconds
from vittne.appliance.hearing.lines import Line
from vittne.appliance.hearing.rows import SECOND_ROWS, Rows
from vittne.appliance.hearing.seconds import BEHIND

_CNG_HZ: Final = (1060.0, 1140.0)  # 1100 +- 38
_CNG_S: Final = (0.35, 0.75)
_CNG_APART_S: Final = (3.2, 3.8)
_CED_HZ: Final = (2080.0, 2120.0)  # 2100 +- 15
_CED_S: Final = 1.2
_REVERSAL_S: Final = 0.2  # ANSam turns its phase each 450 ms, which makes a hole in the line
_FSK_ROWS: Final = (25, 10)  # in this second and the next, and in this one
_LEAST_DBOV: Final = -48.0
_STEADY_DB: Final = 1.5  # standard deviation of a carrier's level
_EDGE_DB: Final = 4.0
_STEADY_ROWS: Final = 25
_OVER_S: Final = 6  # seconds without any of it
_NEWS_S: Final = 5.0


class DataWatch:
    """One voice's fax and modem sounds."""

    def __init__(self) -> None:
        self._cng: Line | None = None
        self._cng_begin_ns = 0
        self._cng_count = 0
        self._ced: list[Line] = []
        self._modem: Heard | None = None
        self._idle = 0
        self._told_ns = 0

    def feed(self, lines: list[Line], current: Line | None) -> list[Heard]:
        """Take tones in that are over, in order, and one that is not."""
        found: list[Heard] = []
        for line in lines:
            if _within(line.hertz, _CNG_HZ) and _within(line.seconds, _CNG_S) and line.is_high:
                found += self._call(line)
            if _within(line.hertz, _CED_HZ):
                found += self._answer(line)
        if current is not None and _within(current.hertz, _CED_HZ) and current.seconds > _CED_S:
            begin = self._ced[0] if self._ced else current
            found.append(Heard("fax-ced", begin.begin_ns, current.end_ns, count=1, hertz=current.hertz))
        return found

    def _call(self, line: Line) -> list[Heard]:
        before, self._cng = self._cng, line
        apart = 0.0 if before is None else seconds(before.first, line.first)
        if before is None or not _within(apart, _CNG_APART_S):
            self._cng_begin_ns, self._cng_count = line.begin_ns, 1
            return []
        self._cng_count += 1
        return [Heard("fax-cng", self._cng_begin_ns, line.end_ns, apart, 0.0, self._cng_count, line.hertz)]

    def _answer(self, line: Line) -> list[Heard]:
        if self._ced and seconds(self._ced[-1].last, line.first) > _REVERSAL_S:
            self._ced = []
        self._ced = [*self._ced[:1], line]
        begin = self._ced[0]
        if seconds(begin.first, line.last) < _CED_S:
            return []
        return [Heard("fax-ced", begin.begin_ns, line.end_ns, count=1, hertz=line.hertz)]

    def modem(self, rows: Rows, seconds_: int) -> tuple[list[Heard], list[bool]]:
        """Return what is new of modems, and which seconds are theirs: nobody speaks in them.

        rows, seconds_: as of Seconds.next().
        """
        keyed = (rows["is_fsk"] & (rows["level"][:, 0] > _LEAST_DBOV)).reshape(-1, SECOND_ROWS).sum(axis=1)
        if self._modem is None and not (keyed >= _FSK_ROWS[1]).any():
            return [], [False] * seconds_
        found: list[Heard] = []
        verdicts = []
        for second in range(BEHIND, BEHIND + seconds_):
            part = rows[second * SECOND_ROWS : (second + 1) * SECOND_ROWS]
            is_keyed = keyed[second] >= _FSK_ROWS[1] and keyed[second] + keyed[second + 1] >= _FSK_ROWS[0]
            if self._modem is not None or is_keyed:
                found += self._second(part, bool(is_keyed))
            verdicts.append(self._modem is not None)
        now = self._modem
        if now is not None and now.end_ns - self._told_ns > _NEWS_S * 1e9:
            self._told_ns = now.end_ns
            found.append(now)
        return found, verdicts

    def _second(self, part: Rows, is_keyed: bool) -> list[Heard]:
        level = part["level"][:, 0]
        loud = np.flatnonzero(part["is_fsk"] if self._modem is None else level > _LEAST_DBOV)
        whole = level[level > max(float(level.max()) - _EDGE_DB, _LEAST_DBOV)]  # without the carrier's ends
        is_carrier = len(whole) >= _STEADY_ROWS and float(whole.std()) < _STEADY_DB
        self._idle = 0 if is_keyed or is_carrier else self._idle + 1
        now = self._modem
        if now is None:
            self._modem = Heard("modem", int(part["mono_ns"][loud[0]]), int(part["mono_ns"][loud[-1]]), count=1)
        elif self._idle == 0:
            self._modem = Heard("modem", now.begin_ns, int(part["mono_ns"][loud[-1] if len(loud) else -1]), count=1)
        elif self._idle >= _OVER_S:
            self._modem = None
            return [now]
        return []

    def finish(self) -> list[Heard]:
        """Return what is left to say when the voice is over."""
        return [] if self._modem is None else [self._modem]


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]
