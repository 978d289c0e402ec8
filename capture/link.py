"""Frames to UDP datagrams and TCP segments, a block at a time.

Nearly every frame of a voice mirror is Ethernet, perhaps a VLAN tag, IPv4 without options
and UDP: plain.py reads those at once. All others go through layers.py, where the same is
done one layer at a time. Both give the same columns, and a test holds them to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vittne.capture import linklayers, tunnels  # noqa: F401 (they enter their handlers)
from vittne.capture.addresses import AddressBook
from vittne.capture.columns import (
    CUT_BY_SNAPLEN,
    I64,
    LINK_ETHERNET,
    LINK_IPV4,
    LINK_IPV6,
    LINK_LOOP,
    LINK_NULL,
    LINK_PPP,
    LINK_RAW,
    LINK_RAW_12,
    LINK_RAW_14,
    LINK_SLL,
    LINK_SLL2,
    SECOND,
    Block,
    Datagrams,
    Segments,
)
from vittne.capture.fragments import Arrivals, Reassembler
from vittne.capture.layers import Fate, Layer, Mask, Rows, rule, take_layers
from vittne.capture.plain import BEFORE, Plain, read_plain, read_tagged

__all__ = ["LinkParser", "Parsed"]

_LINK: Final = rule(
    65_536,
    Fate.LINK_TYPE,
    {
        LINK_ETHERNET: Layer.ETHERNET,
        LINK_NULL: Layer.LOOPBACK,
        LINK_LOOP: Layer.LOOPBACK,
        LINK_PPP: Layer.PPP,
        LINK_RAW_12: Layer.RAW,
        LINK_RAW_14: Layer.RAW,
        LINK_RAW: Layer.RAW,
        LINK_IPV4: Layer.IPV4,
        LINK_IPV6: Layer.IPV6,
        LINK_SLL: Layer.COOKED,
        LINK_SLL2: Layer.COOKED_2,
    },
)
_ROUNDS: Final = 8  # fragments in tunnels in fragments: nobody does that more than once


@dataclass(slots=True)
class Parsed:
    """What a block held. The first of udp and tcp are the block's own; others are reassembled, in own buffers."""

    udp: list[Datagrams] = field(default_factory=list)
    tcp: list[Segments] = field(default_factory=list)


class LinkParser:
    """Frames in, datagrams and segments out. Keeps fragments between blocks, nothing else.

    counters: every frame under exactly one of the words of Fate; "encap ..." for tunnels and
    tags gone through; "unread ..." and "cut by snaplen" for some of those frames once more; what was
    odd; "reassembled ..." for datagrams out of fragments.
    """

    def __init__(
        self,
        book: AddressBook,
        fragment_memory: int = 16 << 20,
        fragment_timeout_ns: int = 5 * SECOND,
        *,
        fast: bool = True,
    ) -> None:
        """fast: False takes every frame the slow way, for comparison."""
        self.counters: Counter[str] = Counter()
        self._book = book
        self._fast = fast
        self._reassembler = Reassembler(fragment_memory, fragment_timeout_ns, self.counters)

    def feed(self, block: Block) -> Parsed:
        """Return what a block holds, rows in arrival order. Never raises for what frames contain."""
        if not len(block):
            return Parsed()
        plain = self._plain(block)
        fast = int(np.count_nonzero(plain.ok))
        if fast:
            self.counters["udp"] += fast
        if fast == len(block):
            self._reassembler.expire(int(block.mono_ns[-1]))
            return Parsed([_datagrams(block, plain)])
        rows = self._slow(block, np.flatnonzero(~plain.ok))
        parsed = Parsed()
        udp, tcp = _join(block, plain, rows), _segments(rows, Arrivals.of(block))
        parsed.udp.extend([udp] if len(udp) else [])
        parsed.tcp.extend([tcp] if len(tcp) else [])
        self._reassemble(rows, Arrivals.of(block), parsed)
        self._reassembler.expire(int(block.mono_ns[-1]))
        return parsed

    def _plain(self, block: Block) -> Plain:
        """Return the columns of the frames that are plain."""
        at, room = block.offset + BEFORE, block.captured - BEFORE
        plain = read_plain(block.data, at, room)
        ethernet = block.link_type == LINK_ETHERNET
        if not self._fast or not ethernet.all():
            plain.ok &= ethernet & self._fast
            plain.type = np.where(ethernet & self._fast, plain.type, 0)
        tags = read_tagged(block.data, at, room, plain)
        if tags:
            self.counters["encap vlan"] += tags
        return plain

    def _slow(self, block: Block, frame: I64) -> Rows:
        """Take the layers off the frames with these numbers."""
        at, captured = block.offset[frame], block.captured[frame]
        following = _LINK[block.link_type[frame]]
        rows = Rows.begin(block.data, self._book, self.counters, frame, at, at + captured, following)
        rows.snapped = block.wire[frame] > captured
        take_layers(rows)
        cut = rows.cut | (rows.flags & CUT_BY_SNAPLEN != 0) | (rows.next == Fate.TRUNCATED)
        if cut.any():
            self.counters["cut by snaplen"] += int(np.count_nonzero(cut))
        self._count(rows, "")
        return rows

    def _reassemble(self, rows: Rows, arrivals: Arrivals, parsed: Parsed) -> None:
        """Put fragments together, and what was in fragments inside those, and so on."""
        for _ in range(_ROUNDS):
            if not rows.pieces:
                return
            whole = self._reassembler.feed(rows, arrivals)
            if whole is None:
                return
            rows, arrivals = whole
            take_layers(rows)
            self._count(rows, "reassembled ")
            udp, tcp = _udp(rows, arrivals), _segments(rows, arrivals)
            parsed.udp.extend([udp] if len(udp) else [])
            parsed.tcp.extend([tcp] if len(tcp) else [])

    def _count(self, rows: Rows, before: str) -> None:
        for fate, count in enumerate(np.bincount(rows.next).tolist()):
            if count:
                self.counters[before + Fate(fate).words] += count


