"""A rendering from any place: blocks of two seconds, each decoded by itself.

A block is decoded with fresh decoders from half a second before it, so that what was said in the ninetieth minute
costs what the first second costs, and is the same whoever asks for it first. Codecs that remember (Opus, G.722) have
come to themselves by then; G.711, which remembers nothing, gives exactly what the rendering from its start gives.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vittne.codecs.base import I16
from vittne.codecs.plan import Plan
from vittne.codecs.timeline import Lane, Rendering
from vittne.codecs.tracks import I64
from vittne.codecs.voice import Voice

BLOCK_S: Final = 2
PREROLL_MS: Final = 500
_KEPT: Final = 24  # blocks: stereo at 48 kHz they are 400 KB each


@dataclass(frozen=True, slots=True)
class _Placed:
    """A plan, and where its rows lie: their first samples made ascending from either end, so that they can be searched.

    Rows of clocks that were set back lie out of order; a few more of them than needed are then decoded.
    """

    plan: Plan
    highest: I64  # (m,) the highest start up to a row
    lowest: I64  # (m,) the lowest start from a row on


class Blocks:
    """Samples of a rendering by their places."""

    def __init__(self, rendering: Rendering) -> None:
        self.rendering = rendering
        self.size = BLOCK_S * rendering.sample_rate
        self._placed = [self._place(plan) for plan in rendering.plans if len(plan)]
        self._kept: OrderedDict[int, I16] = OrderedDict()

    def __len__(self) -> int:
        return (self.rendering.samples + self.size - 1) // self.size

    def samples(self, first: int, count: int) -> I16:
        """Return (count, 2) int16 from a place on; fewer where the call ends."""
        end = min(first + count, self.rendering.samples)
        pieces = [np.zeros((0, 2), np.int16)]
        for number in range(first // self.size, -(-end // self.size)):
            at = number * self.size
            pieces.append(self.block(number)[max(first - at, 0) : end - at])
        return np.concatenate(pieces)

    def block(self, number: int, keep: bool = True) -> I16:
        """Return (k, 2) int16 of a block; the last few are kept. k is `size` but for the last block."""
        found = self._kept.get(number)
        if found is None and not keep:
            return self._decoded(number)
        if found is None:
            found = self._kept[number] = self._decoded(number)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return found

    def _place(self, plan: Plan) -> _Placed:
        starts = plan.starts(self.rendering.from_ns, self.rendering.sample_rate)
        return _Placed(plan, np.maximum.accumulate(starts), np.minimum.accumulate(starts[::-1])[::-1])

    def _decoded(self, number: int) -> I16:
        rendering, start = self.rendering, number * self.size
        mixed = np.zeros((min(self.size, rendering.samples - start), 2), np.int32)
        since = start - PREROLL_MS * rendering.sample_rate // 1000
        for placed in self._placed:
            # From the row before, which may be comfort noise that goes on, to the one after, up to which it does.
            first = max(int(np.searchsorted(placed.highest, since)) - 1, 0)
            end = int(np.searchsorted(placed.lowest, start + len(mixed))) + 1
            if first < min(end, len(placed.plan)):
                part = _part(placed.plan, first, end)
                voice = Voice(part, rendering.gaps, rendering.from_ns, rendering.sample_rate, since)
                Lane(voice).mix_into(mixed, start)
        return np.clip(mixed, -32768, 32767).astype(np.int16)


def _part(plan: Plan, first: int, end: int) -> Plan:
    """Return rows of a plan as a plan of its own."""
    rows = slice(first, end)
    names = ("row", "format", "line", "anchor_ns", "offset", "ticks", "follows", "lost")
    part = replace(plan, **{name: getattr(plan, name)[rows] for name in names})
    part.follows = part.follows.copy()
    part.follows[0] = False
    return part
