"""Blocks of the pcapng format (draft-ietf-opsawg-pcapng).

A file is sections, each in its own byte order and with its own interfaces; an interface
says link type and unit of time. Packets come in enhanced, simple and (obsolete) packet
blocks; everything else is skipped by its length. Records of packets are read as columns,
descriptions of sections and interfaces one by one.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.capture.columns import I64, SECOND, Block, Bytes
from vittne.capture.gather import headers
from vittne.capture.records import Chain, Landmark
from vittne.capture.taken import MOST_CAPTURED, Taken

SECTION: Final = b"\x0a\x0d\x0d\x0a"  # reads the same in both byte orders
_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_OLD_PACKET: Final = 2
_SIMPLE: Final = 3
_ENHANCED: Final = 6
_PACKETS: Final = (_ENHANCED, _OLD_PACKET, _SIMPLE)
_HEADER: Final = 12  # type, length, and the length again at the end
_MOST_PACKET: Final = MOST_CAPTURED + 65_536  # a packet and its options
_MOST_OTHER: Final = 1 << 30  # secrets and names of hosts may be long; they are skipped
_MOST_INTERFACES: Final = 4_096
_TSRESOL: Final = 9
_TSOFFSET: Final = 14
_LATEST_NS: Final = 1 << 62  # year 2116; a time behind it is damage and is held there


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface description block: what its packets are and what a tick of their clock is."""

    link_type: int
    snaplen: int  # 0: no limit
    resolution: int = 6  # tick is 10**-resolution s, or 2**-(resolution - 128) s
    offset_s: int = 0

    def at_ns(self, ticks: I64) -> I64:
        """Return (n,) int64 ns since 1970 of (n,) ticks (uint64 bits in int64, as they are in the file)."""
        unsigned = ticks.view(np.uint64)
        if self.resolution & 0x80:
            bits = np.uint64(min(self.resolution & 0x7F, 63))
            seconds = unsigned >> bits
            fraction = unsigned - (seconds << bits)
            if bits > 32:  # or the product would not fit
                fraction >>= bits - np.uint64(32)
                bits = np.uint64(32)
            part = (fraction * np.uint64(SECOND)) >> bits
        else:
            ticks_a_second = np.uint64(10 ** min(self.resolution, 19))
            seconds, fraction = np.divmod(unsigned, ticks_a_second)
            if self.resolution <= 9:
                part = fraction * np.uint64(10 ** (9 - self.resolution))
            else:
                part = fraction // np.uint64(10 ** (min(self.resolution, 19) - 9))
        held = np.minimum(seconds, np.uint64(_LATEST_NS // SECOND)).astype(np.int64) + self.offset_s
        whole: I64 = np.clip(held, 0, _LATEST_NS // SECOND) * SECOND + part.astype(np.int64)
        return whole


class PcapngReader:
    """Blocks of one pcapng file. Interfaces are numbered on through all its sections."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._order = "<"
        self._interfaces: list[Interface] = []
        self._first = 0  # number of the section's interface 0 in the file
        self._latest_ns = 0  # simple packet blocks have no time: they take the last one seen

    def take(self, data: Bytes, start: int, stop: int) -> Taken:
        """Return the packets up to the next section in data[start:stop], or step over what is first there."""
        if stop - start < _HEADER:
            return Taken(None, start)
        if data[start : start + 4].tobytes() == SECTION:
            return self._section(data, start, stop)
        chain = Chain(length_at=4, extra=0, header=_HEADER, order=self._order)
        landmark = Landmark(struct.pack(self._order + "I", _ENHANCED), 0, _MOST_PACKET)
        begin, stride = chain.walk(data, start, stop, landmark)
        types = headers(data, begin, 4).view(self._order + "u4")[:, 0].astype(np.int64)
        whole, problem = self._whole(data, begin, stride, types, stop)
        after = int(begin[whole - 1] + stride[whole - 1]) if whole else start
        if not whole and not problem and types[0] not in (*_PACKETS, _INTERFACE):
            after = start + int(stride[0])  # a long block of another kind: it need not be whole
        return self._packets(data, begin[:whole], types[:whole], after, problem)

    def _whole(self, data: Bytes, begin: I64, stride: I64, types: I64, stop: int) -> tuple[int, str | None]:
        """Return how many blocks are whole and sound before the next section, and what is wrong behind them."""
        most = np.where(np.isin(types, (*_PACKETS, _INTERFACE)), _MOST_PACKET, _MOST_OTHER)
        ends = (types == _SECTION) | (begin + stride > stop)
        bad = (stride > most) | (stride & 3 != 0)
        again = headers(data, np.minimum(begin + stride, stop) - 4, 4).view(self._order + "u4")[:, 0]
        bad |= ~ends & (again != stride)
        bad &= types != _SECTION
        stops = np.flatnonzero(ends | bad)
        if not len(stops):
            return len(begin), None
        first = int(stops[0])
        return first, f"a block of {int(stride[first])} bytes does not end as it began" if bad[first] else None

    def _section(self, data: Bytes, start: int, stop: int) -> Taken:
        """Step over a section header and take its byte order."""
        magic = data[start + 8 : start + 12].tobytes()
        if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
            return Taken(None, start, "a section header without its byte-order magic")
        order = "<" if magic == b"\x4d\x3c\x2b\x1a" else ">"
        length = struct.unpack(order + "I", data[start + 4 : start + 8].tobytes())[0]
        if length < 28 or length & 3 or length > _MOST_PACKET:
            return Taken(None, start, f"a section header claims {length} bytes")
        if start + length > stop:
            return Taken(None, start)
        if struct.unpack(order + "H", data[start + 12 : start + 14].tobytes())[0] != 1:
            return Taken(None, start, "a section of an unknown pcapng version")
        self._order = order
        self._first += len(self._interfaces)
        self._interfaces = []
        return Taken(None, start + length)

    def _packets(self, data: Bytes, begin: I64, types: I64, after: int, problem: str | None) -> Taken:
        """Return the packets among whole blocks of one section."""
        for at in begin[types == _INTERFACE].tolist():
            self._interface(data, at)
        packets = np.isin(types, _PACKETS)
        if not packets.all():
            begin, types = begin[packets], types[packets]
        if not len(begin):
            return Taken(None, after, problem)
        return Taken(self._block(data, begin, types), after, problem)

    def _block(self, data: Bytes, begin: I64, types: I64) -> Block | None:
        fields = headers(data, begin, 28).view(self._order + "u4")
        interface = fields[:, 2].astype(np.int64)
        ticks = (fields[:, 3].astype(np.int64) << 32) | fields[:, 4].astype(np.int64)
        captured = fields[:, 5].astype(np.int64)
        wire = fields[:, 6].astype(np.int64)
        offset = begin + 28
        room = fields[:, 1].astype(np.int64) - 32
        if (types != _ENHANCED).any():
            old, simple = types == _OLD_PACKET, types == _SIMPLE
            interface[old] = headers(data, begin[old] + 8, 2).view(self._order + "u2")[:, 0]
            offset[simple], room[simple], interface[simple] = begin[simple] + 12, room[simple] + 16, 0
            wire[simple] = fields[simple, 2]
            snaplen = self._interfaces[0].snaplen if self._interfaces else 0
            captured[simple] = np.minimum(wire[simple], np.minimum(room[simple], snaplen or MOST_CAPTURED))
        good = (captured <= room) & (captured <= MOST_CAPTURED) & (interface < len(self._interfaces))
        if not good.all():
            self._counters["pcapng: packet without interface or too long"] += int(np.count_nonzero(~good))
            if not good.any():
                return None
            columns = (interface, ticks, captured, wire, offset, types)
            interface, ticks, captured, wire, offset, types = (column[good] for column in columns)
        at_ns, link_type = self._described(interface, ticks)
        self._simple_times(at_ns, types == _SIMPLE)
        return Block(
            data=data,
            offset=offset,
            captured=captured,
            wire=np.maximum(wire, captured),
            at_ns=at_ns,
            mono_ns=at_ns,
            link_type=link_type.astype(np.uint16),
            interface=np.minimum(interface + self._first, 0xFFFF).astype(np.uint16),
        )

    def _described(self, interface: I64, ticks: I64) -> tuple[I64, I64]:
        """Return at_ns and link type, (n,) int64 each, by each packet's interface."""
        if (interface == interface[0]).all():
            only = self._interfaces[int(interface[0])]
            return only.at_ns(ticks), np.full(len(ticks), only.link_type, np.int64)
        at_ns, link_type = np.zeros_like(ticks), np.zeros_like(ticks)
        for number in np.unique(interface).tolist():
            rows = interface == number
            at_ns[rows] = self._interfaces[number].at_ns(ticks[rows])
            link_type[rows] = self._interfaces[number].link_type
        return at_ns, link_type

    def _simple_times(self, at_ns: I64, simple: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        """Give rows without a time the time of the row before them, in place."""
        if simple.any():
            source = np.maximum.accumulate(np.where(simple, -1, np.arange(len(at_ns))))
            at_ns[:] = np.where(source < 0, self._latest_ns, at_ns[source])
        self._latest_ns = int(at_ns[-1])

    def _interface(self, data: Bytes, at: int) -> None:
        """Enter an interface description; one that is too short or one too many still takes its number."""
        if len(self._interfaces) >= _MOST_INTERFACES:
            self._counters["pcapng: too many interfaces"] += 1
            return
        length = struct.unpack(self._order + "I", data[at + 4 : at + 8].tobytes())[0]
        body = data[at + 8 : at + length - 4].tobytes()
        if len(body) < 8:
            self._counters["pcapng: bad interface description"] += 1
            self._interfaces.append(Interface(0xFFFF, 0))
            return
        link_type, _, snaplen = struct.unpack(self._order + "HHI", body[:8])
        resolution, offset_s = 6, 0
        rest = body[8:]
        while len(rest) >= 4:
            code, size = struct.unpack(self._order + "HH", rest[:4])
            value, rest = rest[4 : 4 + size], rest[4 + -(-size // 4) * 4 :]
            if code == 0:
                break
            if code == _TSRESOL and len(value) == 1:
                resolution = value[0]
            elif code == _TSOFFSET and len(value) == 8:
                offset_s = struct.unpack(self._order + "q", value)[0]
        offset_s = max(-_LATEST_NS // SECOND, min(offset_s, _LATEST_NS // SECOND))
        self._interfaces.append(Interface(link_type, snaplen, resolution, offset_s))
