"""Levels in dBov, other sample rates, and concealment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from
from voice.making import tone

from vittne.codecs import arrival
from vittne.codecs.concealment import ComfortNoise, fade_out, noise_level
from vittne.codecs.level import clipped, dbov, levels
from vittne.codecs.resample import Resampler, resample

RATES = (8000, 16_000, 32_000, 44_100, 48_000)


def test_the_loudest_sine_is_three_decibels_below_the_loudest_square() -> None:
    assert dbov(tone(1, 8000, 1000, 32_767)) == pytest.approx(-3.01, abs=0.01)
    assert dbov(np.full(100, -32_767, np.int16)) == 0
    assert dbov(np.zeros(0, np.int16)) == -127


def test_levels_are_measured_window_by_window() -> None:
    samples = np.concatenate([tone(1, 8000, 1000), np.zeros(8000, np.int16), np.ones(10, np.int16)])

    assert levels(samples, 8000).round(1).tolist() == [pytest.approx(-15.3), -127.0]
    assert clipped(np.array([-32_768, 0, 32_767, 32_766], np.int16)) == 2


@pytest.mark.parametrize("from_rate", RATES)
@pytest.mark.parametrize("to_rate", RATES)
def test_a_tone_stays_in_its_place_at_every_rate(from_rate: int, to_rate: int) -> None:
    heard = resample(tone(1, from_rate, 440), from_rate, to_rate)

    wanted = tone(1, to_rate, 440)
    assert len(heard) == len(wanted)
    inner = slice(to_rate // 50, -to_rate // 50)  # the ends ring: a tone does not begin so suddenly
    assert np.abs(heard.astype(int) - wanted)[inner].max() <= 4


@given(cuts=lists(integers(0, 2000), max_size=6), rates=sampled_from([(8000, 48_000), (16_000, 8000)]))
def test_pieces_are_resampled_as_the_whole(cuts: list[int], rates: tuple[int, int]) -> None:
    samples = tone(0.25, rates[0], 700)
    resampler = Resampler(*rates)

    heard = [resampler.feed(piece) for piece in np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))]
    heard.append(resampler.flush())

    assert np.concatenate(heard).tolist() == resample(samples, *rates).tolist()


@given(level=integers(0, 127))
def test_comfort_noise_has_the_level_that_was_sent(level: int) -> None:
    noise = ComfortNoise(noise_level(bytes([level])), 8000).silence(8000)

    if 10 <= level <= 70:
        assert dbov(noise) == pytest.approx(-level, abs=0.5)
    assert len(noise) == 8000


@given(samples=integers(0, 3000), tail=integers(0, 200))
def test_concealment_ends_in_silence(samples: int, tail: int) -> None:
    heard = fade_out(np.full(tail, 20_000, np.int16), samples, 8000)

    assert len(heard) == samples
    assert not heard[480:].any()
    assert (np.diff(np.abs(heard.astype(int))) <= 0).all()


@given(lists(integers(-50, 50), min_size=60, max_size=200))
def test_a_few_late_packets_never_move_the_others(late_ms: list[int]) -> None:
    count = len(late_ms)
    row = np.arange(count, dtype=np.int64)
    delay = np.maximum(np.array(late_ms, np.int64), 0) * 1_000_000
    delay[0] = 0

    lines = arrival.line_up(row * 20_000_000 + delay, row, row * 160, np.full(count, 160), np.full(count, 8000))

    assert lines.row.tolist() == row.tolist()
    assert set(lines.anchor_ns.tolist()) == {0}
    assert lines.follows.tolist() == [False, *[True] * (count - 1)]
