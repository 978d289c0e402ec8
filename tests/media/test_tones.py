"""Digits that are sounds: nothing of them, and nothing just before, is stored on any leg, wherever commits fall."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pytest
from builders import START_NS, Scenario
from building.formats import voice_of
from building.playing import Result, play
from scenarios import basic

from vittne.capture import record
from vittne.capture.columns import SECOND
from vittne.capture.digits import AFTER_NS, BEFORE_NS
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Settings

MS = SECOND // 1000
RATE = 8000
SECONDS = 45.0
DIGIT_MS = 60
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
BEGIN_S = 0.6  # of the voices: behind the answer
# So far apart that windows do not join, and at all distances from the ends of commits (every 2 s) and packets.
DIGITS_S = tuple(3.0 + 3.37 * number + 0.0013 * number for number in range(12))


def keyed(level: float = 3000.0) -> npt.NDArray[np.int16]:
    """A voice in which digits are keyed; it is silent meanwhile, as a telephone makes it."""
    said = voice_of("alice", SECONDS, RATE).astype(np.float64)
    for number, begin_s in enumerate(DIGITS_S):
        begin, size = round(begin_s * RATE), DIGIT_MS * RATE // 1000
        time = np.arange(size) / RATE
        said[begin - RATE // 20 : begin + size + RATE // 20] = 0
        pair = LOW[number % 4], HIGH[number // 4 % 4]
        said[begin : begin + size] = level * sum(np.sin(2 * np.pi * hz * time) for hz in pair)
    return said.astype(np.int16)


def a_call(codec: str = "PCMU", ptime_ms: int = 20) -> Scenario:
    scenario = Scenario("tones")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.set_up(0.0)
    scenario.voice(alice, bob, BEGIN_S, SECONDS, call=dialog.call, codec=codec, pcm=keyed(), ptime_ms=ptime_ms)
    scenario.voice(bob, alice, BEGIN_S, SECONDS, call=dialog.call, codec=codec, ptime_ms=ptime_ms)
    dialog.bye(BEGIN_S + SECONDS + 0.5)
    return scenario


def stored_at(result: Result) -> npt.NDArray[np.int64]:
    times = [one.at_ns for records in result.records.values() for one in records if one.kind == record.RTP]
    return np.sort(np.array(times, np.int64))


def settings(policy: str = "mask") -> Settings:
    return Settings(pause=PauseSettings(digit_policy=policy, auto_digits=0))  # type: ignore[arg-type]


@pytest.mark.parametrize(("codec", "ptime_ms"), [("PCMU", 20), ("PCMA", 20), ("PCMU", 10), ("PCMA", 30), ("PCMU", 60)])
@pytest.mark.parametrize("at_once", [False, True])
def test_no_leg_is_stored_around_a_tone(codec: str, ptime_ms: int, at_once: bool) -> None:
    result = play(a_call(codec, ptime_ms), settings(), at_once=at_once)

    times = stored_at(result)
    for begin_s in DIGITS_S:
        begin = START_NS + round((BEGIN_S + begin_s) * SECOND)
        end = begin + DIGIT_MS * MS
        # A packet is sent when its sound is over or begun: a whole one is left on both sides.
        packet = ptime_ms * MS
        inside = (times >= begin - BEFORE_NS + packet + 20 * MS) & (times < end + AFTER_NS - packet - 20 * MS)
        assert not inside.any(), (begin_s, np.count_nonzero(inside))
        assert ((times > begin - SECOND) & (times < begin - SECOND // 2)).any()
    (report,) = result.reports
    assert report["details"]["digits"] == len(DIGITS_S)
    assert all(stream["dropped"]["muted"] for stream in report["streams"])


def test_tones_stay_where_the_policy_says_so() -> None:
    result = play(a_call(), settings("keep"))

    assert len(stored_at(result)) == 2 * 50 * SECONDS


def test_six_tones_within_a_quarter_of_a_minute_pause_the_call() -> None:
    result = play(a_call(), Settings(pause=PauseSettings(auto_digits=5)))

    (told,) = result.reports[0]["details"]["pauses"]
    assert told["trigger"] == "digits"


def test_voices_without_tones_are_stored_whole() -> None:
    scenario = Scenario("voices")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, BEGIN_S, 30.0)
    dialog.bye(BEGIN_S + 31.0)

    result = play(scenario, settings())

    assert len(stored_at(result)) == 2 * 50 * 30


def test_a_number_keyed_by_tones_pauses_from_before_its_first_digit() -> None:
    """Nothing of it is written when it is noticed, if it was keyed within what is held back."""
    seconds = 20.0
    said = voice_of("alice", seconds, RATE).astype(np.float64)
    for number in range(6):
        begin = round((9.0 + 0.3 * number) * RATE)
        time = np.arange(RATE // 10) / RATE
        said[begin : begin + len(time)] = 3000 * (np.sin(2 * np.pi * 770 * time) + np.sin(2 * np.pi * 1336 * time))
    scenario = Scenario("keyed by tones")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.set_up(0.0)
    scenario.voice(alice, bob, BEGIN_S, seconds, call=dialog.call, pcm=said.astype(np.int16))
    scenario.voice(bob, alice, BEGIN_S, seconds, call=dialog.call)
    dialog.bye(BEGIN_S + seconds + 0.5)

    result = play(scenario)

    (told,) = result.reports[0]["details"]["pauses"]
    times = stored_at(result)
    last_digit = START_NS + round((BEGIN_S + 9.0 + 1.5) * SECOND)
    assert not (times > last_digit).any()
    assert told["trigger"] == "digits"
    begin, written = (told["effective_from"], told["incomplete_until"])
    assert written is None or begin < written < told["effective_to"]
    assert written is None or datetime.fromisoformat(written).timestamp() * SECOND <= last_digit
