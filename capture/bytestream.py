"""One direction of a TCP connection as a mirror shows it, put in order.

A mirror loses, repeats and disorders segments, and shows connections from their middle. Of a byte that comes
twice the first copy counts. Bytes that come before their turn wait; whoever owns the stream decides how
long, and then has the hole skipped. Source: RFC 9293 section 3.4 (sequence numbers).
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Final

MAX_WAITING_BYTES: Final = 256 << 10
MAX_WAITING: Final = 512  # segments

# Further ahead than any window in use for signalling: the mirror lost much, or it is another connection on
# the same ports whose SYN was not seen. Waiting for what is missing would be in vain.
MAX_JUMP: Final = 2 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes in order, with the arrival of the segment that brought them or made them readable."""

    data: bytes
    at_ns: int
    mono_ns: int
    after_hole: bool = False  # bytes before these were never seen


@dataclass(order=True, frozen=True, slots=True)
class _Waiting:
    """A segment that came before its turn; `position` counts bytes of the stream without wrapping."""

    position: int
    mono_ns: int
    at_ns: int
    data: bytes


class ByteStream:
    """Puts one direction in order. Nothing waits longer or larger than the bounds above."""

    __slots__ = (
        "_position",
        "_waiting",
        "next_seq",
        "repeated",
        "start_seq",
        "waiting_bytes",
        "waiting_since_ns",
    )

    def __init__(self) -> None:
        self.start_seq: int | None = None  # of the first byte, when the SYN was seen
        self.next_seq: int | None = None
        self.waiting_bytes = 0
        self.waiting_since_ns: int | None = None  # mono_ns of the longest waiting segment
        self.repeated = 0  # bytes that came again
        self._position = 0
        self._waiting: list[_Waiting] = []

    def open(self, seq: int) -> None:
        """Begin at the first byte of a connection: seq is that of the byte after the SYN."""
        self.start_seq = self.next_seq = seq & 0xFFFFFFFF

    def push(self, seq: int, data: bytes, at_ns: int, mono_ns: int) -> list[Run]:
        """Take a segment; return what is in order now.

        seq: as on the wire, wraps at 2**32. A stream that was not opened begins with its first segment.
        """
        if self.next_seq is None:
            self.next_seq = seq
        ahead = ((seq - self.next_seq + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        if abs(ahead) > MAX_JUMP:
            self._forget_waiting()
            self._advance_to(seq, self._position)
            return [self._take(Run(data, at_ns, mono_ns, after_hole=True))]
        if ahead > 0:
            return self._wait(_Waiting(self._position + ahead, mono_ns, at_ns, data))
        fresh = data[-ahead:] if ahead else data
        self.repeated += len(data) - len(fresh)
        if not fresh:
            return []
        return [self._take(Run(fresh, at_ns, mono_ns)), *self._drain(at_ns, mono_ns)]

    def skip_hole(self) -> list[Run]:
        """Give up what is missing before the first waiting segment; return what is in order then."""
        if not self._waiting or self.next_seq is None:
            return []
        first = self._waiting.pop(0)
        self.waiting_bytes -= len(first.data)
        self._advance_to(self.next_seq + first.position - self._position, first.position)
        run = self._take(Run(first.data, first.at_ns, first.mono_ns, after_hole=True))
        return [run, *self._drain(first.at_ns, first.mono_ns)]

    def expects(self, seq: int) -> bool:
        """Say whether seq is what comes next; of a stream that has not begun nobody knows, so yes."""
        return self.next_seq is None or self.next_seq == seq

    def _take(self, run: Run) -> Run:
        """Count a run as read."""
        self._advance_to((self.next_seq or 0) + len(run.data), self._position + len(run.data))
        return run

    def _advance_to(self, seq: int, position: int) -> None:
        self.next_seq = seq & 0xFFFFFFFF
        self._position = position

    def _wait(self, segment: _Waiting) -> list[Run]:
        """Keep a segment for later; when too much waits, the hole is skipped."""
        if segment.data:
            insort(self._waiting, segment)
            self.waiting_bytes += len(segment.data)
            if self.waiting_since_ns is None:
                self.waiting_since_ns = segment.mono_ns
        runs: list[Run] = []
        while self.waiting_bytes > MAX_WAITING_BYTES or len(self._waiting) > MAX_WAITING:
            runs += self.skip_hole()
        return runs

    def _drain(self, at_ns: int, mono_ns: int) -> list[Run]:
        """Return waiting segments whose turn has come; they could not be read before (at_ns, mono_ns)."""
        runs: list[Run] = []
        ready = 0
        for segment in self._waiting:
            if segment.position > self._position:
                break
            ready += 1
            fresh = segment.data[self._position - segment.position :]
            self.waiting_bytes -= len(segment.data)
            self.repeated += len(segment.data) - len(fresh)
            if fresh:
                late = segment.mono_ns > mono_ns
                at, mono = (segment.at_ns, segment.mono_ns) if late else (at_ns, mono_ns)
                runs.append(self._take(Run(fresh, at, mono)))
        del self._waiting[:ready]
        self.waiting_since_ns = min((segment.mono_ns for segment in self._waiting), default=None)
        return runs

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self.waiting_bytes = 0
        self.waiting_since_ns = None
