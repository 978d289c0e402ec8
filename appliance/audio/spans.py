"""What of a recording was fetched, in whole seconds: so few numbers that one row of the trail holds them."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

MOST: Final = 64  # stretches that a row tells; what lies nearest together is told as one where there are more


class Spans:
    """Stretches of seconds, ascending, none touching another."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._spans)

    def add(self, from_ms: int, to_ms: int) -> None:
        """Take in a stretch; its seconds are those that it touches."""
        if to_ms <= from_ms:
            return
        begin, end = from_ms // 1000, -(-to_ms // 1000)
        apart = [span for span in self._spans if span[1] < begin or span[0] > end]
        touched = [span for span in self._spans if not (span[1] < begin or span[0] > end)]
        begin = min([begin, *(span[0] for span in touched)])
        end = max([end, *(span[1] for span in touched)])
        self._spans = sorted([*apart, (begin, end)])
        if len(self._spans) > MOST:
            self._join_nearest()

    def seconds(self) -> int:
        """Return how many seconds there are in all."""
        return sum(end - begin for begin, end in self._spans)

    def as_json(self) -> list[list[int]]:
        """Return [[from, to], ...] in seconds of the call's time line."""
        return [[begin, end] for begin, end in self._spans]

    def _join_nearest(self) -> None:
        """Say too much rather than too little: the smallest gap is told as if it had been fetched as well."""
        gaps = [(after[0] - before[1], n) for n, (before, after) in enumerate(pairwise(self._spans))]
        _, n = min(gaps)
        self._spans[n : n + 2] = [(self._spans[n][0], self._spans[n + 1][1])]
