"""Counting of streams: the fast way equals the slow plain way, however the rows are cut into batches."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.buffers import Buffers
from vittne.capture.columns import SECOND
from vittne.capture.rtp import RtpRows
from vittne.capture.streams import LATE_NS, MAX_DROPOUT, MIRROR_WINDOW_NS, StreamStates, Tally

MS = 1_000_000
START = 1_767_225_600 * SECOND


@dataclass
class Packet:
    flow: int
    seq: int  # counted on
    mono_ns: int
    payload_type: int = 0
    copy: bool = False  # bytes like the packet of that number before


@dataclass
class Plain:
    """RFC 3550 A.1, A.3 and A.8, a packet at a time."""

    packets: int = 0
    duplicates: int = 0
    reordered: int = 0
    late: int = 0
    skipped: int = 0
    base: int = 0
    highest: int = 0
    last: int = 0
    last_at: int = 0
    last_timestamp: int = 0
    jitter: float = 0.0
    missing: dict[int, int] = field(default_factory=dict)
    types: dict[int, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        return self.highest - self.base + 1 - self.skipped - self.packets

    def take(self, packet: Packet) -> None:
        self.types[packet.payload_type] = self.types.get(packet.payload_type, 0) + 1
        seq, timestamp = packet.seq & 0xFFFF, packet.seq * 160 & 0xFFFFFFFF
        if not self.packets:
            self.base = self.last = seq + 65_536
            self.highest = self.last - 1
            number = self.last
            step = 1
        else:
            step = (seq - self.last + 32_768) % 65_536 - 32_768
            step += 65_536 if step < -MAX_DROPOUT else 0
            number = self.last + step
            ticks = (timestamp - self.last_timestamp + 2**31) % 2**32 - 2**31
            apart = abs(packet.mono_ns - self.last_at - ticks * 125_000)
            if step == 1 and 0 < abs(ticks) < 1 << 20 and apart < SECOND:
                self.jitter += (apart - self.jitter) / 16
        self._place(number, packet.mono_ns)
        self.last, self.last_at, self.last_timestamp = number, packet.mono_ns, timestamp

    def _place(self, number: int, mono_ns: int) -> None:
        self.packets += 1
        if number > self.highest:
            self._gap(self.highest, number, mono_ns)
            self.highest = number
        elif number in self.missing:
            self.reordered += 1
            self.late += mono_ns - self.missing.pop(number) > LATE_NS
        elif number < self.base:
            self.reordered += 1
            self._gap(number, self.base, mono_ns)
            self.base = number
        else:
            self.packets -= 1
            self.duplicates += 1

    def _gap(self, last: int, following: int, mono_ns: int) -> None:
        if following - last - 1 >= MAX_DROPOUT:
            self.skipped += following - last - 1
        else:
            self.missing |= dict.fromkeys(range(last + 1, following), mono_ns)


def run(packets: list[Packet], cuts: list[int]) -> tuple[StreamStates, list[bool]]:
    """Feed packets in arrival order, in batches; payload bytes tell packets apart unless one is a copy."""
    size = 12
    data = np.zeros(64 + 16 * len(packets), np.uint8)
    states, buffers = StreamStates(), Buffers()
    base = buffers.base(data)
    kept: list[bool] = [True] * len(packets)
    for row, packet in enumerate(packets):
        value = packet.seq if packet.copy else (row << 20) + packet.seq
        data[32 + 16 * row : 40 + 16 * row] = np.frombuffer((value & 2**63 - 1).to_bytes(8, "big"), np.uint8)
    seen: set[int] = set()
    edges = sorted({0, len(packets), *(cut for cut in cuts if cut < len(packets))})
    for begin, end in itertools.pairwise(edges):
        rows = sorted(range(begin, end), key=lambda row: packets[row].flow)
        flow = np.array([packets[row].flow for row in rows], np.int32)
        fresh = sorted(set(flow.tolist()) - seen)
        states.clear(np.array(fresh, np.int32))
        seen |= set(fresh)
        mono = np.array([packets[row].mono_ns for row in rows], np.int64)
        columns = RtpRows(
            START + mono,
            mono,
            base + 32 + 16 * np.array(rows, np.int64),
            np.full(len(rows), size, np.int64),
            np.array([packets[row].seq & 0xFFFF for row in rows], np.uint16),
            np.array([packets[row].seq * 160 & 0xFFFFFFFF for row in rows], np.uint32),
            np.array([packets[row].payload_type for row in rows], np.uint8),
        )
        for row, keep in zip(rows, states.update(columns, flow, buffers).tolist(), strict=True):
            kept[row] = keep
    return states, kept


def numbers(tally: Tally) -> tuple[int, ...]:
    return tally.packets, tally.lost, tally.duplicates, tally.reordered, tally.late


@st.composite
def traffic(draw: st.DrawFn) -> list[Packet]:
    """Up to three flows, interleaved, with gaps, repeats, steps back, jumps, and wraps."""
    steps = st.one_of(st.just(1), st.just(1), st.just(1), st.integers(-40, 40), st.sampled_from([-9000, 9000, 20_000]))
    begin = [draw(st.sampled_from([0, 65_500, 30_000])) for _ in range(3)]
    last, mono, found = begin, 0, []
    for _ in range(draw(st.integers(1, 60))):
        flow = draw(st.integers(0, 2))
        last[flow] += draw(steps)
        mono += draw(st.sampled_from([60 * MS, 20 * MS + 60 * MS, 300 * MS]))  # never as close as a mirror's copy
        found.append(Packet(flow, last[flow] % 65_536, mono, draw(st.sampled_from([0, 0, 0, 8]))))
    return found


@given(traffic(), st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=150, deadline=None)
def test_columns_count_what_a_packet_at_a_time_counts_however_they_are_cut(
    packets: list[Packet], cuts: list[int]
) -> None:
    plain: dict[int, Plain] = {}
    for packet in packets:
        plain.setdefault(packet.flow, Plain()).take(packet)

    states, kept = run(packets, cuts)

    assert all(kept)
    for flow, expected in plain.items():
        tally = states.tally(flow)
        assert numbers(tally) == (
            expected.packets,
            max(0, expected.lost),
            expected.duplicates,
            expected.reordered,
            expected.late,
        )
        assert set(tally.payload_types) == set(expected.types)
        assert tally.jitter_ns == pytest.approx(expected.jitter, rel=1e-6, abs=1e-3)


@given(st.integers(1, 40), st.integers(0, 40), st.lists(st.integers(0, 80), max_size=3))
@settings(max_examples=40, deadline=None)
def test_every_packet_twice_within_a_millisecond_is_the_mirrors_doing(first: int, lost: int, cuts: list[int]) -> None:
    packets = []
    for i in range(40):
        if i != lost:
            at = i * 20 * MS
            packets += [Packet(0, first + i, at, copy=True), Packet(0, first + i, at + MS // 2, copy=True)]

    states, kept = run(packets, cuts)

    assert kept == [row % 2 == 0 for row in range(len(packets))]
    assert states.tally(0).packets == len(packets) // 2
    assert states.tally(0).duplicates == 0


def test_copies_that_come_two_packets_later_are_copies_still() -> None:
    order = [0, 1, 0, 1, 2, 3, 2, 3]
    packets = [Packet(0, seq, row * 5 * MS, copy=True) for row, seq in enumerate(order)]

    states, kept = run(packets, [])

    assert kept == [True, True, False, False, True, True, False, False]
    assert (states.tally(0).packets, states.tally(0).mirrored) == (4, 4)


def test_the_same_number_with_other_bytes_is_a_duplicate_and_kept() -> None:
    packets = [Packet(0, seq, row * 5 * MS) for row, seq in enumerate([0, 1, 1, 2])]

    states, kept = run(packets, [])

    assert kept == [True] * 4
    assert states.tally(0).duplicates == 1


def test_a_repeat_after_the_mirrors_window_is_a_duplicate() -> None:
    at = [0, 20 * MS, 40 * MS + MIRROR_WINDOW_NS]
    packets = [Packet(0, seq, mono, copy=True) for seq, mono in zip([0, 1, 1], at, strict=True)]

    states, kept = run(packets, [])

    assert kept == [True] * 3
    assert states.tally(0).duplicates == 1


def test_a_sender_that_starts_again_loses_nothing() -> None:
    packets = [Packet(0, seq, row * 60 * MS) for row, seq in enumerate([40_000, 40_001, 7, 8, 9, 40_002, 40_003])]

    states, _ = run(packets, [3, 5])

    assert numbers(states.tally(0)) == (7, 0, 0, 0, 0)


def test_a_number_given_anew_begins_at_nothing() -> None:
    states, _ = run([Packet(0, 5, 0), Packet(0, 9, 60 * MS, 8)], [])

    states.clear(np.array([0], np.int32))

    assert numbers(states.tally(0)) == (0, 0, 0, 0, 0)
    assert states.tally(0).payload_types == {0: 0}


def hostile_rows(buffers: Buffers, seq: list[int], start_ns: int) -> RtpRows:
    """Packets of 12 bytes, each different, one microsecond apart, all with one timestamp."""
    count = len(seq)
    data = np.frombuffer(b"".join(i.to_bytes(12, "big") for i in range(count)), np.uint8).copy()
    times = start_ns + np.arange(count) * 1000
    address = buffers.base(data) + 12 * np.arange(count)
    return RtpRows(
        times,
        times.copy(),
        address,
        np.full(count, 12),
        np.array(seq, np.uint16),
        np.zeros(count, np.uint32),
        np.zeros(count, np.uint8),
    )


@pytest.mark.parametrize("step", [0, 600, 2999])
def test_a_flood_of_numbers_out_of_order_costs_no_commit(step: int) -> None:
    states, buffers = StreamStates(), Buffers()
    one_flow = np.zeros(60_000, np.int32)
    states.update(hostile_rows(buffers, [0], START), one_flow[:1], buffers)

    keep = states.update(
        hostile_rows(buffers, [i * step & 0xFFFF for i in range(60_000)], START + 1), one_flow, buffers
    )

    tally = states.tally(0)
    assert keep.sum() >= 59_999
    assert tally.packets + tally.duplicates + tally.mirrored == 60_001
