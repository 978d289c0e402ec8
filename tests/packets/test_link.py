"""Frames as datagrams and segments."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets.crafted import (
    FRAMES,
    MAC,
    TUNNELS,
    VOICE,
    Row,
    block_of,
    ether,
    ethernet,
    fragmented,
    inner,
    inner_v6,
    parse,
    rows_of,
    tcp,
    udp_of,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP
from scapy.packet import Raw

from vittne.capture.addresses import AddressBook
from vittne.capture.columns import CUT_BY_SNAPLEN, LINK_ETHERNET, REASSEMBLED, Block, Datagrams, Segments
from vittne.capture.layers import Fate
from vittne.capture.link import LinkParser, Parsed

FATES = {fate.words for fate in Fate}


def corpus() -> list[tuple[int, bytes]]:
    """Return (link type, frame) of everything that can be crafted, and of what is broken or not ours."""
    found = [(link_type, frame(inner())) for link_type, frame in FRAMES.values()]
    found += [(LINK_ETHERNET, ether(wrap(inner_v6()))) for wrap in TUNNELS.values()]
    found += [(LINK_ETHERNET, ether(tcp(flags, payload))) for flags, payload in (("S", b""), ("A", b""), ("PA", b"hi"))]
    found += [(LINK_ETHERNET, ether(bytes(part))) for part in fragmented(inner(bytes(3000)))]
    found += [
        (LINK_ETHERNET, bytes(ethernet() / ARP(hwsrc=MAC))),
        (LINK_ETHERNET, b""),
        (LINK_ETHERNET, bytes(70)),
        (77, bytes(70)),
    ]
    return found


CORPUS = corpus()


def rows_and_segments(parsed: Parsed, book: AddressBook) -> tuple[list[Row], list[tuple[Row, int, int]]]:
    segments = [
        (row, int(part.seq[i]), int(part.tcp_flags[i]))
        for part in parsed.tcp
        for i, row in enumerate(rows_of(part, book))
    ]
    return [row for part in parsed.udp for row in rows_of(part, book)], segments


def test_a_plain_frame_gives_its_columns() -> None:
    block = block_of([ether(inner())], at_ns=[5])

    parsed, parser, book = parse(block)

    (datagrams,) = parsed.udp
    assert rows_of(datagrams, book) == [Row("192.0.2.1", 16_384, "198.51.100.2", 30_000, VOICE, 0, 5)]
    assert datagrams.src.tolist() == [0xC0000201]
    assert datagrams.data is block.data
    assert parsed.tcp == []
    assert parser.counters == {"udp": 1}


def test_columns_have_the_types_of_the_contract() -> None:
    parsed, _, _ = parse(block_of([ether(inner()), ether(inner_v6()), ether(tcp("S"))]))

    wanted = {"at_ns": "i8", "mono_ns": "i8", "src": "u8", "dst": "u8", "sport": "u2", "dport": "u2"}
    wanted |= {"offset": "i8", "length": "i8", "flags": "u1", "interface": "u2"}
    for rows in (parsed.udp[0], parsed.tcp[0]):
        assert {name: getattr(rows, name).dtype for name in wanted} == {n: np.dtype(t) for n, t in wanted.items()}
    assert parsed.tcp[0].seq.dtype == np.uint32
    assert parsed.tcp[0].tcp_flags.dtype == np.uint8


def test_ethernet_padding_is_no_payload() -> None:
    for payload in (b"", b"x", VOICE):
        for fast in (True, False):
            parsed, _, book = parse(block_of([ether(inner(payload)) + b"\xee" * 30]), fast)
            assert [row.payload for row in rows_of(parsed.udp[0], book)] == [payload]


def test_a_packet_without_ip_length_is_as_long_as_what_was_captured() -> None:
    packet = bytearray(inner())
    packet[2:4] = bytes(2)

    (row,) = udp_of([ether(bytes(packet))])

    assert row.payload == VOICE


@pytest.mark.parametrize(("length", "expected"), [(0, VOICE), (9, VOICE[:1]), (8, b""), (999, VOICE)])
def test_a_udp_length_that_lies_is_clipped(length: int, expected: bytes) -> None:
    packet = bytearray(inner())
    packet[24:26] = length.to_bytes(2)

    parsed, parser, book = parse(block_of([ether(bytes(packet))]))

    assert [row.payload for row in rows_of(parsed.udp[0], book)] == [expected]
    assert parser.counters["udp length behind the end of the packet"] == (length == 999)


def test_a_udp_length_below_its_header_is_a_bad_length() -> None:
    packet = bytearray(inner())
    packet[24:26] = (7).to_bytes(2)

    parsed, parser, _ = parse(block_of([ether(bytes(packet))]))

    assert parsed.udp == []
    assert parser.counters == {"bad length": 1}


def test_what_the_snaplen_cut_is_flagged_and_not_taken_for_a_lie() -> None:
    frame = ether(inner())

    parsed, parser, book = parse(block_of([frame[:100], frame[:40]], wire=[len(frame), len(frame)]))

    assert [(row.payload, row.flags) for row in rows_of(parsed.udp[0], book)] == [(VOICE[:58], CUT_BY_SNAPLEN)]
    assert parser.counters == {"udp": 1, "truncated": 1, "cut by snaplen": 2}


def test_segments_that_say_something_are_kept_and_bare_acknowledgements_are_not() -> None:
    frames = [tcp("S"), tcp("A"), tcp("PA", b"OPTIONS"), tcp("FA"), tcp("R"), tcp("A", b"x", seq=2**32 - 1)]

    parsed, parser, book = parse(block_of([ether(frame) for frame in frames]))

    _, segments = rows_and_segments(parsed, book)
    assert [(row.at_ns, row.payload, seq, flags) for row, seq, flags in segments] == [
        (0, b"", 1_000, 2),
        (2, b"OPTIONS", 1_000, 24),
        (3, b"", 1_000, 17),
        (4, b"", 1_000, 4),
        (5, b"x", 2**32 - 1, 16),
    ]
    assert parser.counters == {"tcp": 5, "tcp without payload": 1}


def test_the_same_ipv6_address_has_the_same_key_in_packets_and_in_text() -> None:
    parsed, _, book = parse(block_of([ether(inner_v6())]))

    assert int(parsed.udp[0].src[0]) == book.key("2001:DB8:0::1")


def test_rows_of_both_ways_stay_in_arrival_order() -> None:
    frames = [ether(wrap(inner())) for wrap in TUNNELS.values()]
    mixed = [frame for odd in frames for frame in (odd, ether(inner()), odd, bytes(60))]

    parsed, _, book = parse(block_of(mixed))

    assert [row.at_ns for row in rows_of(parsed.udp[0], book)] == [i for i in range(len(mixed)) if i % 4 != 3]


def test_an_unknown_link_type_is_counted() -> None:
    parsed, parser, _ = parse(block_of([ether(inner())], link_type=147))

    assert parsed == Parsed()
    assert parser.counters == {"unknown link type": 1}


def test_a_block_without_frames_gives_nothing() -> None:
    assert parse(block_of([]))[0] == Parsed()


def mutated(choices: list[tuple[int, list[tuple[int, int]], int, int]]) -> Block:
    """Return a block of corpus frames with some bytes set, ends cut off and lengths on the wire added."""
    frames, links, wire = [], [], []
    for number, changes, cut, more in choices:
        link_type, frame = CORPUS[number % len(CORPUS)]
        changed = bytearray(frame)
        for place, value in changes:
            if changed:
                changed[place % min(len(changed), 90)] = value
        frames.append(bytes(changed[: max(0, len(changed) - cut)]))
        links.append(link_type)
        wire.append(len(frames[-1]) + more)
    return block_of(frames, links, wire=wire)


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 500),
        st.lists(st.tuples(st.integers(0, 89), st.integers(0, 255)), max_size=3),
        st.sampled_from([0, 0, 0, 1, 20, 150]),
        st.sampled_from([0, 0, 50]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(MUTATIONS)
def test_every_frame_has_exactly_one_fate_and_the_fast_way_gives_what_the_slow_way_gives(
    choices: list[tuple[int, list[tuple[int, int]], int, int]],
) -> None:
    block = mutated(choices)

    fast, fast_parser, fast_book = parse(block)
    slow, slow_parser, slow_book = parse(block, fast=False)

    assert rows_and_segments(fast, fast_book) == rows_and_segments(slow, slow_book)
    assert fast_parser.counters == slow_parser.counters
    assert sum(count for name, count in fast_parser.counters.items() if name in FATES) == len(block)


@settings(max_examples=60, deadline=None)
@given(MUTATIONS, st.lists(st.integers(0, 60), max_size=4))
def test_cutting_frames_into_blocks_anywhere_changes_nothing(
    choices: list[tuple[int, list[tuple[int, int]], int, int]], cuts: list[int]
) -> None:
    block = mutated(choices)
    whole, whole_parser, whole_book = parse(block)
    book = AddressBook()
    parser = LinkParser(book)
    edges = sorted({0, len(block), *(cut for cut in cuts if cut < len(block))})

    udp: list[Row] = []
    segments: list[tuple[Row, int, int]] = []
    for begin, end in pairwise(edges):
        rows, parts = rows_and_segments(parser.feed(part_of(block, begin, end)), book)
        udp += rows
        segments += parts

    expected_udp, expected_segments = rows_and_segments(whole, whole_book)
    assert sorted(udp, key=reassembled_last) == sorted(expected_udp, key=reassembled_last)
    assert [row for row in segments if not row[0].flags & REASSEMBLED] == [
        row for row in expected_segments if not row[0].flags & REASSEMBLED
    ]
    assert parser.counters == whole_parser.counters


def reassembled_last(row: Row) -> tuple[int, int]:
    return row.flags & REASSEMBLED, row.at_ns


def part_of(block: Block, begin: int, end: int) -> Block:
    columns = ("offset", "captured", "wire", "at_ns", "mono_ns", "link_type", "interface")
    return replace(block, **{name: getattr(block, name)[begin:end] for name in columns})


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.binary(max_size=120), max_size=20),
    st.sampled_from([0, 1, 9, 12, 101, 108, 113, 228, 229, 276, 999]),
    st.binary(max_size=40),
)
def test_garbage_gives_fates_and_rows_inside_their_frames(frames: list[bytes], link_type: int, tail: bytes) -> None:
    block = block_of(frames, link_type, tail=tail)

    parsed, parser, _ = parse(block)

    assert sum(count for name, count in parser.counters.items() if name in FATES) == len(frames)
    own: list[Datagrams | Segments] = [*parsed.udp, *parsed.tcp]
    for rows in own:
        assert (rows.length >= 0).all()
        if rows.data is block.data:
            frame = rows.at_ns  # times are frame numbers here
            assert (rows.offset >= block.offset[frame]).all()
            assert (rows.offset + rows.length <= block.offset[frame] + block.captured[frame]).all()


def test_a_datagram_at_the_very_end_of_a_buffer_is_read() -> None:
    short = ether(bytes(IP(src="192.0.2.1", dst="198.51.100.2") / UDP(sport=1, dport=2) / Raw(b"x")))

    for fast in (True, False):
        parsed, _, book = parse(block_of([short]), fast)
        assert [row.payload for row in rows_of(parsed.udp[0], book)] == [b"x"]
