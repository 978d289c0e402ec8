"""Frames of a voice are the same however its packets come in pieces, and say what did not come."""

from __future__ import annotations

import numpy as np
import pytest

from vittne.appliance.hearing.front import F32, HOP, WINDOW, Frames, Front, power
from vittne.capture.columns import SECOND
from vittne.codecs.base import I16

PACKET = 160


def noise(seconds: float) -> I16:
    return (np.random.default_rng(1).standard_normal(int(seconds * 8000)) * 3000).astype(np.int16)


def fed(front: Front, samples: I16, packets: list[int]) -> list[Frames]:
    """Feed packets of 20 ms of the samples, by number, at 20 ms each."""
    which = np.array(packets, np.int64)
    length = np.full(len(which), PACKET, np.int64)
    return front.feed(samples, which * PACKET, length, which * PACKET, which * (SECOND // 50))


def together(runs: list[Frames]) -> F32:
    return np.concatenate([run.power for run in runs])


@pytest.mark.parametrize("size", [1, 3, 25, 1000])
def test_frames_do_not_depend_on_how_packets_come_in_pieces(size: int) -> None:
    samples = noise(2)
    front = Front(7)
    runs = [run for at in range(0, 100, size) for run in fed(front, samples, list(range(100))[at : at + size])]

    assert np.allclose(together(runs), power(samples.astype(np.float32)))
    assert [run.first for run in runs] == np.cumsum([0, *(len(run.power) for run in runs)])[:-1].tolist()
    assert all(run.present.min() == 1 for run in runs)


def test_a_frame_came_with_the_packet_it_ends_in() -> None:
    (run,) = fed(Front(0), noise(1), list(range(50)))
    ends = np.arange(len(run.power)) * HOP + WINDOW
    assert run.mono_ns.tolist() == [(end - 1) // PACKET * (SECOND // 50) for end in ends.tolist()]


def test_a_lost_packet_is_silence_that_is_known_as_such() -> None:
    (run,) = fed(Front(0), noise(1), [n for n in range(50) if n != 20])

    lost = slice(20 * PACKET, 21 * PACKET)
    expected = noise(1).astype(np.float32)
    expected[lost] = 0
    assert np.allclose(run.power, power(expected))
    assert run.present[20] == pytest.approx(1 - PACKET / WINDOW)
    assert run.present[16] == 1


def test_after_a_long_hole_the_numbers_leap() -> None:
    runs = fed(Front(0), noise(10), [*range(50), *range(400, 450)])

    assert [run.first for run in runs] == [0, 400]
    assert np.allclose(runs[1].power, power(noise(10)[400 * PACKET : 450 * PACKET].astype(np.float32)))


def test_packets_that_come_late_are_taken_as_far_as_they_can_be() -> None:
    samples = noise(1)
    front = Front(0)
    runs = fed(front, samples, [0, 1, 3, 2, 4, 5]) + fed(front, samples, [7, 8, 9]) + fed(front, samples, [1, 6])

    assert np.allclose(together(runs)[:2], power(samples.astype(np.float32))[:2])
    assert sum(len(run.power) for run in runs) == 7
