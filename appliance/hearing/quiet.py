"""Silence: packets that do not come, silence suppression between its few packets of noise, and digital silence."""

from __future__ import annotations

from typing import Final

import numpy as np

from vittne.appliance.hearing.heard import Heard, seconds
from vittne.appliance.hearing.rows import SECOND_ROWS, Rows
from vittne.appliance.hearing.seconds import BEHIND

LEAST_S: Final = 3.0
_DIGITAL_DBOV: Final = -65.0  # A-law's smallest step is -72
_PART: Final = 0.5  # of a frame that came: a packet of noise alone makes less
_NEWS_S: Final = 10.0


class QuietWatch:
    """One voice's silence."""

    def __init__(self) -> None:
        self._since: tuple[int, int] | None = None  # frame, arrival
        self._last: tuple[int, int] = (0, 0)
        self._told = 0

    def feed(self, rows: Rows, seconds_: int, until: int) -> list[Heard]:
        """Return silences of 3 s and more. until: the last frame that counts. rows, seconds_: as of Seconds.next()."""
        mine = rows[BEHIND * SECOND_ROWS : (BEHIND + seconds_) * SECOND_ROWS]
        mine = mine[: np.searchsorted(mine["frame"], until, "right")]
        if not len(mine):
            return []
        quiet = (mine["present"] < _PART) | (mine["level"][:, 0] < _DIGITAL_DBOV)
        frames, monos = mine["frame"], mine["mono_ns"]
        found: list[Heard] = []
        edges = np.flatnonzero(np.diff(quiet.astype(np.int8), prepend=0, append=0))
        if self._since is not None and not quiet[0]:
            found += self._end(int(monos[0]))
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if self._since is None:
                self._since = (int(frames[a]), int(monos[a]))
                self._told = self._since[0]
            self._last = (int(frames[b - 1]), int(monos[b - 1]))
            if b < len(mine):
                found += self._end(int(monos[b]))
        if self._since is not None and seconds(self._told, self._last[0]) >= _NEWS_S:
            self._told = self._last[0]
            found.append(_heard(self._since[1], self._last[1]))
        return found

    def finish(self) -> list[Heard]:
        """Return what is left to say when the voice is over."""
        return [] if self._since is None else self._end(self._last[1])

    def _end(self, end_ns: int) -> list[Heard]:
        assert self._since is not None
        (first, begin_ns), self._since = self._since, None
        return [_heard(begin_ns, end_ns)] if seconds(first, self._last[0] + 1) >= LEAST_S else []


def _heard(begin_ns: int, end_ns: int) -> Heard:
    return Heard("silence", begin_ns, max(begin_ns, end_ns), count=1)
