"""Features are the same however frames come in pieces, whatever the gain, and say nothing where nothing came."""

from __future__ import annotations

import numpy as np
import pytest
from hearing.prompts import LONGER, OTHER, line, said

from vittne.appliance.hearing.features import CLIP, FeatureMaker, features
from vittne.appliance.hearing.front import power

SAID = line(12, (0.5, said(LONGER)), (8, said(OTHER)))


@pytest.mark.parametrize("size", [1, 7, 50, 400])
def test_features_do_not_depend_on_how_frames_come_in_pieces(size: int) -> None:
    spectra = power(SAID.astype(np.float32))
    whole = np.arange(len(spectra)) % 30 > 2
    maker = FeatureMaker()
    parts = [maker.feed(spectra[at : at + size], whole[at : at + size]) for at in range(0, len(spectra), size)]
    parts.append(maker.finish())

    expected = features(SAID, whole)
    assert np.array_equal(np.concatenate([part.steps for part in parts]), expected.steps)
    assert np.array_equal(np.concatenate([part.level for part in parts]), expected.level)
    assert np.array_equal(np.concatenate([part.whole for part in parts]), expected.whole)


def test_gain_does_not_matter() -> None:
    loud, quiet = features(SAID), features((SAID * 0.25).astype(np.int16))
    assert np.abs(loud.steps.astype(int) - quiet.steps).mean() < 1


def test_what_did_not_come_has_no_features() -> None:
    whole = np.ones(len(features(SAID)), np.bool_)
    whole[100:110] = False
    found = features(SAID, whole)
    assert not found.steps[100:110].any()
    assert np.abs(found.steps).max() == CLIP


def test_a_short_hole_of_digital_silence_is_taken_for_lost_and_a_long_one_for_silence() -> None:
    samples = SAID.copy()
    samples[8000:9600] = 0
    samples[40_000:48_000] = 0
    found = features(samples)

    lost = np.flatnonzero(~found.whole)
    assert lost.min() * 160 <= 8000
    assert (lost.max() * 160, lost.max() < 70) == (pytest.approx(9600, abs=500), True)


def test_silence_has_no_features() -> None:
    assert not features(np.zeros(8000, np.int16)).steps.any()
    assert len(features(np.zeros(100, np.int16))) == 0
