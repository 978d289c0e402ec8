"""TCP segments in order, as a mirror loses, repeats and disorders them."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from vittne.capture.bytestream import MAX_JUMP, MAX_WAITING, MAX_WAITING_BYTES, ByteStream, Run

DATA = bytes(range(256)) * 4
Piece = tuple[int, int]  # first byte and length


def push(stream: ByteStream, start: int, piece: Piece, at: int = 0) -> list[Run]:
    """Push one piece of DATA of a connection whose first byte has number `start`."""
    begin, length = piece
    return stream.push((start + begin) & 0xFFFFFFFF, DATA[begin : begin + length], at, at)


def test_segments_in_order_come_out_at_once_across_the_wrap() -> None:
    stream = ByteStream()
    stream.open(2**32 - 3)

    first = push(stream, 2**32 - 3, (0, 10), at=5)
    second = push(stream, 2**32 - 3, (10, 10), at=6)

    assert first == [Run(DATA[:10], 5, 5)]
    assert second == [Run(DATA[10:20], 6, 6)]


def test_bytes_before_their_turn_wait_and_are_read_when_the_missing_ones_come() -> None:
    stream = ByteStream()
    stream.open(7)

    assert push(stream, 7, (4, 4), at=1) == []
    assert (stream.waiting_bytes, stream.waiting_since_ns) == (4, 1)
    runs = push(stream, 7, (0, 4), at=9)

    assert runs == [Run(DATA[:4], 9, 9), Run(DATA[4:8], 9, 9)]
    assert (stream.waiting_bytes, stream.waiting_since_ns) == (0, None)


def test_a_skipped_hole_is_marked_and_keeps_the_time_of_what_follows() -> None:
    stream = ByteStream()
    stream.open(7)
    push(stream, 7, (4, 4), at=1)
    push(stream, 7, (8, 4), at=2)
    push(stream, 7, (20, 4), at=3)

    runs = stream.skip_hole()

    assert runs == [Run(DATA[4:8], 1, 1, after_hole=True), Run(DATA[8:12], 2, 2)]
    assert stream.waiting_since_ns == 3
    assert stream.skip_hole() == [Run(DATA[20:24], 3, 3, after_hole=True)]
    assert stream.skip_hole() == []


def test_keep_alive_probes_and_repetitions_say_nothing_new() -> None:
    stream = ByteStream()
    stream.open(7)
    push(stream, 7, (0, 10))

    assert stream.push(16, b"\x00", 0, 0) == []
    assert push(stream, 7, (0, 10)) == []
    assert push(stream, 7, (5, 10)) == [Run(DATA[10:15], 0, 0)]
    assert stream.repeated == 16


def test_a_jump_beyond_any_window_is_taken_at_once() -> None:
    stream = ByteStream()
    stream.open(7)
    push(stream, 7, (0, 10))
    push(stream, 7, (12, 10))

    assert stream.push(7 + 3 * MAX_JUMP, b"new", 4, 4) == [Run(b"new", 4, 4, after_hole=True)]
    assert stream.waiting_bytes == 0
    assert stream.push(10 + 3 * MAX_JUMP, b"er", 4, 4) == [Run(b"er", 4, 4)]


def test_what_waits_has_a_bound() -> None:
    large, many = ByteStream(), ByteStream()
    large.open(0)
    many.open(0)

    for number in range(100):
        large.push(10 + 16_000 * number, bytes(15_999), 0, 0)
    for number in range(3 * MAX_WAITING):
        many.push(10 + 2 * number, b"x", 0, 0)

    assert large.waiting_bytes <= MAX_WAITING_BYTES
    assert many.waiting_bytes <= MAX_WAITING


pieces = st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 300)))


@given(pieces, st.integers(0, 2**32 - 1), st.integers(0, 2**32))
def test_any_order_with_any_repetition_gives_the_bytes_sent(more: list[Piece], start: int, seed: int) -> None:
    stream = ByteStream()
    stream.open(start)
    whole = [(begin, 64) for begin in range(0, len(DATA), 64)]
    sent = [*whole, *more]
    Random(seed).shuffle(sent)

    runs = [run for piece in sent for run in push(stream, start, piece)]

    assert b"".join(run.data for run in runs) == DATA
    assert not any(run.after_hole for run in runs)
    assert stream.waiting_bytes == 0


@given(pieces, st.integers(0, 2**32 - 1))
def test_skipping_every_hole_gives_each_byte_at_most_once_and_in_order(sent: list[Piece], start: int) -> None:
    stream = ByteStream()
    stream.open(start)

    runs = [run for piece in sent for run in push(stream, start, piece)]
    while more := stream.skip_hole():
        runs += more

    covered = {at for begin, length in sent for at in range(begin, min(begin + length, len(DATA)))}
    assert b"".join(run.data for run in runs) == bytes(DATA[at] for at in sorted(covered))
    assert stream.waiting_bytes == 0
