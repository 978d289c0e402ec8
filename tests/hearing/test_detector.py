"""Announcements are found where they are, told in full only when all was heard, and not taken for others."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hearing.prompts import LONGER, NOTICE, OTHER, RATE, RESUMED, STOPPED, line, said

from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.faded import faded
from vittne.appliance.hearing.features import features
from vittne.appliance.hearing.reference import Reference
from vittne.codecs.base import I16

PROMPTS = [NOTICE, LONGER, RESUMED]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector([Reference(said(text)) for text in PROMPTS])


def test_a_reference_is_named_by_the_hash_of_its_samples() -> None:
    samples = said(NOTICE)
    assert Reference(samples).hash == hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


@pytest.mark.parametrize("number", range(3))
def test_an_announcement_is_found_in_full_where_it_was_played(detector: Detector, number: int) -> None:
    prompt = said(PROMPTS[number])

    (match,) = detector.search(line(20, (0, said(OTHER)), (8.125, prompt)))

    assert (match.reference, match.state) == (number, "full")
    assert match.begin == pytest.approx(8.125, abs=0.05)
    assert match.end == pytest.approx(8.125 + len(prompt) / RATE, abs=0.05)
    assert match.heard_from == pytest.approx(match.begin, abs=0.15)
    assert match.heard_to == pytest.approx(match.end, abs=0.15)
    assert match.share == match.required_share == 1
    assert match.score > 0.8


def test_two_announcements_of_a_call_are_found_in_order(detector: Detector) -> None:
    found = detector.search(line(20, (1, said(LONGER)), (12, said(NOTICE))))
    assert [(match.reference, match.state) for match in found] == [(1, "full"), (0, "full")]


def test_one_played_twice_is_found_twice(detector: Detector) -> None:
    found = detector.search(line(20, (1, said(NOTICE)), (12, said(NOTICE))))
    assert [(match.reference, round(match.begin)) for match in found] == [(0, 1), (0, 12)]


@pytest.mark.parametrize("missing", [0.35, 1.0, 2.0])
def test_one_without_its_end_is_a_part(detector: Detector, missing: float) -> None:
    prompt = said(LONGER)
    (match,) = detector.search(line(20, (3, prompt[: len(prompt) - int(missing * RATE)])))

    assert (match.reference, match.state) == (1, "partial")
    assert match.share == pytest.approx(1 - missing * RATE / len(prompt), abs=0.08)
    assert match.end == pytest.approx(3 + len(prompt) / RATE, abs=0.08)  # where all of it would have ended
    assert match.heard_to == pytest.approx(match.end - missing, abs=0.2)


@pytest.mark.parametrize("missing", [0.35, 1.5])
def test_one_without_its_beginning_is_a_part(detector: Detector, missing: float) -> None:
    prompt = said(LONGER)
    (match,) = detector.search(line(20, (3 + missing, prompt[int(missing * RATE) :])))

    assert (match.reference, match.state) == (1, "partial")
    assert match.begin == pytest.approx(3, abs=0.08)
    assert match.heard_from == pytest.approx(3 + missing, abs=0.2)


def test_the_call_going_on_right_behind_a_cut_does_not_make_it_whole(detector: Detector) -> None:
    prompt = said(NOTICE)
    cut = prompt[: len(prompt) - int(0.4 * RATE)]
    (match,) = detector.search(line(20, (3, cut), (3 + len(cut) / RATE, said(OTHER))))
    assert (match.reference, match.state) == (0, "partial")


def test_packets_lost_behind_a_cut_do_not_make_it_whole(detector: Detector) -> None:
    prompt = said(LONGER)
    end = 3 * RATE + len(prompt)
    sound = line(20, (3, prompt[: len(prompt) - int(0.4 * RATE)]))
    (match,) = detector.search(sound, [(end - RATE // 4, end - RATE // 32)])
    assert (match.reference, match.state) == (1, "partial")


def test_a_burst_lost_upstream_is_no_other_word(detector: Detector) -> None:
    sound = line(20, (3, said(LONGER)))
    begin = int(5.2 * RATE)
    sound[begin : begin + int(0.3 * RATE)] //= 64  # faded, as decoders conceal
    (match,) = detector.search(sound)
    assert (match.reference, match.state) == (1, "full")


def test_frames_that_a_decoder_made_up_are_known_by_their_fading() -> None:
    sound = line(20, (3, said(LONGER)))
    assert not faded(features(sound).level).any()

    conceal(sound, 275, 6)

    places = np.flatnonzero(faded(features(sound).level))
    assert 271 <= places[0] <= 275
    assert 278 <= places[-1] <= 281


def test_a_cut_is_not_taken_for_packets_that_were_made_up(detector: Detector) -> None:
    prompt = said(LONGER)
    sound = line(20, (3, prompt[: len(prompt) - int(0.5 * RATE)]))
    conceal(sound, 3 * 50 + (len(prompt) - RATE // 2) // 160, 4)
    (match,) = detector.search(sound)
    assert (match.reference, match.state) == (1, "partial")


def conceal(sound: I16, first: int, count: int) -> None:
    """Put in the packet before again and again, weaker each time, for so many packets of 20 ms that were lost."""
    for packet in range(first, first + count):
        sound[packet * 160 : (packet + 1) * 160] = sound[(packet - 1) * 160 : packet * 160] * 0.7


def test_other_words_and_other_voices_are_not_the_announcement(detector: Detector) -> None:
    assert detector.search(line(20, (2, said(OTHER)))) == []
    assert detector.search(line(20, (2, said(NOTICE, "en-gb+m3", 140)))) == []


def test_a_sibling_that_shares_words_is_not_heard_in_full(detector: Detector) -> None:
    assert all(match.state == "partial" for match in detector.search(line(20, (2, said(STOPPED)))))


def test_of_references_that_share_words_the_one_that_was_played_is_told() -> None:
    detector = Detector([Reference(said(text)) for text in (RESUMED, STOPPED)])
    for number, text in enumerate((RESUMED, STOPPED)):
        (match,) = detector.search(line(12, (2, said(text))))
        assert (match.reference, match.state) == (number, "full")


def test_only_what_is_required_must_be_heard() -> None:
    prompt = said(LONGER)
    half = len(prompt) / RATE / 2
    first = Detector([Reference(prompt, ((0.0, half - 0.5),))])
    second = Detector([Reference(prompt, ((half + 0.5, len(prompt) / RATE),))])
    cut = line(20, (3, prompt[: len(prompt) // 2]))

    (told,) = first.search(cut)
    (not_told,) = second.search(cut)

    assert (told.state, told.required_share) == ("full", 1.0)
    assert told.share == pytest.approx(0.5, abs=0.1)
    assert (not_told.state, not_told.required_share) == ("partial", 0.0)


@pytest.mark.parametrize("speed", [0.99, 1.01])
def test_a_hundredth_faster_or_slower_it_is_still_found(detector: Detector, speed: float) -> None:
    prompt = said(LONGER)
    places = np.arange(0, len(prompt) - 1, speed)
    played = np.interp(places, np.arange(len(prompt)), prompt).astype(np.int16)

    (match,) = detector.search(line(20, (3, played)))

    assert (match.reference, match.state) == (1, "full")
    assert match.end - match.begin == pytest.approx(len(played) / RATE, abs=0.06)


def test_under_talk_and_noise_it_is_found(detector: Detector) -> None:
    talk = (said(OTHER, "en-gb+m1") * 0.3).astype(np.int16)
    (match,) = detector.search(line(20, (3, said(LONGER)), (3.5, talk), noise_db=10))
    assert (match.reference, match.state) == (1, "full")


def lossy(samples: I16, every: int) -> tuple[I16, list[tuple[int, int]]]:
    """Return samples with each so manyth packet of 20 ms gone, and where."""
    out = samples.copy()
    lost = [(at, at + 160) for at in range(160 * 3, len(samples), 160 * every)]
    for begin, end in lost:
        out[begin:end] = 0
    return out, lost


def test_lost_packets_weigh_nothing(detector: Detector) -> None:
    samples, lost = lossy(line(20, (3, said(LONGER))), 12)
    for told in ([], lost):
        (match,) = detector.search(samples, told)
        assert (match.reference, match.state, match.share) == (1, "full", 1.0)


def test_what_was_lost_at_the_end_was_not_heard(detector: Detector) -> None:
    prompt = said(LONGER)
    samples = line(20, (3, prompt))
    begin = 3 * RATE + len(prompt) - int(1.5 * RATE)
    samples[begin : begin + 2 * RATE] = 0
    (match,) = detector.search(samples, [(begin, begin + 2 * RATE)])
    assert (match.reference, match.state) == (1, "partial")


@pytest.mark.parametrize("early", [0.4, 1.0])
def test_a_call_that_ends_before_the_announcement_did_not_hear_it_whole(detector: Detector, early: float) -> None:
    prompt = said(LONGER)
    (match,) = detector.search(line(3 + len(prompt) / RATE - early, (3, prompt)))
    assert (match.reference, match.state) == (1, "partial")
    assert match.share == pytest.approx(1 - early * RATE / len(prompt), abs=0.06)


def test_silence_around_a_reference_has_no_weight() -> None:
    prompt = said(NOTICE)
    padded = np.concatenate((np.zeros(RATE, np.int16), prompt, np.zeros(2 * RATE, np.int16)))
    (match,) = Detector([Reference(padded)]).search(line(20, (3, prompt), (3.2 + len(prompt) / RATE, said(OTHER))))

    assert (match.state, match.share) == ("full", 1.0)
    assert match.begin == pytest.approx(2, abs=0.05)
    assert match.heard_from == pytest.approx(3, abs=0.15)


def test_references_that_are_alike_are_told_beforehand() -> None:
    detector = Detector([Reference(said(text)) for text in (RESUMED, STOPPED, OTHER)])
    alike = detector.similarity()

    assert np.array_equal(alike, alike.T)
    assert np.diag(alike).tolist() == [1, 1, 1]
    assert alike[0, 1] > 0.4
    assert alike[0, 2] < 0.3


def test_the_same_samples_give_the_same_verdict(detector: Detector) -> None:
    samples = line(20, (3, said(LONGER)), noise_db=12)
    again = Detector([Reference(said(text)) for text in PROMPTS])
    assert detector.search(samples) == again.search(samples) == detector.search(samples)


@pytest.mark.parametrize("count", [0, 1, 159, 511, 512, 700, 4000])
def test_short_and_empty_samples_hold_nothing(detector: Detector, count: int) -> None:
    assert detector.search(np.zeros(count, np.int16)) == []
    assert detector.search(np.full(count, -32768, np.int16)) == []


def test_without_references_nothing_is_heard() -> None:
    nothing = Detector([])
    assert nothing.search(line(5, (1, said(NOTICE)))) == []
    assert nothing.similarity().shape == (0, 0)


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(RATE, np.int16), said(NOTICE)[:3000]])
def test_a_reference_with_hardly_any_sound_is_refused(samples: I16) -> None:
    with pytest.raises(ValueError, match=r"less than 0\.5 s of sound"):
        Detector([Reference(samples)])


def test_a_reference_that_is_far_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 120 s"):
        Detector([Reference(np.tile(said(NOTICE), 40))])


def test_in_a_long_recording_each_time_it_was_played_is_found(detector: Detector) -> None:
    seconds = [10.5 + 20 * turn for turn in range(9)]
    found = detector.search(line(200, *((second, said(NOTICE)) for second in seconds)))
    assert [match.begin for match in found] == pytest.approx(seconds, abs=0.05)
    assert all((match.reference, match.state) == (0, "full") for match in found)
