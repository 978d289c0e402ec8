"""The flow table is a dict that columns go through."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.flows import FlowTable

ENDS = st.tuples(
    st.sampled_from([1, 0x0A000001, 2**63 + 5]),
    st.sampled_from([2, 0x0A000002]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 4),
)


def keys(table: FlowTable, flows: list[tuple[int, int, int, int, int]]) -> Any:
    src, dst, sport, dport, ssrc = zip(*flows, strict=True)
    return table.keys(
        np.array(src, np.uint64),
        np.array(dst, np.uint64),
        np.array(sport, np.uint16),
        np.array(dport, np.uint16),
        np.array(ssrc, np.uint32),
    )


@given(st.lists(st.tuples(st.lists(ENDS, min_size=1, max_size=30), st.sets(st.integers(0, 20))), max_size=6))
@settings(max_examples=100, deadline=None)
def test_the_table_is_a_dict(steps: list[tuple[list[tuple[int, int, int, int, int]], set[int]]]) -> None:
    table, plain = FlowTable(), dict[tuple[int, int, int, int, int], int]()
    for flows, leaving in steps:
        numbers, fresh = table.number(keys(table, flows))
        for flow, number in zip(flows, numbers.tolist(), strict=True):
            if flow not in plain:
                assert number in fresh
                assert number not in plain.values()
                plain[flow] = number
            assert plain[flow] == number
        assert len(table) == len(plain)
        for flow in [flow for flow, number in plain.items() if number in leaving]:
            table.forget(plain.pop(flow))


def test_a_million_random_flows_stay_within_the_limit_and_are_forgotten_again() -> None:
    table = FlowTable(limit=5000)
    random = np.random.default_rng(1)

    for _ in range(5):
        batch = random.integers(0, 2**64, 4000, np.uint64) | np.uint64(1)
        numbers, _fresh = table.number(batch)
        again, none = table.number(batch)
        assert np.array_equal(numbers, again)
        assert not len(none)
        for number in set(numbers.tolist()) - {-1}:
            table.forget(number)

    assert len(table) == 0
    assert table.capacity <= 5000


def test_beyond_the_limit_rows_get_no_number() -> None:
    table = FlowTable(limit=10)
    batch = np.arange(1, 41, 2).astype(np.uint64) << np.uint64(20) | np.uint64(1)

    numbers, fresh = table.number(batch)

    assert len(fresh) == 10
    assert np.count_nonzero(numbers < 0) == 10


def test_a_flow_that_is_renumbered_leaves_its_old_number_taken() -> None:
    table = FlowTable()
    flow = [(1, 2, 3, 4, 5)]
    (old,) = table.number(keys(table, flow))[0].tolist()

    new = table.renumber(old)

    assert table.number(keys(table, flow))[0].tolist() == [new] != [old]
    other = table.number(keys(table, [(9, 9, 9, 9, 9)]))[0].tolist()
    assert other not in ([old], [new])
    table.forget(old)
    assert table.number(keys(table, flow))[0].tolist() == [new]
    assert table.number(keys(table, [(8, 8, 8, 8, 8)]))[0].tolist() == [old]
