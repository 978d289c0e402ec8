"""SIP over TCP: messages cut anywhere, holes, joins in the middle, and connections that are not ours."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.columns import SECOND, Segments
from vittne.capture.errors import Malformed
from vittne.capture.sip.judge import Ignored, connection_hash, connection_hashes
from vittne.capture.sip.message import Message
from vittne.capture.sip.stream import MAX_UNJUDGED, Heard, TcpSip, looks_like_sip

A, B = (10, 5060), (20, 40_000)
FIN, SYN, RST, ACK = 1, 2, 4, 16


def sip(call_id: str, body: bytes = b"", length: str | None = None, newline: bytes = b"\r\n") -> bytes:
    """Return a request; length: what the Content-Length line says, None for the truth, "" for no such line."""
    text = "INFO sip:b@x SIP/2.0\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\nf: <sip:a@x>;tag=1\nt: <sip:b@x>;tag=2\n"
    text += f"Call-ID: {call_id}\nCSeq: 1 INFO\n"
    if length != "":
        text += f"l: {len(body) if length is None else length}\n"
    return (text + "\n").encode().replace(b"\n", newline) + body


SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
FRAGMENT = b"SIP/2.0 200 OK\r\n"  # as in NOTIFY: a start line that begins no message
TALK = (
    sip("one", SDP)
    + b"\r\n\r\n"
    + sip("two")
    + sip("three", FRAGMENT)
    + sip("four", b"<a>no line end</a>")
    + sip("five")
)
NAMES = ["one", "two", "three", "four", "five"]


class Wire:
    """A connection from A to B, and the TcpSip that listens."""

    def __init__(self, tcp: TcpSip | None = None, isn: int = 4_294_967_000) -> None:
        self.tcp = tcp or TcpSip()
        self.isn = isn
        self.now = 0

    def segment(self, at: int, data: bytes, flags: int = ACK, *, back: bool = False) -> list[Heard]:
        """Send data as the bytes from number `at` on, counted from the SYN."""
        self.now += 1000
        src, dst = (B, A) if back else (A, B)
        return self.tcp.feed(*src, *dst, (self.isn + at) & 0xFFFFFFFF, flags, data, self.now, self.now)

    def open(self) -> None:
        """Shake hands."""
        self.segment(0, b"", SYN)
        self.segment(0, b"", SYN | ACK, back=True)


def names(heard: list[Heard]) -> list[str]:
    """Return Call-IDs, or the reasons of what is malformed."""
    return [one.message.call_id if isinstance(one.message, Message) else one.message.reason for one in heard]


@given(st.sets(st.integers(1, len(TALK) - 1), max_size=40), st.booleans())
def test_cutting_the_stream_anywhere_changes_nothing(cuts: set[int], opened: bool) -> None:
    wire = Wire()
    if opened:
        wire.open()
    edges = [0, *sorted(cuts), len(TALK)]

    heard = [one for a, b in pairwise(edges) for one in wire.segment(1 + a, TALK[a:b])]

    assert names(heard) == NAMES
    assert not any(one.after_hole for one in heard)
    first = heard[0].message
    assert isinstance(first, Message)
    assert (first.body, first.raw) == (SDP, sip("one", SDP))


def test_single_bytes_are_enough() -> None:
    wire = Wire()
    wire.open()

    assert names([one for at in range(len(TALK)) for one in wire.segment(1 + at, TALK[at : at + 1])]) == NAMES


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(4, 200))
def test_order_and_repetition_do_not_matter(seed: int, size: int) -> None:
    random = Random(seed)
    wire = Wire()
    wire.open()
    sent = [(at, TALK[at : at + size]) for at in range(0, len(TALK), size)]
    sent += [(at, TALK[at : at + 100]) for at in random.choices(range(len(TALK)), k=5)]
    random.shuffle(sent)

    heard = [one for at, data in sent for one in wire.segment(1 + at, data)]

    assert names(heard) == NAMES
    assert wire.tcp.size_bytes == 0


@given(st.integers(0, len(TALK) - 1))
def test_a_connection_joined_in_the_middle_is_taken_up_at_the_next_message(start: int) -> None:
    wire = Wire()

    heard = wire.segment(start, TALK[start:])

    begins = [TALK.rfind(b"INFO sip", 0, TALK.find(f"Call-ID: {name}\r".encode())) for name in NAMES]
    expected = [name for name, begin in zip(NAMES, begins, strict=True) if begin >= start]
    # Within a method the rest of it looks like a method of its own: "NFO sip:..." is one message more.
    assert names(heard)[len(heard) - len(expected) :] == expected
    assert len(heard) - len(expected) <= any(begin < start < begin + 4 for begin in begins)
    assert not any(one.after_hole for one in heard)


def test_a_hole_is_skipped_after_its_time_and_the_next_message_is_flagged() -> None:
    wire = Wire(TcpSip(hole_timeout_ns=SECOND))
    wire.open()
    lost = TALK.find(b"CSeq", 20)

    before = wire.segment(1, TALK[:lost])
    after = wire.segment(1 + lost + 10, TALK[lost + 10 :])
    too_early = wire.tcp.expire(wire.now + SECOND - 1)
    heard = wire.tcp.expire(wire.now + SECOND)

    assert before == after == too_early == []
    assert names(heard) == NAMES[1:]
    assert [one.after_hole for one in heard] == [True, False, False, False]
    assert {one.mono_ns for one in heard} == {wire.now}
    assert wire.tcp.counters["tcp: holes"] == 1
    assert wire.tcp.size_bytes == 0


def test_a_hole_is_skipped_by_later_traffic_too() -> None:
    wire = Wire(TcpSip(hole_timeout_ns=SECOND))
    wire.open()
    wire.segment(100, sip("one"))
    wire.now += SECOND

    heard = wire.segment(100 + len(sip("one")), sip("two"))

    assert names(heard) == ["one", "two"]


def test_a_message_whose_body_is_lost_still_counts_cut_short() -> None:
    wire = Wire(TcpSip(hole_timeout_ns=SECOND))
    wire.open()
    cut = len(sip("one", SDP)) - 30
    wire.segment(1, TALK[:cut])
    wire.segment(1 + cut + 30, TALK[cut + 30 :])

    heard = wire.tcp.expire(wire.now + SECOND)

    assert names(heard) == NAMES
    first = heard[0].message
    assert isinstance(first, Message)
    assert (first.cut, heard[0].after_hole, heard[1].after_hole, heard[2].after_hole) == (True, True, True, False)


def test_a_connection_that_ends_within_a_body_gives_what_came() -> None:
    wire = Wire()
    wire.open()
    data = sip("one", SDP)[:-10]
    wire.segment(1, data[:-5])

    early = wire.segment(1 + len(data), b"", FIN | ACK)
    heard = wire.segment(1 + len(data) - 5, data[-5:])
    wire.segment(1, b"", FIN | ACK, back=True)

    assert early == []
    assert names(heard) == ["one"]
    assert isinstance(heard[0].message, Message)
    assert heard[0].message.cut
    assert wire.tcp.connections == 0


def test_a_reset_ends_a_connection_only_in_its_place() -> None:
    wire = Wire()
    wire.open()
    wire.segment(1, sip("one"))

    wire.segment(5, b"", RST)
    assert wire.tcp.connections == 1
    wire.segment(1 + len(sip("one")), b"", RST)

    assert wire.tcp.connections == 0


def test_the_same_ports_may_carry_another_connection() -> None:
    wire = Wire()
    wire.open()
    wire.segment(1, sip("one")[:100])

    other = Wire(wire.tcp, isn=wire.isn - 50)
    other.open()
    other.segment(0, b"", SYN)  # repeated

    assert names(other.segment(1, sip("two"))) == ["two"]


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_without_a_content_length_the_blank_line_ends_a_message(newline: bytes) -> None:
    wire = Wire()
    wire.open()
    data = sip("one", length="", newline=newline) + sip("two", SDP, length="") + sip("three", SDP, length="")

    heard = wire.segment(1, data)

    assert names(heard) == ["one", "two", "three"]
    assert [one.message.body for one in heard if isinstance(one.message, Message)] == [b"", SDP, SDP]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (sip("x", length="-1"), "sip: content-length"),
        (sip("x", length="99999999999"), "sip: content-length"),
        (sip("x", length="999999"), "sip: message too long"),
        (b"nonsense\r\nX: y\r\n\r\n", "sip: start line"),
        (b"INFO sip:b SIP/2.0\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "sip: head too long"),
        (b"A" * 10_000 + b"\r\n", "sip: start line"),
    ],
)
def test_after_what_makes_no_sense_the_next_message_is_found(bad: bytes, reason: str) -> None:
    wire = Wire()
    wire.open()

    heard = wire.segment(1, sip("one") + bad + sip("two"))

    assert names(heard) == ["one", reason, "two"]
    assert wire.tcp.counters[reason] == 1


@pytest.mark.parametrize(
    "first",
    [
        b"GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\x01\x02\x03",
        b"220 mail.example.com ESMTP\r\n",
        b"MSRP a786hjs2 SEND\r\n",
        b"x" * 9000,
    ],
)
def test_what_begins_otherwise_is_ignored_until_the_next_syn(first: bytes) -> None:
    wire = Wire()
    wire.open()

    wire.segment(1, first)

    assert wire.tcp.is_ignored(*A, *B)
    assert wire.tcp.is_ignored(*B, *A)
    assert wire.tcp.connections == 0
    assert wire.segment(1 + len(first), sip("one")) == []
    again = Wire(wire.tcp, isn=99)
    again.open()
    assert not wire.tcp.is_ignored(*A, *B)
    assert names(again.segment(1, sip("two"))) == ["two"]


def test_a_connection_joined_in_the_middle_has_64_kib_to_show_what_it_is() -> None:
    late, never = Wire(), Wire()

    late.segment(1, b"header: value\r\n" * 1000)
    assert not late.tcp.is_ignored(*A, *B)
    assert names(late.segment(15_001, b"m=audio 4000" + sip("one"))) == ["one"]

    for number in range(70):
        never.segment(1 + 1000 * number, bytes(range(100, 200)) * 10)
    assert never.tcp.is_ignored(*A, *B)


def test_an_ignored_connection_gets_another_chance_later() -> None:
    wire = Wire()
    wire.segment(1, b"HTTP/1.1 200 OK\r\n\r\n")
    assert wire.tcp.is_ignored(*A, *B)

    wire.tcp.expire(601 * SECOND)

    assert not wire.tcp.is_ignored(*A, *B)


def test_a_connection_that_turns_to_nonsense_is_ignored() -> None:
    wire = Wire()
    wire.open()
    wire.segment(1, sip("one"))

    at = 1 + len(sip("one"))
    for _ in range(20):
        wire.segment(at, b"\x17" * 65_000)
        at += 65_000

    assert wire.tcp.is_ignored(*A, *B)
    assert wire.tcp.size_bytes == 0


def test_idle_connections_leave_and_come_back_in_the_middle() -> None:
    wire = Wire(TcpSip(idle_timeout_ns=10 * SECOND))
    wire.open()
    wire.segment(1, sip("one"))

    wire.tcp.expire(wire.now + 11 * SECOND)

    assert wire.tcp.connections == 0
    assert names(wire.segment(1 + len(sip("one")), sip("two"))) == ["two"]


def test_memory_and_the_number_of_connections_have_bounds() -> None:
    tcp = TcpSip(max_connections=100, max_bytes=1 << 20)

    for port in range(3 * MAX_UNJUDGED):
        tcp.feed(1, port, 2, 5060, 0, SYN, b"", 0, port)
    for port in range(200):
        tcp.feed(3, port, 2, 5060, 0, ACK, sip("x", bytes(50_000))[:40_000], 0, port)
        assert tcp.size_bytes <= 1 << 20

    assert tcp.connections <= 100 + MAX_UNJUDGED
    assert tcp.counters["tcp: connections over the limit"] > 0
    assert tcp.counters["tcp: connections over the memory limit"] > 0


def test_a_flood_of_new_connections_pushes_out_none_that_carries_sip() -> None:
    wire = Wire()
    wire.open()
    wire.segment(1, sip("one") + sip("two")[:50])

    for port in range(2 * MAX_UNJUDGED):
        wire.tcp.feed(1, port, 2, 5060, 0, SYN, b"", 0, port)

    assert names(wire.segment(1 + len(sip("one")) + 50, sip("two")[50:])) == ["two"]


addresses = st.integers(0, 2**64 - 1)
ports = st.integers(0, 65_535)


@given(st.lists(st.tuples(addresses, ports, addresses, ports), min_size=1))
def test_the_hash_of_columns_is_the_hash_of_their_rows(rows: list[tuple[int, int, int, int]]) -> None:
    src, sport, dst, dport = zip(*rows, strict=True)

    hashes = connection_hashes(
        np.array(src, np.uint64), np.array(sport, np.uint16), np.array(dst, np.uint64), np.array(dport, np.uint16)
    )

    assert hashes.tolist() == [connection_hash(*row) for row in rows]
    assert hashes.tolist() == [connection_hash(*row[2:], *row[:2]) for row in rows]
    ignored = Ignored()
    ignored.add(int(hashes[0]), 0)
    assert ignored.mask(hashes).tolist() == [int(one) in ignored for one in hashes]


def test_only_rows_that_say_something_are_to_be_fed() -> None:
    wire = Wire()
    wire.tcp.feed(1, 80, 2, 2000, 0, ACK, b"HTTP/1.1 200 OK\r\n\r\n", 0, 0)
    rows = [(10, ACK, 5060), (0, ACK, 5060), (0, FIN, 5060), (10, ACK, 80), (0, RST, 80), (0, SYN, 80)]
    count = len(rows)
    segments = Segments(
        data=np.zeros(0, np.uint8),
        at_ns=np.zeros(count, np.int64),
        mono_ns=np.zeros(count, np.int64),
        src=np.full(count, 1, np.uint64),
        dst=np.full(count, 2, np.uint64),
        sport=np.array([row[2] for row in rows], np.uint16),
        dport=np.full(count, 2000, np.uint16),
        offset=np.zeros(count, np.int64),
        length=np.array([row[0] for row in rows], np.int64),
        flags=np.zeros(count, np.uint8),
        interface=np.zeros(count, np.uint16),
        seq=np.zeros(count, np.uint32),
        tcp_flags=np.array([row[1] for row in rows], np.uint8),
    )

    assert wire.tcp.rows_to_feed(segments).tolist() == [0, 2, 5]


@pytest.mark.parametrize(
    ("data", "is_sip"),
    [
        (b"INVITE sip:b@x SIP/2.0\r\n", True),
        (b"\r\n\r\nSIP/2.0 200 OK\r\n", True),
        (b"SIP/2.0 200", True),
        (b"SIP/2.0 2000 OK\r\n", False),
        (b"INVITE sip:b@x SIP/3.0\r\n", False),
        (b"GET / HTTP/1.1\r\n", False),
        (b"\x80\x08" + bytes(170), False),
        (b"", False),
    ],
)
def test_a_start_line_tells_sip(data: bytes, is_sip: bool) -> None:
    assert looks_like_sip(data) is is_sip


events = st.tuples(
    st.integers(0, 2000),
    st.sampled_from([0, 0, 0, FIN, SYN, RST]),
    st.integers(0, 300),
    st.booleans(),
    st.binary(max_size=8),
)


@settings(max_examples=60)
@given(st.lists(events, max_size=60))
def test_any_segments_give_messages_or_reasons_and_keep_the_sums_right(
    sent: list[tuple[int, int, int, bool, bytes]],
) -> None:
    wire = Wire(TcpSip(hole_timeout_ns=5000))
    talk = TALK * 2

    for at, flags, length, back, noise in sent:
        for one in wire.segment(at, talk[at : at + length] + noise, flags, back=back):
            assert isinstance(one.message, Message | Malformed)
    wire.tcp.expire(10**15)

    assert wire.tcp.size_bytes == 0
    assert wire.tcp.connections == 0
