"""Placing packets on the monotonic clock, when the kernel stamps them with the time of day.

A ring has only UTC stamps. Order, hold-back and timers need a clock that nobody sets
(DESIGN 11.1), so each batch is moved by the distance between the two clocks as
measured when it was read; when that distance jumps, somebody set the time, and rows
from before the jump keep the old distance. Pure: both clocks come in as values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.capture.columns import I64, SECOND

# Slewing moves a clock by at most 500 ppm (adjtimex(2)), 5 ms in ten seconds; more than this is a step.
STEP_NS: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class ClockStep:
    """Somebody set the time of day: it jumped by step_ns (forward is positive), noticed at mono_ns."""

    mono_ns: int
    at_ns: int  # the time of day after the step
    step_ns: int


class MonotonicLine:
    """UTC stamps of one source as monotonic times that never decrease."""

    def __init__(self, last_ns: int = 0) -> None:
        self.last_ns = last_ns
        self._distance: int | None = None

    def place(self, at_ns: I64, real_now_ns: int, mono_now_ns: int) -> tuple[I64, ClockStep | None]:
        """Return monotonic times of rows in arrival order, and the step of the clock if there was one.

        at_ns: (n,) UTC as the kernel stamped them. The two `now` belong to one instant, not before the
        last row's arrival. Returns (n,) int64, non-decreasing, also over calls, and never after now.
        A row that fits with neither distance (two steps between two reads) lies at the nearest end of the
        time between the last call and now.
        """
        distance = mono_now_ns - real_now_ns
        before, self._distance = self._distance, distance
        mono = at_ns + distance
        step = None
        if before is not None and abs(distance - before) > STEP_NS:
            step = ClockStep(mono_now_ns, real_now_ns, before - distance)
            old = at_ns + before
            mono = np.where(self._fits(old, mono_now_ns) & ~self._fits(mono, mono_now_ns), old, mono)
        if len(mono):
            mono = np.maximum.accumulate(np.clip(mono, min(self.last_ns, mono_now_ns), mono_now_ns))
            self.last_ns = int(mono[-1])
        return mono, step

    def _fits(self, mono: I64, now_ns: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        slack = STEP_NS // 2
        earliest = self.last_ns - slack if self.last_ns else now_ns - 3600 * SECOND
        return (mono >= earliest) & (mono <= now_ns + slack)
