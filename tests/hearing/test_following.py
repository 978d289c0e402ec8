"""A voice that is followed gives the verdicts that searching all of it gives, soon, and in bounded memory."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hearing.prompts import LONGER, NOTICE, OTHER, RATE, RESUMED, line, said

from vittne.appliance.hearing.detector import Detector, Match
from vittne.appliance.hearing.following import Following
from vittne.appliance.hearing.front import BINS, FRAME_S, Frames, power
from vittne.appliance.hearing.reference import Reference
from vittne.codecs.base import I16


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector([Reference(said(text)) for text in (NOTICE, LONGER, RESUMED)])


def frames(samples: I16, first: int = 0) -> Frames:
    found = power(samples.astype(np.float32))
    return Frames(0, first, found, np.ones(len(found), np.float32), np.arange(len(found)))


def part(whole: Frames, begin: int, end: int) -> Frames:
    return Frames(
        whole.number, whole.first + begin, whole.power[begin:end], whole.present[begin:end], whole.mono_ns[begin:end]
    )


def moved(whole: Frames, first: int) -> Frames:
    return Frames(whole.number, first, whole.power, whole.present, whole.mono_ns)


def followed(following: Following, whole: Frames, size: int) -> list[tuple[float, Match]]:
    """Return matches, and at which second of the voice they were told."""
    told = []
    for begin in range(0, len(whole.power), size):
        piece = part(whole, begin, begin + size)
        now = (piece.first + len(piece.power)) * FRAME_S
        told += [(now, match) for match in following.feed(piece)]
    return told


SAID = line(30, (0, said(OTHER)), (7, said(LONGER)), (17.3, said(NOTICE)), (22, said(RESUMED)[: int(1.8 * RATE)]))


@pytest.mark.parametrize("size", [1, 25, 33, 5000])
def test_following_a_voice_gives_what_searching_it_gives(detector: Detector, size: int) -> None:
    following = Following(detector)
    told = [match for _, match in followed(following, frames(SAID), size)] + following.finish()

    assert [(match.reference, match.state) for match in told] == [(1, "full"), (0, "full"), (2, "partial")]
    assert told == detector.search(SAID)


def test_the_verdict_comes_within_two_seconds(detector: Detector) -> None:
    told = followed(Following(detector), frames(SAID), 25)
    assert all(now - match.end < 2 for now, match in told)
    assert [match.reference for _, match in told if match.state == "full"] == [1, 0]


def test_at_the_end_what_waited_is_told(detector: Detector) -> None:
    prompt = said(LONGER)
    following = Following(detector)
    heard = line(3 + 0.6 * len(prompt) / RATE, (3, prompt[: int(0.6 * len(prompt))]))

    assert followed(following, frames(heard), 25) == []
    (match,) = following.finish()

    assert (match.reference, match.state) == (1, "partial")
    assert match.share == pytest.approx(0.6, abs=0.08)
    assert following.finish() == []


def test_memory_does_not_grow_with_the_voice(detector: Detector) -> None:
    following = Following(detector)
    sizes = []
    for turn in range(6):
        followed(following, frames(SAID, turn * len(frames(SAID).power)), 50)
        kept = {name: value for name, value in vars(following).items() if name != "_detector"}
        sizes.append(len(pickle.dumps(kept)))
    assert sizes[-1] < 1.2 * sizes[0] < 120_000


def test_after_a_long_hole_a_new_search_begins(detector: Detector) -> None:
    following = Following(detector)
    whole = frames(line(8, (1, said(NOTICE))))
    told = followed(following, whole, 25) + followed(following, moved(whole, 5000), 25)
    found = [match for _, match in told] + following.finish()

    assert [(match.reference, match.state) for match in found] == [(0, "full"), (0, "full")]
    assert [match.begin for match in found] == pytest.approx([1, 101], abs=0.05)


def test_a_hole_within_an_announcement_leaves_a_part_of_it(detector: Detector) -> None:
    whole = frames(line(12, (1, said(LONGER))))
    following = Following(detector)
    followed(following, part(whole, 0, 200), 25)
    rest = moved(part(whole, 200, len(whole.power)), 400)
    told = [match for _, match in followed(following, rest, 25)] + following.finish()
    assert all(match.state == "partial" for match in told)


def test_frames_that_did_not_come_weigh_nothing(detector: Detector) -> None:
    whole = frames(SAID)
    gone = np.arange(len(whole.power)) % 20 < 4
    damaged = whole.power.copy()
    damaged[gone] = 1e9
    following = Following(detector)
    present = np.where(gone, 0.2, 1).astype(np.float32)
    told = followed(following, Frames(0, 0, damaged, present, whole.mono_ns), 25)
    assert [(match.reference, match.state) for _, match in told if match.state == "full"] == [(1, "full"), (0, "full")]


def test_odd_frames_are_no_harm(detector: Detector) -> None:
    following = Following(detector)
    assert following.feed(part(frames(SAID), 9, 9)) == []
    huge = np.full((200, BINS), 1e12, np.float32)
    assert following.feed(Frames(0, 3, huge, np.ones(200, np.float32), np.arange(200))) == []
    silence = np.zeros((3000, BINS), np.float32)
    assert following.feed(Frames(0, 7, silence, np.ones(3000, np.float32), np.arange(3000))) == []
    assert following.finish() == []


def test_without_references_nothing_is_followed() -> None:
    following = Following(Detector([]))
    assert following.feed(frames(SAID)) == []
    assert following.finish() == []


def test_a_difference_in_the_last_bits_of_spectra_changes_no_verdict(detector: Detector) -> None:
    whole = frames(SAID)
    rng = np.random.default_rng(3)
    other = (whole.power * (1 + 1e-6 * rng.standard_normal(whole.power.shape))).astype(np.float32)
    verdicts = []
    for power_ in (whole.power, other):
        following = Following(detector)
        told = following.feed(Frames(0, 0, power_, whole.present, whole.mono_ns))
        verdicts.append(told + following.finish())
    assert len(verdicts[0]) == 3
    assert verdicts[0] == verdicts[1]
