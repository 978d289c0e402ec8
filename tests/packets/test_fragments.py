"""Datagrams out of fragments."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets.crafted import TUNNELS, Row, block_of, ether, fragmented, fragmented_v6, inner, parse, rows_of
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from vittne.capture.addresses import AddressBook
from vittne.capture.columns import REASSEMBLED, SECOND, TUNNELLED
from vittne.capture.link import LinkParser

LONG = bytes(random.Random(3).randbytes(3_000))


def piece(start: int, data: bytes, more: bool, identification: int = 7) -> bytes:
    """Return one IPv4 fragment of protocol UDP; start in bytes."""
    flags = start // 8 | more << 13
    return bytes(
        IP(src="192.0.2.1", dst="198.51.100.2", id=identification, proto=17, flags=flags >> 13, frag=flags & 0x1FFF)
        / Raw(data)
    )


def put_together(packets: Sequence[bytes], **options: int) -> tuple[list[Row], LinkParser]:
    """Return the datagrams that IP packets give, one a millisecond."""
    book = AddressBook()
    parser = LinkParser(book, **options)  # type: ignore[arg-type]
    parsed = parser.feed(block_of([ether(p) for p in packets], at_ns=[i * 1_000_000 for i in range(len(packets))]))
    return [row for part in parsed.udp for row in rows_of(part, book)], parser


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("order", ["forward", "backward", "shuffled", "every one twice"])
def test_fragments_in_any_order_give_the_datagram_at_the_time_of_the_last(family: str, order: str) -> None:
    parts = fragmented(inner(LONG)) if family == "ipv4" else fragmented_v6(LONG)
    if order == "backward":
        parts.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(parts)
    elif order == "every one twice":
        parts = [part for part in parts for _ in range(2)]
    last = len(parts) - (2 if order == "every one twice" else 1)

    rows, parser = put_together(parts)

    (row,) = rows
    assert (row.sport, row.dport, row.payload) == (16_384, 30_000, LONG)
    assert (row.flags, row.at_ns) == (REASSEMBLED, last * 1_000_000)
    assert parser.counters["fragment"] == len(parts)
    assert parser.counters["reassembled udp"] == 1


def test_fragments_of_tcp_give_a_segment() -> None:
    packet = bytes(IP(src="192.0.2.1", dst="198.51.100.2") / TCP(sport=1, dport=5_060, flags="PA") / Raw(LONG))

    parsed, _, _ = parse(block_of([ether(part) for part in fragmented(packet)]))

    assert parsed.udp == []
    (segment,) = parsed.tcp
    begin = int(segment.offset[0])
    assert segment.data[begin : begin + int(segment.length[0])].tobytes() == LONG
    assert parsed.tcp[0].flags.tolist() == [REASSEMBLED]


def test_a_tunnel_in_fragments_and_fragments_in_a_tunnel_are_gone_through() -> None:
    around = fragmented(TUNNELS["vxlan"](inner(LONG)))
    within = [TUNNELS["gre"](part) for part in fragmented(inner(LONG))]
    both = [part for half in within for part in fragmented(half, 500)]

    for packets in (around, within, both):
        rows, _ = put_together(packets)
        assert [(row.payload, row.flags) for row in rows] == [(LONG, REASSEMBLED | TUNNELLED)]


def test_fragments_of_a_datagram_may_lie_in_different_blocks() -> None:
    book = AddressBook()
    parser = LinkParser(book)

    found = [parser.feed(block_of([ether(part)])) for part in fragmented(inner(LONG))]

    assert [len(parsed.udp) for parsed in found] == [0, 0, 0, 1]
    assert rows_of(found[-1].udp[0], book)[0].payload == LONG


def test_an_overlap_that_agrees_is_none() -> None:
    whole = inner(LONG)[20:]

    rows, _ = put_together(
        [piece(0, whole[:1600], True), piece(2400, whole[2400:], False), piece(800, whole[800:2800], True)]
    )

    assert [row.payload for row in rows] == [LONG]


def test_an_overlap_that_disagrees_condemns_the_datagram() -> None:
    whole = inner(LONG)[20:]
    forged = whole[800:1600].replace(whole[900:904], b"evil")
    assert len(forged) == 800
    packets = [piece(0, whole[:1600], True), piece(800, forged, True), piece(1600, whole[1600:], False)]

    rows, parser = put_together([*packets, *packets])

    assert rows == []
    assert parser.counters["fragment conflict"] == 1


def test_two_different_ends_condemn_the_datagram() -> None:
    rows, parser = put_together([piece(16, bytes(8), False), piece(32, bytes(8), False), piece(0, bytes(16), True)])

    assert rows == []
    assert parser.counters["fragment conflict"] == 1


def test_a_number_used_again_begins_another_datagram() -> None:
    first, second = inner(LONG), inner(LONG[::-1])

    rows, _ = put_together([*fragmented(first), *fragmented(second)])

    assert [row.payload for row in rows] == [LONG, LONG[::-1]]


def test_the_same_datagram_again_after_a_while_is_another_one() -> None:
    book = AddressBook()
    parser = LinkParser(book)
    parts = [ether(part) for part in fragmented(inner(LONG))]

    found = [
        row
        for at_ns in (0, SECOND // 100, SECOND)
        for datagrams in parser.feed(block_of(parts, at_ns=[at_ns] * len(parts))).udp
        for row in rows_of(datagrams, book)
    ]

    assert [row.at_ns for row in found] == [0, SECOND]
    assert parser.counters["fragment repeat"] == len(parts)


def test_a_datagram_that_stays_incomplete_is_forgotten_and_counted() -> None:
    book = AddressBook()
    parser = LinkParser(book, fragment_timeout_ns=5 * SECOND)
    first, *rest = fragmented(inner(LONG))

    parser.feed(block_of([ether(first)], at_ns=[0]))
    parsed = parser.feed(block_of([ether(part) for part in rest], at_ns=[6 * SECOND] * len(rest)))

    assert parsed.udp == []
    assert parser.counters["fragment timeout"] == 1


def test_plain_traffic_alone_lets_time_pass_for_fragments() -> None:
    parser = LinkParser(AddressBook())

    parser.feed(block_of([ether(fragmented(inner(LONG))[0])], at_ns=[0]))
    parser.feed(block_of([ether(inner())], at_ns=[6 * SECOND]))

    assert parser.counters["fragment timeout"] == 1


def test_memory_is_bounded_and_the_oldest_datagram_goes() -> None:
    flood = [piece(0, bytes(1_400), True, number) for number in range(200)]

    rows, parser = put_together(
        [*fragmented(inner(LONG))[:-1], *flood, fragmented(inner(LONG))[-1]], fragment_memory=100_000
    )

    assert rows == []
    assert parser.counters["fragment memory"] > 100
    assert parser._reassembler._cost <= 100_000


@pytest.mark.parametrize(
    "bad",
    [
        piece(8, bytes(9), True),  # only the last may have a length that is no multiple of 8
        piece(0x1FFF * 8, bytes(64), False),  # behind 65 535
        piece(0, b"", True),
    ],
)
def test_impossible_fragments_are_counted_and_dropped(bad: bytes) -> None:
    rows, parser = put_together([bad, *fragmented(inner(LONG))])

    assert [row.payload for row in rows] == [LONG]
    assert parser.counters["fragment bad length"] == 1


def test_a_fragment_that_the_snaplen_cut_is_counted_as_such() -> None:
    frames = [ether(part) for part in fragmented(inner(LONG))]

    parsed, parser, _ = parse(block_of([frames[0][:60], *frames[1:]], wire=[len(frame) for frame in frames]))

    assert parsed.udp == []
    assert parser.counters["fragment truncated"] == 1


@settings(max_examples=100, deadline=None)
@given(
    payload=st.binary(min_size=9, max_size=600),
    cuts=st.lists(st.integers(1, 80), max_size=12),
    extra=st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), max_size=6),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_cutting_any_order_and_any_honest_overlap_give_the_payload(
    payload: bytes, cuts: list[int], extra: list[tuple[int, int]], shuffle: random.Random
) -> None:
    whole = inner(payload)[20:]
    edges = sorted({0, *(cut * 8 for cut in cuts if cut * 8 < len(whole)), len(whole)})
    spans = list(pairwise(edges))
    spans += [(b * 8, min(len(whole), (b + n) * 8)) for b, n in extra if b * 8 < len(whole)]
    if len(spans) == 1:
        return
    packets = [piece(begin, whole[begin:end], end < len(whole)) for begin, end in spans]
    shuffle.shuffle(packets)

    rows, parser = put_together(packets)

    assert rows
    assert {row.payload for row in rows} == {payload}
    assert parser.counters["fragment conflict"] == 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 8191), st.binary(max_size=40), st.booleans(), st.integers(0, 2)),
        max_size=40,
    )
)
def test_garbage_in_fragments_is_counted_and_held_within_bounds(parts: list[tuple[int, bytes, bool, int]]) -> None:
    packets = [piece(start * 8 % 65_528, data, more, number) for start, data, more, number in parts]

    _, parser = put_together(packets, fragment_memory=4_000)

    assert parser._reassembler._cost <= 4_000
    assert sum(datagram.cost for datagram in parser._reassembler._held.values()) == parser._reassembler._cost
