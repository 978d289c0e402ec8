"""How late the event loop is: what every timer and every reader of a socket waits for."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

_EVERY_S: Final = 0.05
_STEP_S: Final = 0.0001
_MOST: Final = 100_000  # steps, ten seconds: what is later counts as that


class LoopDelay:
    """Sleeps again and again, and counts how much too late it wakes."""

    def __init__(self) -> None:
        self._late: Counter[int] = Counter()  # by steps of 0.1 ms

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._late[min(_MOST, max(0, int((loop.time() - due) / _STEP_S)))] += 1

    def quantile_ms(self, share: float) -> float:
        """Return the delay that so large a share of all samples does not exceed; 1.0 gives the maximum.

        >>> delay = LoopDelay()
        >>> delay.quantile_ms(0.99)
        0.0
        """
        wanted = share * self._late.total()
        seen = 0
        for steps in sorted(self._late):
            seen += self._late[steps]
            if seen >= wanted:
                return round((steps + 1) * _STEP_S * 1000, 1)
        return 0.0
