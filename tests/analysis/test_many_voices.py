"""Voices that are worked on together are heard as each would be alone: real ones, and ones with all that goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pytest
from analysis.captured import FOLDER, joined, part, sounds_of
from hearing.prompts import LONGER, NOTICE, said
from hearing.sounds import Samples, join, music, noise, quiet, speech, tone

from vittne.appliance.analysis.announcements import AnnouncementListener
from vittne.appliance.analysis.attention import Attention
from vittne.appliance.analysis.messages import ANNOUNCED, NOT_DECODED, SPEECH, STATE, Finding
from vittne.appliance.analysis.sound import Sound
from vittne.appliance.analysis.states import StateListener
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.fronts import Runs
from vittne.appliance.hearing.guard import Guard
from vittne.appliance.hearing.reference import Reference
from vittne.capture.columns import SECOND
from vittne.codecs.base import I16

PACKET = 160
CAPTURES = (
    "ahmedelemamn__Wireshark-Captures__collab_pcap__sip__sip_recording_ora.pcapng",
    "ahmedelemamn__Wireshark-Captures__collab_pcap__sip__sip_hold_resume.pcapng",
    "ahmedelemamn__Wireshark-Captures__collab_pcap__sip__sip_basic_do_183.pcapng",
    "ahmedelemamn__Wireshark-Captures__collab_pcap__rtp__rtp_sip_g711ulaw_10ms.pcapng",
    "ahmedelemamn__Wireshark-Captures__collab_pcap__rtp__rtp_sip_ilbc_30ms_13dot33kbps.pcapng",
    "ahmedelemamn__Wireshark-Captures__collab_pcap__dtmf_relay__dtmf_relay_asymm.pcapng",
    "NormB__sipnab__tests__pcap-samples__SIP_CALL_RTP_G711",
    "NormB__sipnab__tests__pcap-samples__codec-negotiation.pcap",
    "NormB__sipnab__tests__pcap-samples__register-invite-reinvite-bye.pcap",
    "NormB__sipnab__tests__pcap-samples__rtp-protocol.pcap",
    "andreeaDumitrache29__eim_lab9__sip.pcap",
)


def heard(turns: list[Sound], detector: Detector) -> dict[int, list[Finding]]:
    """Return what is found in voices, by their numbers."""
    attention = Attention([AnnouncementListener(detector), StateListener(4)], lambda _: None)
    found = [one for turn in turns for step in attention.hear(turn) for one in step]
    numbers = sorted({number for turn in turns for number in turn.number.tolist()})
    found += [one for step in attention.end(numbers) for one in step]
    assert not any(one.kind == NOT_DECODED for one in found)
    return {number: [one for one in found if one.number == number] for number in numbers}


def alone(turns: list[Sound], detector: Detector) -> dict[int, list[Finding]]:
    """Return what is found in each voice when no other is there."""
    found: dict[int, list[Finding]] = {}
    for number in sorted({number for turn in turns for number in turn.number.tolist()}):
        found |= heard([part(turn, turn.number == number) for turn in turns if (turn.number == number).any()], detector)
    return found


def by_time(found: dict[int, list[Finding]]) -> dict[int, list[Finding]]:
    """Return them in one order: who listens first is nobody's matter."""
    return {
        number: sorted(each, key=lambda one: (one.kind, one.what, one.begin_mono, one.end_mono))
        for number, each in found.items()
    }


@pytest.mark.skipif(not FOLDER.exists(), reason=f"no captures at {FOLDER}")
def test_real_voices_are_heard_together_as_each_alone() -> None:
    calls = [sounds_of(FOLDER / name, 100 * place) for place, name in enumerate(CAPTURES)]
    turns = [joined([one for one in some if one is not None]) for some in zip_longest(*calls)]
    voice = joined_samples(calls[0], 3), joined_samples(calls[6], 600), joined_samples(calls[1], 102)
    detector = Detector([Reference(one[3 * 8000 : 6 * 8000]) for one in voice])

    together = heard(turns, detector)

    assert len(together) > 30
    assert {one.kind for each in together.values() for one in each} == {ANNOUNCED, SPEECH, STATE}
    assert by_time(together) == by_time(alone(turns, detector))


