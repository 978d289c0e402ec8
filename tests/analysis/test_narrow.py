"""Samples at any rate become 8000 a second: what is below 2 kHz stays, and pieces make no difference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from vittne.appliance.analysis.narrow import RATE, Narrow

RATES = (6000, 8000, 11_025, 12_000, 16_000, 22_050, 32_000, 44_100, 48_000)


def sine(hertz: float, rate: int) -> npt.NDArray[np.int16]:
    return np.asarray(np.rint(8000 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)), np.int16)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [697, 1633])
def test_tones_keep_their_level_and_frequency(rate: int, hertz: int) -> None:
    heard = Narrow(rate).feed(sine(hertz, rate))

    assert abs(len(heard) - RATE) <= 1
    spectrum = np.abs(np.fft.rfft(heard[: RATE // 2] * np.hanning(RATE // 2)))
    assert abs(int(np.argmax(spectrum)) * 2 - hertz) <= 2
    assert np.std(heard[100:]) == pytest.approx(8000 / 2**0.5, rel=0.02)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_what_is_too_high_does_not_come_back_as_a_tone(rate: int) -> None:
    heard = Narrow(rate).feed(sine(8000 - 1336, rate))

    assert np.std(heard[100:].astype(np.float64)) < 80


@given(rate=sampled_from(RATES), sizes=lists(integers(0, 700), max_size=12))
def test_it_does_not_matter_how_samples_are_handed_over(rate: int, sizes: list[int]) -> None:
    samples = sine(1336, rate)[: sum(sizes)]
    cuts = np.cumsum(sizes)[:-1].tolist()
    narrow = Narrow(rate)

    pieces = [narrow.feed(piece) for piece in np.split(samples, cuts)]

    assert np.concatenate(pieces).tolist() == Narrow(rate).feed(samples).tolist()
