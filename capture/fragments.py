"""IP fragments put together again (RFC 791 section 3.2, RFC 8200 section 4.5).

SIP over UDP comes in fragments as soon as a message has a long SDP or a few Record-Routes.
Fragments are rare, so they are handled one by one; each costs memory that somebody else
can fill, so memory and time are bounded. The first copy of a byte wins, and a later one that
disagrees condemns the whole datagram (RFC 5722 does so for any overlap in IPv6; a mirror
shows the same packet twice, so an overlap that agrees is none).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vittne.capture.columns import I64, REASSEMBLED, U16, Block
from vittne.capture.ip import PROTOCOL
from vittne.capture.layers import Rows

_LARGEST: Final = 65_535
_ROOM: Final = 16  # bytes behind the last datagram: heads are read 16 bytes at a time
_OVERHEAD: Final = 400  # bytes that a datagram costs besides its payload, about
_PIECE_OVERHEAD: Final = 120
_DUPLICATE_NS: Final = 50_000_000  # a mirror shows both copies of a packet within this time (DESIGN 11.8)

Key = tuple[int, int, int, int, bool]


@dataclass(slots=True)
class Arrivals:
    """When and where frames came, by frame number."""

    at_ns: I64
    mono_ns: I64
    interface: U16

    @classmethod
    def of(cls, block: Block) -> Arrivals:
        """Return those of a block."""
        return cls(block.at_ns, block.mono_ns, block.interface)


@dataclass(slots=True)
class _Datagram:
    """Fragments of one datagram. starts and parts: sorted, without overlap."""

    first_ns: int
    starts: list[int] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    received: int = 0
    total: int = -1  # payload bytes, known from the last fragment
    condemned: bool = False
    whole_ns: int | None = None  # when its last byte came
    cost: int = _OVERHEAD

    def add(self, start: int, part: bytes, more: bool) -> str:
        """Take a fragment; return "" or the name of a counter: what was wrong with it."""
        end = start + len(part)
        if not more:
            if self.total not in (-1, end) or (self.starts and self._reach() > end):
                return "fragment conflict"
            self.total = end
        elif self.total >= 0 and end > self.total:
            return "fragment conflict"
        at = max(0, bisect_left(self.starts, start) - 1)
        added = 0
        place = start
        while place < end:
            # The next stored part that ends behind `place`.
            while at < len(self.starts) and self.starts[at] + len(self.parts[at]) <= place:
                at += 1
            if at < len(self.starts) and self.starts[at] <= place:
                stored, begin = self.parts[at], self.starts[at]
                upto = min(end, begin + len(stored))
                if stored[place - begin : upto - begin] != part[place - start : upto - start]:
                    return "fragment conflict"
            else:
                upto = min(end, self.starts[at]) if at < len(self.starts) else end
                self.starts.insert(at, place)
                self.parts.insert(at, part[place - start : upto - start])
                added += upto - place
                self.cost += upto - place + _PIECE_OVERHEAD
            place = upto
        self.received += added
        return "" if added else "fragment repeat"

    def is_complete(self) -> bool:
        """Whether every byte is there. Parts do not overlap, so it is enough to count."""
        return self.received == self.total

    def _reach(self) -> int:
        return self.starts[-1] + len(self.parts[-1])


class Reassembler:
    """Fragments in, whole IP payloads out, as rows that can be taken on with.

    memory: bytes held at most; beyond it the oldest datagrams go. timeout_ns: of mono_ns, from a
    datagram's first fragment on. A whole datagram is remembered a while, so that its
    fragments' second copies are seen for what they are.
    """

    def __init__(self, memory: int, timeout_ns: int, counters: Counter[str]) -> None:
        self._memory = memory
        self._timeout_ns = timeout_ns
        self._counters = counters
        self._held: dict[Key, _Datagram] = {}  # in order of first_ns
        self._cost = 0

    def feed(self, rows: Rows, arrivals: Arrivals) -> tuple[Rows, Arrivals] | None:
        """Take the fragments laid aside in rows.pieces; return the datagrams they complete.

        The rows returned have a buffer of their own, begin behind the IP headers and have the
        time of the fragment that came last.
        """
        done: list[tuple[int, int, _Datagram]] = []  # row, protocol
        for row, protocol, identification, start, more, is_v6 in _in_order(rows):
            frame = int(rows.frame[row])
            now = int(arrivals.mono_ns[frame])
            self.expire(now)
            part = rows.data[rows.at[row] : rows.end[row]].tobytes()
            if rows.cut[row] or not part or start + len(part) > _LARGEST or (more and len(part) % 8):
                self._counters["fragment truncated" if rows.cut[row] else "fragment bad length"] += 1
                continue
            key = (int(rows.src[row]), int(rows.dst[row]), protocol, identification, is_v6)
            datagram = self._take(key, now, start, part, more)
            if datagram is not None:
                done.append((row, protocol, datagram))
        return _whole(rows, arrivals, done) if done else None

    def expire(self, now_ns: int) -> None:
        """Forget datagrams whose first fragment came longer ago than the timeout."""
        while self._held:
            key, oldest = next(iter(self._held.items()))
            if oldest.first_ns + self._timeout_ns > now_ns:
                return
            self._drop(key, "fragment timeout")

    def _take(self, key: Key, now: int, start: int, part: bytes, more: bool) -> _Datagram | None:
        datagram = self._held.get(key)
        if datagram is not None and datagram.whole_ns is not None:
            soon = now <= datagram.whole_ns + _DUPLICATE_NS
            if soon and datagram.add(start, part, more) == "fragment repeat":
                self._counters["fragment repeat"] += 1
                return None
            self._drop(key, "")  # the number is used again: another datagram begins
            datagram = None
        if datagram is None:
            datagram = self._held[key] = _Datagram(now)
            self._cost += datagram.cost
        if datagram.condemned:
            return None
        before = datagram.cost
        wrong = datagram.add(start, part, more)
        if wrong:
            self._counters[wrong] += 1
        if wrong == "fragment conflict":
            datagram.condemned, datagram.starts, datagram.parts = True, [], []
            datagram.cost = _OVERHEAD
        self._cost += datagram.cost - before
        while self._cost > self._memory and self._held:
            self._drop(next(iter(self._held)), "fragment memory")
        if datagram.condemned or not datagram.is_complete():
            return None
        datagram.whole_ns = now
        return datagram

    def _drop(self, key: Key, reason: str) -> None:
        datagram = self._held.pop(key)
        self._cost -= datagram.cost
        if reason and datagram.whole_ns is None and not datagram.condemned:
            self._counters[reason] += 1


def _in_order(rows: Rows) -> list[tuple[int, int, int, int, bool, bool]]:
    """Return (row, protocol, identification, start, more, is_v6) of all pieces in arrival order."""
    return sorted(
        (*piece, pieces.is_v6)
        for pieces in rows.pieces
        for piece in zip(
            pieces.row.tolist(),
            pieces.protocol.tolist(),
            pieces.identification.tolist(),
            pieces.start.tolist(),
            pieces.more.tolist(),
            strict=True,
        )
    )


def _whole(rows: Rows, arrivals: Arrivals, done: list[tuple[int, int, _Datagram]]) -> tuple[Rows, Arrivals]:
    """Lay complete datagrams into one buffer, as rows that go on behind the IP header."""
    payloads = [b"".join(datagram.parts) for _, _, datagram in done]
    data = np.frombuffer(b"".join((*payloads, bytes(_ROOM))), np.uint8)
    length = np.array([len(payload) for payload in payloads], np.int64)
    end = np.cumsum(length)
    row = np.array([row for row, _, _ in done], np.int64)
    following = PROTOCOL[[protocol for _, protocol, _ in done]]
    whole = Rows.begin(data, rows.book, rows.counters, np.arange(len(done)), end - length, end, following)
    whole.src, whole.dst = rows.src[row], rows.dst[row]
    whole.depth, whole.flags = rows.depth[row], rows.flags[row] | np.uint8(REASSEMBLED)
    frame = rows.frame[row]
    return whole, Arrivals(arrivals.at_ns[frame], arrivals.mono_ns[frame], arrivals.interface[frame])
