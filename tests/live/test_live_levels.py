"""How loud parties are: as loud as they were, and nothing of what nobody may know."""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt
import pytest
from builders import Scenario, sdp
from building.playing import blocks_of
from live.test_tap import pausing
from rig.desk import pipeline_of, two_calls
from scenarios import basic

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.events.bus import News
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.levels import LevelsFor
from vittne.appliance.protocol import NoteLive
from vittne.capture.columns import SECOND
from vittne.capture.levels import Level, Levels
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.recordrules import RecordRule, RecordRules


def tone(seconds: float, amplitude: float) -> npt.NDArray[np.int16]:
    return (amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 8000)) / 8000)).astype(np.int16)


def talk(codec: str = "PCMU") -> Scenario:
    """A call of a loud caller and a callee who is 20 dB softer."""
    scenario = Scenario("loud and soft")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    offer, answer = (sdp(end.ip, end.rtp_port, (codec,)) for end in (alice, bob))
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    loud, soft = (None, None) if codec == "G722" else (tone(10.0, 16_000), tone(10.0, 1600))
    scenario.voice(alice, bob, answered + 0.01, 10.0, call=dialog.call, codec=codec, pcm=loud)
    scenario.voice(bob, alice, answered + 0.01, 10.0, call=dialog.call, codec=codec, pcm=soft)
    return scenario


def measured(scenario: Scenario, settings: Settings | None = None, paused: bool = False) -> list[list[Level]]:
    """Return what is told each second of a scenario, from the eighth on, when its flows are known."""
    pipeline, found, taken = Pipeline(settings), list[list[Level]](), 0
    levels, begin = Levels(pipeline), 0
    for block in blocks_of(scenario.frames(), SECOND // 10):
        mono = int(block.mono_ns[-1])
        begin = begin or mono
        pipeline.tapped = []
        pipeline.feed(block)
        levels.feed(pipeline.tapped)
        if mono - max(taken, begin) >= SECOND:
            taken = mono
            pipeline.commit(mono - 5 * SECOND)
            if paused and not len(pipeline.pauses) and mono - begin > 7 * SECOND:
                pausing(pipeline, next(iter(pipeline.book.calls.values())), int(block.at_ns[-1]), mono)
            told = levels.take(mono - 3 * SECOND // 2)
            if mono - begin > 7 * SECOND:
                found.append(told)
    assert not pipeline.faults
    assert len(found) >= 2
    return found


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_level_is_that_of_the_voice(codec: str) -> None:
    for (told,) in measured(talk(codec)):
        _, caller, callee = told
        assert caller == pytest.approx(-9, abs=1)  # 16 000 of 32 767, of a sine
        assert callee == pytest.approx(-29, abs=1)


def test_nothing_is_told_of_what_is_paused_sealed_left_out_or_of_another_codec() -> None:
    excluded = Settings(recording=RecordRules((RecordRule("all", then="exclude"),)))
    waiting = Settings(recording=RecordRules((RecordRule("all", gate="after-consent"),)))

    assert not any(measured(talk(), paused=True))
    assert not any(measured(talk(), excluded))
    assert not any(measured(talk(), waiting))
    assert not any(measured(talk("G722")))


def test_a_listener_is_told_what_changed() -> None:
    hub, pipeline = Hub(), pipeline_of(two_calls())
    hub.note(NoteLive([{**pipeline.report_of(call), "outcome": ""} for call in pipeline.book.calls.values()]))
    first, second = pipeline.book.calls
    boss = Principal("user", "boss", "boss", (BUILT_IN["supervisor"],))
    one = LevelsFor(hub)

    def told(*levels: Level) -> dict[str, tuple[int | None, int | None]]:
        found = one.told(boss, News(0, "level", "level", 0, levels), 0)["level"]["levels"]
        return {level["recording"]: (level["caller"], level["callee"]) for level in found}

    assert told((first, -20, -30), (second, -40, None), (str(uuid.uuid4()), -1, -1)) == {
        first: (-20, -30),
        second: (-40, None),
    }
    assert told((first, -21, -30), (second, -40, None)) == {}
    assert told((first, -22, -30), (second, -40, -60)) == {first: (-22, -30), second: (-40, -60)}
    assert told((second, -40, -60)) == {first: (None, None)}
    assert told((second, -40, -60)) == {}
