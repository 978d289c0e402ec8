"""News from those who know to those who listen: in order, bounded, and nobody waits for anybody.

Used from one asyncio loop. Who listens too slowly loses the oldest and is told how many; who comes back says what was
heard last, and gets what came since as long as it is kept. A number begins with the word of this start, so that a
number of an earlier one is never taken for ours.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["call", "pause", "alarm", "status", "level"]
KINDS: Final[tuple[Kind, ...]] = ("call", "pause", "alarm", "status", "level")
PASSING: Final[frozenset[Kind]] = frozenset({"status", "level"})  # of which only the newest counts
_KEPT: Final = 2000  # for those who come back; without what is passing
_WAITING: Final = 500  # of one who listens


@dataclass(frozen=True, slots=True)
class News:
    """Something that came about. what: such as begun; told: a value whose type its kind says. at_us: UTC."""

    number: int
    kind: Kind
    what: str
    at_us: int
    told: Any


class Listener:
    """One who listens. lost: how many were thrown away since they were told so."""

    def __init__(self, waiting: int) -> None:
        self._waiting: deque[News] = deque()
        self._most = waiting
        self._wake = asyncio.Event()
        self.lost = 0

    def put(self, news: News) -> None:
        """Have it wait; too many, and the oldest is lost. Of what is passing only the newest waits."""
        if news.kind in PASSING:
            self._waiting = deque(one for one in self._waiting if one.kind != news.kind)
        elif len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(news)
        self._wake.set()

    def wake(self) -> None:
        """Have whoever waits for news look up."""
        self._wake.set()

    async def take(self, timeout_s: float) -> list[News]:
        """Return what waits, as soon as something does; nothing after so long."""
        if not self._waiting:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return []
        found = list(self._waiting)
        self._waiting.clear()
        return found


class Bus:
    """Where news is told. start: a word that no other start has."""

    def __init__(self, kept: int = _KEPT, waiting: int = _WAITING) -> None:
        self.start: Final = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[News] = deque(maxlen=kept)
        self._waiting = waiting
        self._listeners: list[Listener] = []
        self.is_closed = False
        self._told: list[Callable[[News], None]] = []

    def tell(self, kind: Kind, what: str, at_us: int, told: Any) -> None:
        """Tell everybody who listens now."""
        if kind not in PASSING:
            self._number += 1
        news = News(self._number, kind, what, at_us, told)
        if kind not in PASSING:
            self._kept.append(news)
        for listener in self._listeners:
            listener.put(news)
        for callback in self._told:
            callback(news)

    def also(self, callback: Callable[[News], None]) -> None:
        """Have a function called with all news, at once: it must be quick and raise nothing."""
        self._told.append(callback)

    def close(self) -> None:
        """Tell nobody anything any more; who waits is woken."""
        self.is_closed = True
        for listener in self._listeners:
            listener.wake()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @contextmanager
    def listening(self, last: str = "") -> Iterator[tuple[Listener, bool]]:
        """Listen for a while. last: the id that was heard last; "" for none.

        Gives who listens, and whether all that came since `last` is there: of one that is too old, or of another
        start, it is not, and the one who comes back should read everything anew.
        """
        listener = Listener(self._waiting)
        missed = self._since(last)
        for news in missed or ():
            listener.put(news)
        self._listeners.append(listener)
        try:
            yield listener, missed is not None
        finally:
            self._listeners.remove(listener)

    def _since(self, last: str) -> list[News] | None:
        """Return what came after an id, None when something between may be gone."""
        if not last:
            return []
        start, _, text = last.partition("-")
        if start != self.start or not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
            return None
        number = int(text)
        oldest = self._kept[0].number if self._kept else self._number + 1
        if number > self._number or number + 1 < oldest:
            return None
        return [news for news in self._kept if news.number > number]

    @property
    def newest(self) -> str:
        """Return the id of the newest news."""
        return f"{self.start}-{self._number}"

    def id_of(self, news: News) -> str:
        """Return what a listener says that comes back after this one."""
        return f"{self.start}-{news.number}"


_DIGITS: Final = 18
