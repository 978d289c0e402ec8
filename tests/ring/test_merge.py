"""Several sources as one line of time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from vittne.capture.columns import Block
from vittne.capture.merge import Merge, Slice

MS = 1_000_000


def block_at(*times_ms: int, source: int = 0) -> Block:
    """Return a block with a row at each of these times; a row's offset is its number in the block."""
    rows = len(times_ms)
    times = np.array(times_ms, np.int64) * MS
    return Block(
        data=np.zeros(1, np.uint8),
        offset=np.arange(rows),
        captured=np.ones(rows, np.int64),
        wire=np.ones(rows, np.int64),
        at_ns=times,
        mono_ns=times,
        link_type=np.ones(rows, np.uint16),
        interface=np.full(rows, source, np.uint16),
    )


def times_of(slices: list[Slice[str]]) -> list[tuple[int, list[int]]]:
    return [(piece.source, (piece.block.mono_ns // MS).tolist()) for piece in slices]


def test_one_source_passes_straight_through() -> None:
    merge: Merge[str] = Merge(1)
    block = block_at(1, 2, 3)

    (piece,) = merge.feed(0, block, "token")

    assert piece.block is block
    assert piece.token == "token"
    assert piece.is_last
    assert not list(merge.take(10**12))


def test_an_answer_on_another_interface_comes_after_its_request() -> None:
    merge: Merge[str] = Merge(2, width_ns=0)
    assert not list(merge.feed(1, block_at(20, 40), "answers"))
    assert not list(merge.feed(0, block_at(10, 30, 50), "requests"))

    slices = list(merge.flush())

    assert times_of(slices) == [(0, [10]), (1, [20]), (0, [30]), (1, [40]), (0, [50])]


def test_slices_stay_large_when_some_overlap_is_allowed() -> None:
    merge: Merge[str] = Merge(2, width_ns=50 * MS)
    list(merge.feed(0, block_at(*range(0, 200, 10)), "a"))
    list(merge.feed(1, block_at(*range(5, 200, 10)), "b"))

    slices = list(merge.flush())

    assert len(slices) <= 6


def test_a_row_waits_until_the_other_source_was_heard_up_to_it() -> None:
    merge: Merge[str] = Merge(2)
    list(merge.feed(0, block_at(1000, 1100), "a"))
    assert not list(merge.take(1150 * MS))

    list(merge.feed(1, block_at(900, 1050), "b"))

    assert times_of(list(merge.take(1150 * MS))) == [(1, [900]), (0, [1000])]


def test_an_idle_source_holds_the_others_no_longer_than_patience() -> None:
    merge: Merge[str] = Merge(2, patience_ns=300 * MS)
    list(merge.feed(0, block_at(1000, 1100), "a"))

    assert not list(merge.take(1300 * MS))
    assert times_of(list(merge.take(1350 * MS))) == [(0, [1000])]
    (rest,) = merge.take(1450 * MS)
    assert rest.is_last
    assert rest.first_row == 1


def test_a_row_that_comes_too_late_is_given_out_at_once_and_counted() -> None:
    merge: Merge[str] = Merge(2, patience_ns=300 * MS)
    list(merge.feed(0, block_at(1000), "a"))
    list(merge.take(1400 * MS))

    list(merge.feed(1, block_at(900, 1500), "b"))

    assert times_of(list(merge.take(1400 * MS))) == [(1, [900])]
    assert merge.late == 1


def test_a_block_without_rows_gives_its_token_back() -> None:
    merge: Merge[str] = Merge(2)

    (piece,) = merge.feed(1, block_at(), "empty")

    assert piece.token == "empty"
    assert piece.is_last


gaps = lists(lists(integers(0, 60), max_size=20), max_size=5)


@given(first=gaps, second=gaps, third=gaps, width=integers(0, 100), asked=lists(integers(0, 2000), max_size=4))
def test_every_row_comes_once_and_at_most_the_width_too_late(
    first: list[list[int]], second: list[list[int]], third: list[list[int]], width: int, asked: list[int]
) -> None:
    merge: Merge[tuple[int, int]] = Merge(3, width_ns=width * MS, patience_ns=10**15)
    fed: dict[tuple[int, int], list[int]] = {}
    out: list[Slice[tuple[int, int]]] = []
    for source, blocks in enumerate((first, second, third)):
        at = 0
        for number, block in enumerate(blocks):
            times = (at + np.cumsum(np.array(block, np.int64))).tolist()
            at = times[-1] if times else at
            fed[source, number] = times
            out += merge.feed(source, block_at(*times, source=source), (source, number))
            out += [piece for now in asked for piece in merge.take(now * MS)]
    out += merge.flush()

    given_out: dict[tuple[int, int], list[int]] = {token: [] for token in fed}
    for piece in out:
        assert piece.first_row == len(given_out[piece.token])
        given_out[piece.token] += (piece.block.mono_ns // MS).tolist()
    assert given_out == fed
    assert sorted(piece.token for piece in out if piece.is_last) == sorted(fed)
    assert merge.late == 0
    newest = -1
    for piece in out:
        for time in (piece.block.mono_ns // MS).tolist():
            assert time >= newest - width
            newest = max(newest, time)


@given(rows=lists(tuples(integers(0, 1), integers(0, 40)), max_size=60))
def test_with_a_width_of_zero_rows_come_in_the_order_of_time(rows: list[tuple[int, int]]) -> None:
    merge: Merge[int] = Merge(2, width_ns=0)
    times = np.cumsum([gap for _, gap in rows]).tolist()
    for source in (0, 1):
        mine = [time for time, (which, _) in zip(times, rows, strict=True) if which == source]
        list(merge.feed(source, block_at(*mine, source=source), source))

    out = [time for piece in merge.flush() for time in (piece.block.mono_ns // MS).tolist()]

    assert out == sorted(times)


@pytest.mark.parametrize("sources", [2, 3])
def test_nothing_fed_gives_nothing(sources: int) -> None:
    merge: Merge[str] = Merge(sources)

    assert not list(merge.take(10**12))
    assert not list(merge.flush())
