"""Calls that are over go, without the collector, which looks at what lived for minutes once in hours."""

from __future__ import annotations

import gc

from builders import Scenario
from building.playing import play

from vittne.capture.calls import Call, Stream

APART_S = 10.0
CALLS = 24


def test_a_call_that_is_over_for_long_leaves_nothing_for_the_collector() -> None:
    scenario = Scenario("one after the other")
    for number in range(CALLS):
        alice = scenario.endpoint(f"Alice {number}", f"10.7.0.{10 + number}", 40_000, f"1{number:03d}")
        bob = scenario.endpoint(f"Bob {number}", f"10.7.1.{10 + number}", 50_000, f"2{number:03d}")
        dialog = scenario.dialog(alice, bob)
        answered = dialog.set_up(number * APART_S)
        scenario.talk(dialog.call, alice, bob, answered + 0.01, 1.0)
        dialog.bye(answered + 1.2)

    gc.disable()
    try:
        result = play(scenario)
        over = {report["id"] for report in result.reports}
        left = [one for one in gc.get_objects() if isinstance(one, Call) and one.id in over]
        voices = [one for one in gc.get_objects() if isinstance(one, Stream) and one.call.id in over]
    finally:
        gc.enable()

    assert len(over) == CALLS
    assert (left, voices) == ([], [])
