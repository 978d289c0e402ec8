"""Talk time, overlap, silence, turns and interruptions are what a plain count of milliseconds gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, sampled_from, tuples

from vittne.appliance.hearing.talk import who_spoke

stretches = lists(tuples(integers(0, 400), integers(0, 400)).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(by_party=dictionaries(sampled_from(["caller", "callee", "third"]), stretches, min_size=1))
def test_times_are_those_of_a_count_by_hand(by_party: dict[str, list[tuple[int, int]]]) -> None:
    lines = {party: np.zeros(400, np.bool_) for party in by_party}
    for party, said in by_party.items():
        for a, b in said:
            lines[party][a:b] = True
    together = np.sum(list(lines.values()), axis=0)

    talk = who_spoke(by_party, 0, 400)

    assert talk.talk == {party: line.sum() for party, line in lines.items()}
    assert talk.overlap == (together > 1).sum()
    assert talk.silence == (together == 0).sum()
    edges = np.flatnonzero(np.diff((together == 0).astype(int), prepend=0, append=0))
    assert talk.longest_silence == max((edges[1::2] - edges[::2]).tolist(), default=0)


def test_a_pause_for_breath_is_no_new_turn() -> None:
    talk = who_spoke({"caller": [(0, 4), (4.8, 9), (15, 20)], "callee": [(10, 14)]})

    assert talk.turns == {"caller": 2, "callee": 1}
    assert talk.interruptions == {"caller": 0, "callee": 0}


@pytest.mark.parametrize(
    ("callee", "count"),
    [((3.0, 6.0), 1), ((3.0, 3.2), 0), ((0.3, 6.0), 0), ((5.0, 6.0), 0)],
    ids=["takes the floor", "says yes", "begins together", "begins after"],
)
def test_who_begins_while_another_speaks_and_goes_on_interrupts(callee: tuple[float, float], count: int) -> None:
    assert who_spoke({"caller": [(0, 5)], "callee": [callee]}).interruptions == {"caller": 0, "callee": count}


def test_times_may_be_in_milliseconds_as_well() -> None:
    said = {"caller": [(0.0, 4.0), (4.8, 9.0)], "callee": [(3.0, 6.0), (12.0, 13.0)]}
    one = who_spoke(said, 0, 20)
    other = who_spoke(
        {party: [(a * 1000, b * 1000) for a, b in all_] for party, all_ in said.items()}, 0, 20_000, second=1000
    )

    assert (other.turns, other.interruptions) == (one.turns, one.interruptions)
    assert other.silence == pytest.approx(1000 * one.silence)


def test_a_call_in_which_nobody_speaks_is_silent_from_end_to_end() -> None:
    talk = who_spoke({"caller": [], "callee": []}, 2, 12)

    assert (talk.silence, talk.longest_silence, talk.overlap) == (10, 10, 0)
    assert who_spoke({}).silence == 0
