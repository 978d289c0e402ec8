"""A stream of bytes given back as lines and as bodies of a known length, whatever way the network cut it.

A line that is too long is told once, when its end has come, and never kept.
"""

from __future__ import annotations

from typing import Final


class TooLong:
    """Stands where a line was that is longer than allowed."""


TOO_LONG: Final = TooLong()


class Lines:
    """Holds what has come and was not taken: a line or a body at most, besides the last push."""

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._held = bytearray()
        self._at = 0  # what lies before it has been taken
        self._scanned = 0  # no line end before it
        self._is_long = False
        self._skip = 0

    def push(self, data: bytes) -> None:
        """Take what the network gave."""
        del self._held[: self._at]
        self._scanned = max(0, self._scanned - self._at)
        self._at = 0
        self._held += data
        self._leave_out()

    def line(self) -> bytes | TooLong | None:
        """Return the next line without its end (LF or CR LF), or None when it has not all come."""
        end = self._held.find(b"\n", max(self._at, self._scanned))
        if end < 0:
            self._scanned = len(self._held)
            if self._scanned - self._at > self._max_line:
                self._is_long = True
                self._at = self._scanned
            return None
        text = bytes(self._held[self._at : end])
        self._at = end + 1
        was_long, self._is_long = self._is_long, False
        if was_long or len(text) > self._max_line:
            return TOO_LONG
        return text.removesuffix(b"\r")

    def take(self, count: int) -> bytes | None:
        """Return the next count bytes, or None when they have not all come."""
        if len(self._held) - self._at < count:
            return None
        body = bytes(self._held[self._at : self._at + count])
        self._at += count
        return body

    def skip(self, count: int) -> None:
        """Leave out the next count bytes, those that are still to come as well."""
        self._skip += count
        self._leave_out()

    def _leave_out(self) -> None:
        count = min(self._skip, len(self._held) - self._at)
        self._skip -= count
        self._at += count
