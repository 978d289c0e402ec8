"""What somebody who sets up a second factor has yet to answer: in memory, for some minutes, one for each user."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_GOOD_S: Final = 600.0
_MOST: Final = 1024


class Enrolments:
    """Secrets and challenges by name, each taken out once or gone after ten minutes. Time: monotonic seconds."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def begin(self, name: str, secret: bytes, now_s: float) -> None:
        """Keep one, in the place of any before."""
        self._open.pop(name, None)
        self._open[name] = (secret, now_s + _GOOD_S)
        while len(self._open) > _MOST:
            self._open.popitem(last=False)

    def get(self, name: str, now_s: float) -> bytes | None:
        """Return one that is still good."""
        secret, until_s = self._open.get(name, (b"", 0.0))
        return secret if now_s < until_s else None

    def take(self, name: str, now_s: float) -> bytes | None:
        """Return one that is still good, and forget it."""
        found = self.get(name, now_s)
        self._open.pop(name, None)
        return found
