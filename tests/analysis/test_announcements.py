"""The analysis tells which announcement a voice heard, and when it arrived."""

from __future__ import annotations

import numpy as np
import pytest
from hearing.prompts import LONGER, NOTICE, OTHER, RATE, line, said

from vittne.appliance.analysis.announcements import FULL, PARTIAL, AnnouncementListener
from vittne.appliance.analysis.messages import ANNOUNCED, Finding, pack_replies, parse_reply
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.front import Front
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import NoGuard
from vittne.appliance.hearing.reference import Reference
from vittne.capture.columns import SECOND
from vittne.codecs.base import I16

PACKET = 160


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector([Reference(said(text)) for text in (NOTICE, LONGER)])


def heard(listener: AnnouncementListener, number: int, samples: I16, lost: float = 0.0) -> list[Finding]:
    """Return what is found in a voice whose packets of 20 ms arrive from 100 s on, handed over every 0.5 s."""
    front = Front(number)
    kept = np.random.default_rng(2).random(len(samples) // PACKET) >= lost
    found: list[Finding] = []
    for begin in range(0, len(kept), 25):
        which = np.arange(begin, min(begin + 25, len(kept)))
        which = which[kept[which]]
        length = np.full(len(which), PACKET)
        mono_ns = 100 * SECOND + (which + 1) * (SECOND // 50)
        for run in front.feed(samples, which * PACKET, length, which * PACKET, mono_ns):
            found += listener.hear(Runs.of([run]), NoGuard())
    return found


@pytest.mark.parametrize("lost", [0.0, 0.05])
def test_an_announcement_becomes_a_finding_with_the_time_it_arrived(detector: Detector, lost: float) -> None:
    prompt = said(LONGER)
    (finding,) = heard(AnnouncementListener(detector), 7, line(20, (5, prompt)), lost)

    assert (finding.kind, finding.number, finding.what) == (ANNOUNCED, 7, 1)
    assert finding.begin_mono / SECOND == pytest.approx(105, abs=0.2)
    assert finding.end_mono / SECOND == pytest.approx(105 + len(prompt) / RATE, abs=0.2)
    share, required_share, score, state = finding.values
    assert (share, required_share, state) == (1, 1, FULL)
    assert score > 0.7
    assert parse_reply(pack_replies(3, [finding])[0]).findings[0].what == 1


def test_voices_do_not_mix(detector: Detector) -> None:
    listener = AnnouncementListener(detector)
    prompt = said(NOTICE)
    half = len(prompt) // 2 // PACKET * PACKET
    assert heard(listener, 1, line(3.5, (1, prompt[:half]))) == []
    assert heard(listener, 2, line(6, (1, said(OTHER)))) == []
    (finding,) = listener.end([1], NoGuard())
    assert (finding.number, finding.what, finding.values[3]) == (1, 0, PARTIAL)
    assert listener.end([2], NoGuard()) == []


def test_a_voice_that_is_over_is_forgotten(detector: Detector) -> None:
    listener = AnnouncementListener(detector)
    prompt = said(LONGER)
    heard(listener, 1, line(4.5, (1, prompt[: int(3.5 * RATE)])))
    listener.end([1], NoGuard())

    assert listener.end([1], NoGuard()) == []
    (rest,) = heard(listener, 1, line(6, (0, prompt[int(3.5 * RATE) :])))
    assert rest.values[0] < 0.6
    assert rest.values[3] == PARTIAL