def _datagrams(block: Block, plain: Plain) -> Datagrams:
    """All frames of a block, all plain."""
    return Datagrams(
        data=block.data,
        at_ns=block.at_ns,
        mono_ns=block.mono_ns,
        src=plain.src,
        dst=plain.dst,
        sport=plain.sport,
        dport=plain.dport,
        offset=plain.offset,
        length=plain.length,
        flags=np.zeros(len(block), np.uint8),
        interface=block.interface,
    )


def _join(block: Block, plain: Plain, rows: Rows) -> Datagrams:
    """Return the block's datagrams from both ways, in arrival order."""
    joined = _datagrams(block, plain)
    slow = np.flatnonzero(rows.next == Fate.UDP)
    frame = rows.frame[slow]
    for column, values in (
        (joined.src, rows.src),
        (joined.dst, rows.dst),
        (joined.sport, rows.sport),
        (joined.dport, rows.dport),
        (joined.offset, rows.at),
        (joined.length, rows.end - rows.at),
        (joined.flags, rows.flags),
    ):
        column[frame] = values[slow]
    plain.ok[frame] = True
    return joined if plain.ok.all() else _chosen(joined, plain.ok)


def _chosen(rows: Datagrams, keep: Mask) -> Datagrams:
    """Return the rows of keep; gathering by number is twice as fast as by mask."""
    number = np.flatnonzero(keep)
    return Datagrams(
        rows.data,
        rows.at_ns[number],
        rows.mono_ns[number],
        rows.src[number],
        rows.dst[number],
        rows.sport[number],
        rows.dport[number],
        rows.offset[number],
        rows.length[number],
        rows.flags[number],
        rows.interface[number],
    )


def _udp(rows: Rows, arrivals: Arrivals) -> Datagrams:
    """Return the rows that are UDP."""
    i = np.flatnonzero(rows.next == Fate.UDP)
    frame = rows.frame[i]
    return Datagrams(
        data=rows.data,
        at_ns=arrivals.at_ns[frame],
        mono_ns=arrivals.mono_ns[frame],
        src=rows.src[i],
        dst=rows.dst[i],
        sport=rows.sport[i],
        dport=rows.dport[i],
        offset=rows.at[i],
        length=rows.end[i] - rows.at[i],
        flags=rows.flags[i],
        interface=arrivals.interface[frame],
    )


def _segments(rows: Rows, arrivals: Arrivals) -> Segments:
    """Return the rows that are TCP and say something: payload, SYN, FIN or RST."""
    i = np.flatnonzero(rows.next == Fate.TCP)
    frame = rows.frame[i]
    return Segments(
        data=rows.data,
        at_ns=arrivals.at_ns[frame],
        mono_ns=arrivals.mono_ns[frame],
        src=rows.src[i],
        dst=rows.dst[i],
        sport=rows.sport[i],
        dport=rows.dport[i],
        offset=rows.at[i],
        length=rows.end[i] - rows.at[i],
        flags=rows.flags[i],
        interface=arrivals.interface[frame],
        seq=rows.seq[i],
        tcp_flags=rows.tcp_flags[i],
    )
