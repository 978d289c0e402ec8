"""The waveform: the lowest and the highest sample of each side, stretch by stretch."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.codecs.base import I16
from vittne.codecs.blocks import BLOCK_S, Blocks

PEAK_MS: Final = 20  # the shortest stretch: so coarse that no voice can be made from it again
A_BLOCK: Final = BLOCK_S * 1000 // PEAK_MS
I16x4 = npt.NDArray[np.int16]  # (n, 4): left low, left high, right low, right high


class Peaks:
    """Peaks of a call, kept block by block once they were asked for: 1.4 MB of an hour."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._known: dict[int, I16x4] = {}

    def between(self, from_ms: int, to_ms: int, points: int) -> I16x4:
        """Return (points, 4) int16 for a stretch of the time line; what lies behind the end is silent."""
        first, end = from_ms // PEAK_MS, max(-(-to_ms // PEAK_MS), from_ms // PEAK_MS + 1)
        fine = self._fine(first, end)
        points = min(points, len(fine))
        borders = np.arange(points, dtype=np.int64) * len(fine) // points
        low = np.minimum.reduceat(fine[:, ::2], borders)
        high = np.maximum.reduceat(fine[:, 1::2], borders)
        return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)

    def _fine(self, first: int, end: int) -> I16x4:
        pieces = []
        for number in range(first // A_BLOCK, -(-end // A_BLOCK)):
            at = number * A_BLOCK
            pieces.append(self._block(number)[max(first - at, 0) : end - at])
        return np.concatenate(pieces)

    def _block(self, number: int) -> I16x4:
        found = self._known.get(number)
        if found is None:
            empty = number >= len(self._blocks)
            found = (
                np.zeros((A_BLOCK, 4), np.int16)
                if empty
                else of_block(self._blocks.block(number, keep=False), self._blocks)
            )
            self._known[number] = found
        return found


def of_block(samples: I16, blocks: Blocks) -> I16x4:
    """Return (A_BLOCK, 4) int16 of the samples of a block, (k, 2)."""
    whole = np.zeros((blocks.size, 2), np.int16)
    whole[: len(samples)] = samples
    borders = np.arange(A_BLOCK, dtype=np.int64) * blocks.size // A_BLOCK
    low, high = np.minimum.reduceat(whole, borders), np.maximum.reduceat(whole, borders)
    return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)
