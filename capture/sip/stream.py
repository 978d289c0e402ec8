"""SIP over TCP and WebSocket as a mirror shows it: segments in, messages out.

One TcpSip holds all connections. Memory is bounded per direction (what waits behind a hole, the message at
hand), by the number of connections, and in all; at a bound the connection that was idle longest leaves, those
not yet known to carry SIP first. One that left and goes on is taken up in its middle, like any other.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

import numpy as np

from vittne.capture.columns import I64, SECOND, Segments
from vittne.capture.sip.connection import FIN, RST, SYN, Connection, Direction, Heard
from vittne.capture.sip.judge import (
    IGNORED_SLOTS,
    Ignored,
    Verdict,
    connection_hash,
    connection_hashes,
    is_sip_in_tls,
    named_by_port,
)
from vittne.capture.sip.startline import looks_like_sip

__all__ = ["Heard", "TcpSip", "looks_like_sip"]

MAX_UNJUDGED: Final = 4096
IGNORED_FOR_NS: Final = 600 * SECOND


class TcpSip:
    """Messages of all TCP connections on a mirror."""

    def __init__(
        self,
        hole_timeout_ns: int = 2 * SECOND,
        idle_timeout_ns: int = 900 * SECOND,
        max_connections: int = 32_768,
        max_bytes: int = 64 << 20,
        ignored_slots: int = IGNORED_SLOTS,
    ) -> None:
        """Begin without connections.

        hole_timeout_ns: how long missing bytes are waited for: min(2 s, half of the hold-back), DESIGN 11.8.
        max_connections: that carry SIP; 4 096 more may be unjudged.
        max_bytes: held back in all connections together.
        ignored_slots: how many connections that are not SIP are remembered, at most; 16 bytes each.
        """
        self.counters: Counter[str] = Counter()
        self._hole_timeout_ns = hole_timeout_ns
        self._idle_timeout_ns = idle_timeout_ns
        self._max_connections = max_connections
        self._max_bytes = max_bytes
        self._ignored = Ignored(ignored_slots)
        # Least recently heard first. A flood of new connections can push out only others that are not judged.
        self._judged: OrderedDict[int, Connection] = OrderedDict()
        self._unjudged: OrderedDict[int, Connection] = OrderedDict()
        self._waiting: dict[int, Connection] = {}
        self._sizes: dict[int, int] = {}  # bytes held by each connection that holds any
        self._size_bytes = 0

    @property
    def connections(self) -> int:
        """The number of connections held; ignored ones are not."""
        return len(self._judged) + len(self._unjudged)

    @property
    def size_bytes(self) -> int:
        """Bytes held back in all connections."""
        return self._size_bytes

    def rows_to_feed(self, segments: Segments) -> I64:
        """Return the rows that feed() can learn from: not bare ACKs, and of ignored connections only SYNs."""
        flags = segments.tcp_flags
        names = connection_hashes(segments.src, segments.sport, segments.dst, segments.dport)
        says_something = (segments.length > 0) | (flags & (FIN | RST) != 0)
        return np.flatnonzero((says_something & ~self._ignored.mask(names)) | (flags & SYN != 0))

    def is_ignored(self, src: int, sport: int, dst: int, dport: int) -> bool:
        """Say whether a connection was judged to carry no SIP. Its next SYN still has to be fed."""
        return connection_hash(src, sport, dst, dport) in self._ignored

    def feed(
        self,
        src: int,
        sport: int,
        dst: int,
        dport: int,
        seq: int,
        tcp_flags: int,
        payload: bytes,
        at_ns: int,
        mono_ns: int,
    ) -> list[Heard]:
        """Take one segment; return the messages that it completes, in order. src, dst: address keys."""
        name = connection_hash(src, sport, dst, dport)
        if tcp_flags & SYN:
            self._ignored.remove(name)
        elif name in self._ignored:
            return []
        direction = (src, sport, dst, dport)
        connection = self._find(name, direction, seq, tcp_flags)
        if connection is None:
            if not payload and not tcp_flags & SYN:
                return []
            connection = self._unjudged[name] = Connection(name, self.counters)
            if foreign := named_by_port(sport, dport):
                self.counters[f"tcp: unread tcp {foreign}"] += 1
        heard = connection.feed(direction, seq, tcp_flags, payload, at_ns, mono_ns)
        if connection.is_waiting:
            heard += connection.skip_holes(mono_ns - self._hole_timeout_ns)
        self._settle(connection)
        self._keep_bounds()
        return heard

    def expire(self, before_mono_ns: int) -> list[Heard]:
        """Do what is due at a time: skip old holes, drop idle connections, forget old verdicts.

        Messages that were waiting behind a hole carry the times of their own segments.
        """
        heard: list[Heard] = []
        for connection in list(self._waiting.values()):
            heard += connection.skip_holes(before_mono_ns - self._hole_timeout_ns)
            self._settle(connection)
        for table in (self._judged, self._unjudged):
            while table and next(iter(table.values())).last_ns < before_mono_ns - self._idle_timeout_ns:
                self._drop(next(iter(table.values())), "tcp: idle connections dropped")
        self._ignored.expire(before_mono_ns - IGNORED_FOR_NS)
        return heard

    def _find(self, name: int, direction: Direction, seq: int, tcp_flags: int) -> Connection | None:
        """Return the connection of a segment, moved to the young end; None when it is a new one."""
        table = self._judged if name in self._judged else self._unjudged
        connection = table.get(name)
        if connection and tcp_flags & SYN and connection.is_other(direction, seq):
            self._drop(connection, "tcp: ports used again")
            return None
        if connection:
            table.move_to_end(name)
        return connection

    def _settle(self, connection: Connection) -> None:
        """Put a connection where it belongs now, and bring the sums up to date."""
        if connection.verdict is Verdict.OTHER:
            if is_sip_in_tls(*connection.ports, connection.first_bytes):
                self.counters["tcp: tls connections with sip"] += 1
            self._drop(connection, "tcp: connections ignored")
            self._ignored.add(connection.name, connection.last_ns)
            return
        if connection.is_closed:
            self._drop(connection, "tcp: connections closed")
            return
        if connection.verdict is not Verdict.OPEN and connection.name in self._unjudged:
            del self._unjudged[connection.name]
            self._judged[connection.name] = connection
            self.counters[f"tcp: {connection.verdict.value} connections"] += 1
        self._count_size(connection.name, connection.size)
        if connection.is_waiting:
            self._waiting[connection.name] = connection
        else:
            self._waiting.pop(connection.name, None)

    def _count_size(self, name: int, size: int) -> None:
        self._size_bytes += size - self._sizes.pop(name, 0)
        if size:
            self._sizes[name] = size

    def _drop(self, connection: Connection, reason: str) -> None:
        """Forget a connection."""
        self._judged.pop(connection.name, None)
        self._unjudged.pop(connection.name, None)
        self._waiting.pop(connection.name, None)
        self._count_size(connection.name, 0)
        self.counters[reason] += 1

    def _keep_bounds(self) -> None:
        """Let connections go that were idle longest, when there are too many or they hold too much."""
        while len(self._unjudged) > MAX_UNJUDGED:
            self._drop(next(iter(self._unjudged.values())), "tcp: connections over the limit")
        while len(self._judged) > self._max_connections:
            self._drop(next(iter(self._judged.values())), "tcp: connections over the limit")
        while self._size_bytes > self._max_bytes:
            table = self._unjudged or self._judged
            self._drop(next(iter(table.values())), "tcp: connections over the memory limit")
