"""Listening costs no digit and no packet: it waits, and what finds no room is counted and told."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from analysis.followed import follow, listening
from analysis.prompts import WELCOME, a_call, reference_in
from builders import Scenario
from building.playing import NEVER, Result, blocks_of, take
from scenarios import basic

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.ear import Asked
from vittne.appliance.analysis.ears import Ears
from vittne.appliance.analysis.findings import _NAMES
from vittne.appliance.analysis.states import NAMES
from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Pipeline

AREA_BYTES = 256 << 10


def test_what_finds_no_room_is_counted_and_told_and_costs_no_packet() -> None:
    """Live, with a process that stands still and little memory: nothing is ever waited for."""
    pipeline = Pipeline(listening())
    ears = Ears(pipeline, 1, pipeline.settings.hold_back_ns, area_bytes=AREA_BYTES)
    result = Result(pipeline)
    try:
        for block in blocks_of(a_call("PCMA", seconds=40.0).scenario.frames(), SECOND // 5):
            pipeline.feed(block)
            ears.turn(pipeline.now_mono)
            if ears._ears[0].is_up:
                os.kill(ears._ears[0]._process.pid, signal.SIGSTOP)
            take(result, pipeline.commit(pipeline.now_mono - pipeline.settings.hold_back_ns))
        take(result, pipeline.commit(NEVER, final=True))
    finally:
        ears.close()

    (report,) = result.reports
    assert [one["why"] for one in report["heard"]["listened"]] == ["too late", "too late"]
    assert all(0 < one["seconds"] < 29 for one in report["heard"]["listened"])
    assert pipeline.counters["not listened to: too late"] > 1000
    assert (report["outcome"], [one["stored"] for one in report["streams"]]) == ("recorded", [2000, 2000])


def test_tones_are_answered_before_what_is_only_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred calls in G.711 wait to be listened to; the one in G.722 is answered first."""
    scenario = Scenario("many")
    for number in range(30):
        ends = tuple(
            scenario.endpoint(name, f"10.8.{side}.{number + 1}", 40_000, f"{side}{number:02}")
            for side, name in enumerate(("alice", "bob"))
        )
        codec = "G722" if number == 29 else "PCMA"
        a_call(codec, scenario=scenario, ends=(ends[0], ends[1]), seconds=6.0, begin_s=1.0, talk_from_s=3.0)
    pipeline = Pipeline(listening())
    ears = Ears(pipeline, 1, pipeline.settings.hold_back_ns)
    ear, order = ears._ears[0], []
    settle = ear.settled

    def noted(asked: Asked) -> None:
        order.append(asked.kind == messages.TONES)
        settle(asked)

    monkeypatch.setattr(ear, "settled", noted)
    try:
        for block in blocks_of(scenario.frames(), SECOND):
            pipeline.feed(block)
        ears.turn(pipeline.now_mono)
        tones, listens = (lane.asked for lane in ear._lanes)
        assert tones
        assert len(listens) > 1
        until = time.monotonic() + 30
        while (tones or listens) and time.monotonic() < until:
            ears.turn(0)
    finally:
        ears.close()
    last_of_tones = len(order) - order[::-1].index(True)
    assert last_of_tones < len(order), "tones were answered while there was something to listen to"


@pytest.mark.parametrize("processes", [2])
def test_voices_are_shared_out(processes: int, tmp_path: Path) -> None:
    handles = [reference_in(tmp_path, "welcome", WELCOME)]

    run = follow(a_call().scenario, tmp_path, handles=handles, processes=processes)

    (report,) = run.result.reports
    assert [one["state"] for one in report["heard"]["announcements"]] == ["full"]
    assert all(ear.told is not None for ear in run.ears._ears)


def test_nothing_is_started_where_nothing_is_to_be_heard() -> None:
    pipeline = Pipeline(listening(window_ns=0))
    ears = Ears(pipeline, 1, pipeline.settings.hold_back_ns, waits=True)
    for block in blocks_of(basic.basic_call().frames(), SECOND):
        pipeline.feed(block)
    ears.finish(pipeline.now_mono)

    assert not any(ear.is_up for ear in ears._ears)
    assert "heard" not in pipeline.report_of(next(iter(pipeline.book.calls.values())))


def test_states_have_the_names_that_who_finds_them_gives_them() -> None:
    assert _NAMES == NAMES
