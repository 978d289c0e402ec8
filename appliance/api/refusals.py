"""Refused logins in the trail: the first ones each by itself, then one row for all that came in ten minutes.

Whoever guesses passwords from many addresses would else write as many entries into a ledger that is never shortened.
Times are an argument: monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 600.0
FIRST: Final = 5  # of a user, written at once
_FIRST_OF_ALL: Final = 50
_USERS: Final = 50  # with a row of their own for the rest
_SOURCES: Final = 1000  # that are told apart


@dataclass(slots=True)
class Rest:
    """Those of a user that were only counted. user: "" for names that nobody has. since_us: UTC."""

    user: str
    since_us: int
    source: str
    count: int = 0
    sources: set[str] = field(default_factory=set)


class Refusals:
    """What was refused in the window that is open."""

    def __init__(self) -> None:
        self._until_s = 0.0
        self._written: Counter[str] = Counter()
        self._rests: dict[str, Rest] = {}

    def is_first(self, user: str, source: str, now_s: float, now_us: int) -> bool:
        """Say whether a refused login is written down by itself; else it is counted."""
        if now_s >= self._until_s and not self._rests:
            self._until_s = now_s + WINDOW_S
            self._written.clear()
        if now_s < self._until_s and self._written[user] < FIRST and self._written.total() < _FIRST_OF_ALL:
            self._written[user] += 1
            return True
        name = user if user in self._rests or len(self._rests) < _USERS else ""
        rest = self._rests.setdefault(name, Rest(name, now_us, source))
        rest.count += 1
        if len(rest.sources) < _SOURCES:
            rest.sources.add(source)
        return False

    def due(self, now_s: float, is_end: bool = False) -> list[Rest]:
        """Return what is to be written now: once the window is over, or at the end; a new one begins."""
        if not self._rests or (now_s < self._until_s and not is_end):
            return []
        found, self._rests = list(self._rests.values()), {}
        self._until_s = 0.0
        return found
