"""What a PBX says is done at the pause desk, once, and undone when it says so."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rig.desk import desk_of, pipeline_of, two_calls

from vittne.appliance.pbxlinks import PbxLinks
from vittne.appliance.triggers.model import TriggerEvent
from vittne.capture.pipeline import Pipeline


@pytest.fixture
def calls() -> tuple[Pipeline, list[str]]:
    scenario = two_calls()
    return pipeline_of(scenario), [call.call_ids[0] for call in scenario.truth.calls]


def event(call_id: str, *also: str) -> TriggerEvent:
    return TriggerEvent("pause", {"sip_call_id": call_id}, also, "ami:pbx", "button", time.time_ns(), "1700000000.1")


def told(data: Path, pipeline: Pipeline, *events: TriggerEvent) -> None:
    with desk_of(data, pipeline) as desk:
        links = PbxLinks(desk, (), ())

        async def tell() -> None:
            for one in events:
                await links.tell(one)

        asyncio.run(tell())


def test_a_trigger_pauses_the_call_it_names(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    told(tmp_path, pipeline, event(first))

    (pause,) = pipeline.pauses.live()
    assert (pause.trigger, pause.actor, pause.call_ids) == ("pbx", "ami:pbx", (first,))


def test_a_pause_that_is_said_again_names_more_calls_and_stays_one(
    tmp_path: Path, calls: tuple[Pipeline, list[str]]
) -> None:
    pipeline, (first, second) = calls

    told(tmp_path, pipeline, event(first), event(first, second), event(first, second))

    (pause,) = pipeline.pauses.live()
    assert set(pause.call_ids) == {first, second}
    assert len(pause.calls) == 2


def test_resume_ends_the_pause_of_that_name(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, second) = calls
    other = replace(event(second), external_id="1700000000.2")

    told(tmp_path, pipeline, event(first), other, replace(event(first), action="resume"))

    (left,) = pipeline.pauses.live()
    assert left.call_ids == (second,)


def test_a_resume_of_what_is_not_paused_changes_nothing(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, (first, _) = calls

    told(tmp_path, pipeline, replace(event(first), action="resume"))

    assert not pipeline.pauses.live()


def test_a_call_that_is_not_there_yet_is_waited_for(tmp_path: Path, calls: tuple[Pipeline, list[str]]) -> None:
    pipeline, _ = calls

    told(tmp_path, pipeline, event("later"))

    (pause,) = pipeline.pauses.live()
    assert pause.is_armed
