"""UTC stamps on the monotonic line: steps of the time of day are told, and change no order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis.strategies import integers, lists

from vittne.capture.columns import SECOND
from vittne.capture.monotonic import MonotonicLine

HOUR = 3600 * SECOND
REAL = 1_700_000_000 * SECOND
MS = SECOND // 1000


def stamps(*after_ms: int, clock: int = REAL) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return UTC stamps of packets that came so many ms after monotonic zero, on a clock that said `clock` then."""
    return clock + np.array(after_ms, np.int64) * MS


@given(gaps=lists(integers(0, 50), max_size=30), cut=integers(0, 30))
def test_without_a_step_rows_keep_their_distances_however_they_are_read(gaps: list[int], cut: int) -> None:
    after = np.cumsum(np.array([1000, *gaps], np.int64)).tolist()
    now = after[-1] * MS
    line = MonotonicLine()

    first, _ = line.place(stamps(*after[:cut]), REAL + now, now)
    second, step = line.place(stamps(*after[cut:]), REAL + now, now)

    assert [*first, *second] == [ms * MS for ms in after]
    assert step is None


def test_a_step_of_an_hour_between_two_packets_leaves_their_distance() -> None:
    for jump in (HOUR, -HOUR):
        line = MonotonicLine()
        line.place(stamps(1000), REAL + SECOND, SECOND)

        at_ns = np.concatenate([stamps(1020, 1040), stamps(1060, 1080, clock=REAL + jump)])
        mono, step = line.place(at_ns, REAL + jump + 1100 * MS, 1100 * MS)

        assert mono.tolist() == [1020 * MS, 1040 * MS, 1060 * MS, 1080 * MS]
        assert step is not None
        assert step.step_ns == jump
        assert step.at_ns == REAL + jump + 1100 * MS


def test_after_a_step_the_new_clock_holds_and_nothing_more_is_told() -> None:
    line = MonotonicLine()
    line.place(stamps(1000), REAL + SECOND, SECOND)
    line.place(stamps(), REAL + HOUR + 2 * SECOND, 2 * SECOND)

    mono, step = line.place(stamps(2500, clock=REAL + HOUR), REAL + HOUR + 3 * SECOND, 3 * SECOND)

    assert mono.tolist() == [2500 * MS]
    assert step is None


def test_a_slewed_clock_is_followed_without_an_event() -> None:
    line = MonotonicLine()
    line.place(stamps(1000), REAL + SECOND, SECOND)

    mono, step = line.place(stamps(2000, clock=REAL + MS), REAL + MS + 2 * SECOND, 2 * SECOND)

    assert mono.tolist() == [2 * SECOND]
    assert step is None


@given(
    rows=lists(integers(-HOUR, HOUR), max_size=20),
    real=integers(REAL - HOUR, REAL + HOUR),
    more=lists(integers(-HOUR, HOUR), max_size=20),
)
def test_whatever_the_clock_does_times_never_decrease_and_never_pass_now(
    rows: list[int], real: int, more: list[int]
) -> None:
    line = MonotonicLine()

    first, _ = line.place(REAL + np.array(rows, np.int64), REAL, 5 * HOUR)
    second, _ = line.place(REAL + np.array(more, np.int64), real, 5 * HOUR + SECOND)

    both = np.concatenate([first, second])
    assert (np.diff(both) >= 0).all()
    assert not len(both) or both[-1] <= 5 * HOUR + SECOND


def test_rows_read_after_a_restart_do_not_lie_before_what_was_read_already() -> None:
    line = MonotonicLine(last_ns=1030 * MS)

    mono, _ = line.place(stamps(1000, 1020, 1040), REAL + 2 * SECOND, 2 * SECOND)

    assert mono.tolist() == [1030 * MS, 1030 * MS, 1040 * MS]
