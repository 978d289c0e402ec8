"""Tones of exchanges, beeps, fax and modems are told by name, also under noise and with lost packets; digits never."""

from __future__ import annotations

import numpy as np
import pytest
from hearing.sounds import Samples, frames, join, music, noise, quiet, speech, states, told, tone

from vittne.appliance.hearing.front import RATE
from vittne.capture.columns import SECOND

ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)


def on_and_off(hertz: tuple[float, ...] | float, steps: tuple[float, ...], times: int) -> Samples:
    parts = [tone(hertz, s) if place % 2 == 0 else quiet(s) for place, s in enumerate(steps)]
    return join(quiet(1), *(parts * times), quiet(4))


CADENCES = {
    "ring-back of Europe": ("ringback", on_and_off(425, (1, 4), 3), 3, 5.0, 425),
    "ring-back of North America": ("ringback", on_and_off((440, 480), (2, 4), 3), 3, 6.0, 460),
    "ring-back of Britain": ("ringback", on_and_off((400, 450), (0.4, 0.2, 0.4, 2), 3), 3, 3.0, 425),
    "busy of North America": ("busy", on_and_off((480, 620), (0.5, 0.5), 6), 6, 1.0, 550),
    "busy of Europe": ("busy", on_and_off(425, (0.48, 0.48), 6), 6, 0.96, 425),
    "congestion": ("congestion", on_and_off(425, (0.24, 0.24), 8), 8, 0.48, 425),
    "congestion of Britain": ("congestion", on_and_off(400, (0.4, 0.35, 0.225, 0.525), 4), 8, 0.75, 400),
    "dial tone": ("dial", on_and_off((350, 440), (4, 1), 1), 1, 0.0, 395),
    "special information": ("sit", join(quiet(1), *(tone(f, 0.33) for f in (950, 1400, 1800)), quiet(4)), 1, 0.0, 950),
    "a fax that calls": ("fax-cng", on_and_off(1100, (0.5, 3), 3), 3, 3.5, 1100),
    "a fax that answers": ("fax-ced", on_and_off(2100, (3, 1), 1), 1, 0.0, 2100),
}


@pytest.mark.parametrize("line", ["clear", "noisy", "lossy"])
@pytest.mark.parametrize("name", CADENCES)
def test_a_cadence_is_told_by_its_name_from_when_to_when(name: str, line: str) -> None:
    state, samples, count, interval, hertz = CADENCES[name]
    came = None
    if line == "noisy":
        samples = samples + noise(len(samples) / RATE, -35)
    if line == "lossy":
        came = np.random.default_rng(4).random(len(samples) // 160 + 1) > 0.03

    found = [one for one in told([frames(samples, came=came)])[1] if one.state != "silence"]

    assert [one.state for one in found] == [state]
    (one,) = found
    assert one.count == count
    assert one.interval_s == pytest.approx(interval, abs=0.05)
    assert one.hertz == pytest.approx(hertz, abs=6)
    assert one.begin_ns / SECOND == pytest.approx(1.0, abs=0.08)


def test_a_ring_that_was_answered_at_once_is_one_ring() -> None:
    (one,) = states(join(quiet(1), tone(425, 1), quiet(0.8), speech(4), quiet(2)))

    assert (one.state, one.count) == ("ringback", 1)


def beeps(apart: float, length: float, times: int, hertz: float = 1400, dbov: float = -20) -> Samples:
    return join(quiet(1), *([tone(hertz, length, dbov), quiet(apart - length)] * times))


@pytest.mark.parametrize("hertz", [440, 1000, 1400, 2000])
def test_a_beep_that_comes_again_and_again_marks_a_recording(hertz: float) -> None:
    (one,) = states(beeps(15, 0.3, 4, hertz))

    assert one.state == "recording-beep"
    assert one.count == 4
    assert one.regularity == pytest.approx(1, abs=0.02)
    assert one.interval_s == pytest.approx(15, abs=0.05)
    assert one.hertz == pytest.approx(hertz, abs=4)


def test_it_is_heard_under_a_voice_that_is_louder() -> None:
    line = beeps(12, 0.4, 5, dbov=-26)

    found = states(line + speech(len(line) / RATE, -20))

    assert [one.state for one in found] == ["recording-beep"]
    assert found[0].count >= 3
    assert found[0].interval_s == pytest.approx(12, abs=0.1)


def test_beeps_without_a_rhythm_mark_nothing() -> None:
    line = join(quiet(1), *(join(tone(1400, 0.3), quiet(gap)) for gap in (5, 11.7, 7.1, 16.4, 9)))

    assert not [one for one in states(line) if one.count > 2]


def test_one_beep_after_speech_is_an_answering_machine_when_it_listens_then() -> None:
    said, rest = speech(6), speech(4)

    (one,) = states(join(said, quiet(0.4), tone(1000, 0.5), quiet(6)))
    talked_on = states(join(said, quiet(0.4), tone(1000, 0.5), quiet(0.4), rest, quiet(2)))

    assert one.state == "machine-beep"
    assert one.hertz == pytest.approx(1000, abs=4)
    assert one.begin_ns / SECOND == pytest.approx(6.4, abs=0.06)
    assert one.end_ns / SECOND == pytest.approx(6.9, abs=0.06)
    assert talked_on == []


@pytest.mark.parametrize(("length", "apart"), [(0.06, 0.06), (0.1, 0.2), (0.3, 2.2), (0.4, 5), (0.5, 3)])
@pytest.mark.parametrize("is_noisy", [False, True])
def test_of_digits_nothing_is_said(length: float, apart: float, is_noisy: bool) -> None:
    keys = [(row, column) for row in ROWS for column in COLUMNS]
    dialled = join(quiet(1), *(join(tone(keys[at * 5 % 16], length), quiet(apart)) for at in range(8)), quiet(3))
    same = join(quiet(1), *([tone(keys[6], length), quiet(apart)] * 6), quiet(3))

    for line in (dialled, same):
        heard = line + noise(len(line) / RATE, -38) if is_noisy else line
        said, found = told([frames(heard)])
        assert said == []
        assert [one for one in found if one.state != "silence"] == []


def keyed(bits: list[int], low: float = 1650, high: float = 1850) -> Samples:
    hertz = np.repeat(np.where(bits, low, high), 27)
    return np.asarray(3000 * np.sin(2 * np.pi * np.cumsum(hertz) / RATE), np.float32)


def test_a_fax_that_talks_is_a_modem_and_no_music_and_no_speech() -> None:
    flags, frame = [0, 1, 1, 1, 1, 1, 1, 0] * 38, np.random.default_rng(1).integers(0, 2, 200).tolist()
    line = join(quiet(1), keyed(flags + frame), quiet(0.1), noise(5, -20), quiet(5))

    said, found = told([frames(line)])

    (one,) = [one for one in found if one.state != "silence"]
    assert one.state == "modem"
    assert one.begin_ns / SECOND == pytest.approx(1, abs=0.1)
    assert one.end_ns / SECOND == pytest.approx(len(line) / RATE - 5, abs=0.3)
    assert said == []


def test_notes_of_music_are_no_beeps() -> None:
    melody = [tone(hertz, 0.4) for hertz in (523, 659, 784, 659, 587, 698, 880, 698)]

    found = states(join(quiet(1), *(melody * 6), music(20), quiet(3)))

    assert {one.state for one in found} == {"hold-music"}
