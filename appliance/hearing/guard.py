"""What is done for one voice among many: which one it is, is said, and a fault costs this voice, never the next one."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Literal


class Guard:
    """`with guard.of(number)`: what is raised within is noted. busy: is told the voice, None behind it."""

    def __init__(self, busy: Callable[[int | None], None] | None = None) -> None:
        self.faulty: set[int] = set()  # voices of which something failed
        self._busy = busy
        self._number = 0

    def of(self, number: int) -> Guard:
        """Work on this voice from now on."""
        self._number = number
        return self

    def __enter__(self) -> None:
        if self._busy is not None:
            self._busy(self._number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._busy is not None:
            self._busy(None)
        if error is None or not isinstance(error, Exception):
            return False
        self.faulty.add(self._number)
        return True

    def settled(self) -> set[int]:
        """Return the voices of which something failed, and forget them."""
        faulty, self.faulty = self.faulty, set()
        return faulty


class NoGuard(Guard):
    """For one voice alone: what is raised is the caller's matter."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return False
