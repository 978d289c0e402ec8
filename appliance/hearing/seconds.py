"""Rows of a voice as whole seconds with what lies around them, so that nothing depends on how they came in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vittne.appliance.hearing.rows import FRAME_NS, QUIET_DBOV, ROW, SECOND_ROWS, Rows

BEHIND: Final = 1  # seconds given with those that are worked on
AHEAD: Final = 2
_WHOLE_ROW: Final = np.dtype(("V", ROW.itemsize))
NEVER: Final = -1.0  # present, of rows behind the end of a voice
_COUNTED: Final = 8 * SECOND_ROWS  # missing rows that are put in as absent; of more, the middle is left out
AT_ONCE: Final = 64  # seconds worked on together at most: a bound of memory


class Seconds:
    """A voice's rows on their way; keeps the last few seconds. at_least: how many are worked on together."""

    def __init__(self, at_least: int) -> None:
        self._rows = np.zeros(0, ROW)
        self._at_least = min(at_least, AT_ONCE)

    def add(self, rows: Rows) -> None:
        """Take (n,) rows in whose frames follow each other. What lies behind what is known is left out."""
        if not len(rows):
            return
        first, mono = int(rows["frame"][0]), int(rows["mono_ns"][0])
        if not len(self._rows):
            self._rows = _absent(BEHIND * SECOND_ROWS, first - BEHIND * SECOND_ROWS, mono - BEHIND * 10**9, mono)
        missing = first - self._next
        if missing < 0:
            rows = rows[-missing:]
        elif missing > _COUNTED:
            self._put(_COUNTED // 2, self._next, mono)
            rest = _COUNTED // 2 + missing % SECOND_ROWS
            self._put(rest, first - rest, mono)
        elif missing:
            self._put(missing, self._next, mono)
        self._rows = _joined(self._rows, rows)

    def next(self) -> tuple[Rows, int] | None:
        """Return (rows, seconds): BEHIND seconds, then those to work on, then AHEAD seconds that will come again.

        None when there are too few; and as long as there are not, it is to be asked again.
        """
        count = len(self._rows) // SECOND_ROWS - BEHIND - AHEAD
        if count < self._at_least:
            return None
        count = min(count, AT_ONCE)
        rows = self._rows[: (BEHIND + count + AHEAD) * SECOND_ROWS]
        self._rows = self._rows[count * SECOND_ROWS :].copy()
        return rows, count

    def finish(self, more: int) -> None:
        """Put so much absence behind the last row that all that came can be worked on, and some seconds more."""
        if len(self._rows):
            last = int(self._rows["mono_ns"][-1])
            missing = -len(self._rows) % SECOND_ROWS + (AHEAD + more) * SECOND_ROWS
            self._put(missing, self._next, last)
            self._rows["present"][-missing:] = NEVER
            self._at_least = 1

    @property
    def _next(self) -> int:
        return int(self._rows["frame"][-1]) + 1

    def _put(self, count: int, first: int, until_ns: int) -> None:
        last = int(self._rows["mono_ns"][-1])
        self._rows = _joined(self._rows, _absent(count, first, last, until_ns))


def _joined(*parts: Rows) -> Rows:
    return np.concatenate([one.view(_WHOLE_ROW) for one in parts]).view(ROW)  # field by field is slow


def stacked(parts: Sequence[Rows]) -> Rows:
    """Return (voices, n) of rows of voices, as many of each."""
    return (_joined(*parts) if len(parts) > 1 else parts[0]).reshape(len(parts), -1)


def _absent(count: int, first: int, mono_ns: int, until_ns: int) -> Rows:
    """Return rows of frames that never came, from one arrival on and never later than another."""
    rows = np.zeros(count, ROW)
    rows["frame"] = first + np.arange(count)
    rows["level"], rows["high_level"] = QUIET_DBOV, QUIET_DBOV
    rows["mono_ns"] = np.minimum(mono_ns + FRAME_NS * np.arange(1, count + 1), until_ns)
    return rows