def joined_samples(turns: list[Sound], number: int) -> I16:
    """Return the samples of a voice that came, one behind the other."""
    parts = [
        turn.samples[begin : begin + length]
        for turn in turns
        for begin, length, whose in zip(turn.begin.tolist(), turn.length.tolist(), turn.number.tolist(), strict=True)
        if whose == number
    ]
    return np.concatenate(parts)


def lines() -> list[Samples]:
    """Return voices of 16 s: talk, prompts whole and cut, tones, music, silence."""
    notice, longer = said(NOTICE).astype(np.float32), said(LONGER).astype(np.float32)
    each = [
        join(quiet(1), notice, speech(6)),
        join(speech(3), longer, speech(2)),
        join(quiet(2), longer[: int(0.6 * len(longer))], quiet(3), speech(5)),
        join(*([tone(425, 1), quiet(4)] * 3)),
        join(*([tone((480, 620), 0.25), quiet(0.25)] * 30)),
        join(music(10), speech(6)),
        join(speech(5, party="callee"), quiet(4.5), notice, quiet(2)),
        join(tone(2100, 3), noise(8, -40), speech(4)),
        join(speech(6), tone(1400, 0.4), quiet(8)),
    ]
    return [join(one, noise(16, -60))[: 16 * 8000] + noise(16, -62, seed) for seed, one in enumerate(each)]


def made() -> list[Sound]:
    """Return turns of a second; packets are lost, swapped, late, missing for long, and voices begin by turns."""
    rng = np.random.default_rng(4)
    turns: list[list[Sound]] = [[] for _ in range(22)]
    for number, line in enumerate(lines() * 2):
        samples = np.clip(line, -32768, 32767).astype(np.int16)
        came = rng.random(len(samples) // PACKET) >= (0.0, 0.0, 0.05, 0.002)[number % 4]
        if number % 5 == 1:
            came[300:480] = False
        if number % 7 == 2:
            came[200:260] = False
        for second in range(16):
            which = second * 50 + np.flatnonzero(came[second * 50 : second * 50 + 50])
            if number % 3 == 2 and len(which) > 4:
                which[[1, 2]] = which[[2, 1]]
            if not len(which):
                continue
            size = np.full(len(which), PACKET, np.int64)
            mono = np.sort(which) * (SECOND // 50) + number + SECOND
            columns = np.full(len(which), number, np.int32), mono, which * PACKET, size, samples, which * PACKET
            turns[second + number % 6].append(Sound(*columns, np.arange(len(which)) % 50 != number))
    return [joined(some) for some in turns if some]


def test_voices_with_all_that_goes_wrong_are_heard_together_as_each_alone() -> None:
    turns, detector = made(), Detector([Reference(said(text)) for text in (NOTICE, LONGER)])

    together = heard(turns, detector)

    assert {one.kind for each in together.values() for one in each} == {ANNOUNCED, SPEECH, STATE}
    assert by_time(together) == by_time(alone(turns, detector))


class Stumbles:
    """A listener that fails in one voice."""

    def __init__(self, number: int) -> None:
        self._number = number

    def hear(self, runs: Runs, guard: Guard) -> list[Finding]:
        """See FrameListener."""
        for run in runs.each:
            with guard.of(run.number):
                if run.number == self._number:
                    raise ValueError("a fault")
        return []

    def end(self, numbers: Sequence[int], guard: Guard) -> list[Finding]:
        """See FrameListener."""
        return []


def test_a_fault_in_one_voice_costs_no_other_and_who_is_worked_on_is_said() -> None:
    turns = made()
    busy: list[int | None] = []
    attention = Attention([Stumbles(3), StateListener(4)], busy.append)

    found = [one for turn in turns for step in attention.hear(turn) for one in step]

    lost = [one for one in found if one.kind == NOT_DECODED]
    assert {one.number for one in lost} == {3}
    assert len(lost) == sum((turn.number == 3).any() for turn in turns)
    whole = Attention([StateListener(4)], lambda _: None)
    others = [one for turn in turns for step in whole.hear(turn) for one in step if one.number != 3]
    assert [one for one in found if one.number != 3] == others
    assert {3, 4} < set(busy)
    assert busy[-1] is None
