"""Speech is told from noise, hum, music and silence; pieces, losses and pauses of packets change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hearing.sounds import (
    Samples,
    cut,
    frames,
    join,
    music,
    noise,
    quiet,
    speech,
    spoken,
    states,
    told,
    tone,
)
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from vittne.appliance.hearing.front import F32, Frames
from vittne.appliance.hearing.speech import Speech
from vittne.capture.columns import SECOND


def share(stretches: list[tuple[float, float]], begin: float, end: float) -> float:
    """Return how much of a time is in stretches."""
    return sum(max(0.0, min(b, end) - max(a, begin)) for a, b in stretches) / (end - begin)


def conversation(dbov: float = -20) -> Samples:
    return join(quiet(3), speech(8, dbov), quiet(5), speech(4, dbov, "callee"), quiet(4))


@pytest.mark.parametrize("dbov", [-42, -30, -20, -10, -3])
def test_speech_is_found_however_loud_it_is(dbov: float) -> None:
    stretches = spoken(conversation(dbov))

    assert share(stretches, 3.1, 10.9) > 0.85
    assert share(stretches, 16.1, 19.9) > 0.85
    assert share(stretches, 11.5, 15.5) == 0
    assert stretches[0][0] == pytest.approx(3, abs=0.2)


HUM = join(*[np.sum([tone(50 * k, 24, -38 - 3 * k) for k in range(1, 9)], axis=0)])


@pytest.mark.parametrize("beside", [noise(24, -35), HUM, noise(24, -60)], ids=["noise", "hum", "comfort noise"])
def test_what_goes_on_all_the_time_is_no_speech(beside: Samples) -> None:
    stretches = spoken(conversation() + beside)

    assert share(stretches, 3.1, 10.9) > 0.75
    assert share(stretches, 0, 2.9) + share(stretches, 11.6, 15.9) < 0.02
    assert spoken(beside) == []


def test_a_stretch_says_how_loud_it_was() -> None:
    for dbov in (-30, -15):
        said, _ = told([frames(conversation(dbov))])
        assert said[0].level == pytest.approx(dbov, abs=3)


def test_the_line_may_be_suppressed_between_words() -> None:
    line = conversation() + noise(24, -55)
    came = np.ones(len(line) // 160, np.bool_)
    for begin, end in ((0, 140), (570, 790), (1020, 1200)):
        came[begin:end] = False
        came[begin:end:10] = True  # comfort noise

    said, found = told([frames(line, came=came)])

    stretches = [(one.begin_ns / SECOND, one.end_ns / SECOND) for one in said]
    assert share(stretches, 3.1, 10.9) > 0.85
    assert share(stretches, 0, 2.7) + share(stretches, 11.6, 15.7) < 0.1
    quiet_ = [(one.begin_ns / SECOND, one.end_ns / SECOND) for one in found if one.state == "silence"]
    assert share(quiet_, 11.6, 15.6) > 0.9


def test_a_hole_of_lost_packets_makes_no_speech_of_noise() -> None:
    line = noise(20, -35)
    came = np.ones(len(line) // 160, np.bool_)
    came[300:312] = came[500:503] = False

    assert told([frames(line, came=came)])[0] == []


def test_music_is_no_speech_and_an_announcement_between_is_no_music() -> None:
    line = join(quiet(2), music(12), speech(8), music(12), quiet(2))

    said, found = told([frames(line)])

    stretches = [(one.begin_ns / SECOND, one.end_ns / SECOND) for one in said]
    songs = [(one.begin_ns / SECOND, one.end_ns / SECOND) for one in found if one.state == "hold-music"]
    assert share(stretches, 15, 21) > 0.8
    assert share(stretches, 2, 12.5) + share(stretches, 24, 34) == 0
    assert len(songs) == 2
    assert songs[0][0] == pytest.approx(2, abs=1.1)
    assert songs[0][1] == pytest.approx(14, abs=1.6)
    assert songs[1][0] == pytest.approx(22, abs=1.6)
    assert songs[1][1] == pytest.approx(34, abs=1.1)


def test_speech_is_no_music_and_no_tone() -> None:
    assert states(join(speech(40), speech(40, party="callee"))) == []


def run_of(whole: Frames, begin: int, end: int, first: int) -> Frames:
    part = slice(begin, end)
    mono = whole.mono_ns[part] + (first - whole.first - begin) * SECOND // 50
    return Frames(0, first, whole.power[part], whole.present[part], mono)


def test_silence_without_packets_lasts_until_they_come_again() -> None:
    whole = frames(join(speech(6), speech(6, party="callee")))

    said, found = told([run_of(whole, 0, 290, 0), run_of(whole, 290, 590, 3000)])

    (one,) = found
    assert one.state == "silence"
    assert one.begin_ns / SECOND == pytest.approx(290 / 50, abs=0.15)
    assert one.end_ns / SECOND == pytest.approx(60, abs=0.15)
    assert said[-1].begin_ns > 59 * SECOND


def test_shorter_silence_is_a_pause() -> None:
    assert told([frames(join(speech(4), quiet(2.5), speech(4)))])[1] == []


def alike(one: list[Speech], other: list[Speech]) -> bool:
    places = [[(s.begin_ns, s.end_ns, s.rows) for s in said] for said in (one, other)]
    return places[0] == places[1] and [s.level for s in one] == pytest.approx([s.level for s in other])


EVERYTHING = frames(
    join(
        quiet(1),
        *([tone(425, 1), quiet(4)] * 2),
        speech(7),
        quiet(0.4),
        tone(1000, 0.4),
        quiet(4),
        music(9),
        *([tone(425, 0.25), quiet(0.25)] * 8),
        speech(3, party="callee") + tone(1400, 3, -40),
        quiet(4),
    ),
    came=np.random.default_rng(7).random(2600) > 0.02,
)
AT_ONCE = told([EVERYTHING], 64)


def test_all_of_it_is_told() -> None:
    assert {one.state for one in AT_ONCE[1]} >= {"ringback", "machine-beep", "hold-music", "congestion", "silence"}
    assert AT_ONCE[0]


@settings(max_examples=8, deadline=None)
@given(sizes=lists(integers(1, 400), min_size=1, max_size=6), at_least=integers(1, 12))
def test_pieces_make_no_difference(sizes: list[int], at_least: int) -> None:
    said, found = told(cut(EVERYTHING, sizes), at_least)

    assert alike(said, AT_ONCE[0])
    assert found == AT_ONCE[1]


@settings(max_examples=15, deadline=None)
@given(
    runs=lists(integers(0, 3000), min_size=1, max_size=8),
    seed=integers(0, 1000),
    loudest=integers(0, 14),
)
def test_whatever_comes_gives_findings_that_can_be(runs: list[int], seed: int, loudest: int) -> None:
    rng = np.random.default_rng(seed)
    first, pieces = 0, []
    for leap in runs:
        first += leap
        count = int(rng.integers(1, 120))
        spectra: F32 = (rng.random((count, 257)) ** 8 * 10.0**loudest).astype(np.float32)
        mono = (first + np.arange(count)) * SECOND // 50
        pieces.append(Frames(0, first, spectra, rng.random(count).astype(np.float32), mono))
        first += count

    said, found = told(pieces)

    assert all(one.begin_ns <= one.end_ns and np.isfinite(one.level) for one in said)
    assert all(one.begin_ns <= one.end_ns for one in found)
    assert all(np.isfinite([one.interval_s, one.regularity, one.hertz]).all() for one in found)


def test_a_voice_without_an_end_takes_no_more_memory() -> None:
    from vittne.appliance.hearing.voicestates import VoiceStates  # noqa: PLC0415

    voice, sizes = VoiceStates(), []
    for minute in range(3):
        whole = frames(join(speech(20), music(20), *([tone(425, 0.5), quiet(0.5)] * 20)), first=minute * 3000)
        for piece in cut(whole, [100]):
            voice.hear(piece)
        sizes.append(held(voice))

    assert sizes[2] <= sizes[1] * 1.1
    assert sizes[2] < 200_000


def held(value: object, seen: set[int] | None = None) -> int:
    """Return bytes of what an object refers to, arrays and all."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, type):
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return int(value.nbytes) if value.base is None else int(value.nbytes) + held(value.base, seen)
    inner: list[object] = []
    if isinstance(value, (list, tuple, set)) or hasattr(value, "popleft"):
        inner = list(value)  # type: ignore[call-overload]
    elif isinstance(value, dict):
        inner = list(value.values())
    else:
        slots = [getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
        inner = [*slots, *getattr(value, "__dict__", {}).values()]
    return 50 + sum(held(one, seen) for one in inner)
