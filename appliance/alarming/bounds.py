"""An alarm with two bounds: raised beyond one, over beyond another, each only after it held for a while. Pure."""

from __future__ import annotations

from typing import Literal

Turn = Literal["raise", "clear"]


class Bounds:
    """One condition. Between the bounds, and before a bound held for long enough, nothing changes."""

    def __init__(self, raise_after_s: float = 0.0, clear_after_s: float = 0.0) -> None:
        self._after_s: dict[Turn, float] = {"raise": raise_after_s, "clear": clear_after_s}
        self._since_s: float | None = None
        self.stands = False

    def wait(self, raise_after_s: float) -> None:
        """Have what raises hold for so long from now on."""
        self._after_s["raise"] = raise_after_s

    def look(self, is_bad: bool, is_fine: bool, now_s: float) -> Turn | None:
        """Return what to do now. is_bad: beyond the bound that raises; is_fine: beyond that which clears.

        >>> bounds = Bounds(raise_after_s=10)
        >>> [bounds.look(True, False, now_s) for now_s in (0, 5, 10, 15)]
        [None, None, 'raise', None]
        """
        turn: Turn = "clear" if self.stands else "raise"
        if not (is_fine if self.stands else is_bad):
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < self._after_s[turn]:
            return None
        self._since_s = None
        self.stands = not self.stands
        return turn
