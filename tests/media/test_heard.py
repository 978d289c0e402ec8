"""What is kept of what was heard: bounded, in order, and nothing of a pause."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.seal.groups import MAX_RECORDS
from vittne.capture.calls import Call
from vittne.capture.heard import MOST_PLAYED, MOST_SPEECH, MOST_VOICES, Heard, LineState, Played, Prompt, VoiceHeard
from vittne.capture.heardreport import heard_report
from vittne.capture.sip.headers import NameAddr
from vittne.capture.sip.session import Session

MS = 1_000_000
WELCOME = Prompt("a" * 64, "welcome")


def voice(key: int = 1) -> VoiceHeard:
    return VoiceHeard(key, "call", 1, 7, 0, 0)


def played(begin_ms: int, end_ms: int, *, is_full: bool = True, share: float = 1.0) -> Played:
    return Played(WELCOME, begin_ms * MS, end_ms * MS, is_full, share, share, 0.9)


SPANS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 400)), max_size=60)


@given(SPANS)
def test_speech_is_what_was_told_in_order_and_apart(spans: list[tuple[int, int]]) -> None:
    one = voice()
    for begin, size in spans:
        one.add_speech(begin * MS, (begin + size) * MS)

    told = list(one.stretches())
    assert all(left[1] < right[0] for left, right in pairwise(told))
    for begin, size in spans:
        assert any(low <= begin * MS and (begin + size) * MS <= high for low, high in told)


@given(SPANS, st.integers(0, 5000), st.integers(1, 1000))
def test_nothing_of_a_pause_is_kept(spans: list[tuple[int, int]], begin: int, size: int) -> None:
    one = voice()
    for low, length in spans:
        one.add_speech(low * MS, (low + length) * MS)
    one.played = [played(low, low + length) for low, length in spans]
    one.states = [LineState("busy", low * MS, (low + length) * MS) for low, length in spans]

    one.cut(begin * MS, (begin + size) * MS)

    for low, high in one.stretches():
        assert high <= begin * MS or low >= (begin + size) * MS
    ends = [(found.begin_mono, found.end_mono) for found in one.played]
    ends += [(state.begin_mono, state.end_mono) for state in one.states]
    assert all(high < begin * MS or low >= (begin + size) * MS for low, high in ends)


def test_speech_without_end_takes_bounded_memory_and_keeps_its_ends() -> None:
    one = voice()
    gaps = np.random.default_rng(1).integers(300, 900, 3 * MOST_SPEECH).tolist()
    at = 0
    for gap in gaps:
        one.add_speech(at * MS, (at + 100) * MS)
        at += 100 + gap

    told = list(one.stretches())
    assert len(told) == MOST_SPEECH
    assert (told[0][0], told[-1][1]) == (0, (at - gaps[-1]) * MS)
    assert max(left[1] - right[0] for left, right in pairwise(told)) < -600 * MS, "the nearest were joined"


def test_an_announcement_that_is_known_better_takes_the_place_of_itself() -> None:
    one = voice()
    for found in (
        played(1000, 3000, is_full=False, share=0.5),
        played(1200, 5000),
        played(1100, 4000, is_full=False, share=0.9),
        played(9000, 13_000),
    ):
        one.add_played(found)

    assert [(found.begin_mono // MS, found.is_full) for found in one.played] == [(1200, True), (9000, True)]


def test_a_notice_is_heard_behind_ever_so_many_others() -> None:
    """Who waits in a queue is told the same for an hour; the gate waits for what comes then."""
    one, queue = voice(), Prompt("b" * 64, "queue", "other")
    one.add_played(played(0, 900))
    for number in range(1, 3 * MOST_PLAYED):
        one.add_played(Played(queue, number * 1000 * MS, (number * 1000 + 900) * MS, True, 1.0, 1.0, 0.9))
    last = played(3_000_000, 3_004_000)
    one.add_played(last)

    assert len(one.played) == MOST_PLAYED
    assert [found.begin_mono for found in one.played if found.prompt is WELCOME] == [0, last.begin_mono]


def test_what_a_call_says_has_room_in_one_record_however_much_was_heard() -> None:
    """Hours of a call whose voices change again and again, with something in each."""
    nobody = NameAddr("", "sip:a@example.org")
    call = Call("0" * 32, [Session("call", nobody, nobody, "", 1, 1, (0, 0, 0, 0), "udp")], {"call": (0, 1)})
    queue = Prompt("b" * 64, "q" * 64, "other")
    for key in range(MOST_VOICES):
        one = call.heard.voices[key] = voice(key)
        since = key * 10_000_000
        for place in range(MOST_SPEECH):
            one.add_speech((since + 400 * place) * MS, (since + 400 * place + 100) * MS)
        for place in range(MOST_PLAYED):
            begin = (since + 1000 * place) * MS
            one.add_played(Played(queue, begin, begin + 900 * MS, True, 1.0, 1.0, 0.9))
            one.add_state(LineState("recording-beep", begin, begin + 100 * MS, 15.0, 0.98, 4, 1400.0))
    call.heard.voices[MOST_VOICES - 1].add_played(played(900_000_000, 900_004_000))

    told = heard_report(call, {}, "1", 604_800.0)

    assert len(json.dumps(told)) < MAX_RECORDS // 2
    assert [one["name"] for one in told["announcements"]].count("welcome") == 1
    assert len(told["speech"]["callee"]) == MOST_SPEECH


def test_two_calls_that_are_one_have_heard_what_both_did() -> None:
    first, second = Heard({1: voice(1)}), Heard({key: voice(key) for key in range(1, 100)})
    first.take(second)

    assert len(first.voices) == MOST_VOICES
    assert all(one.why == ["too many voices"] for one in first.voices.values())


def test_a_flow_that_was_first_one_calls_and_then_the_others_keeps_what_both_heard() -> None:
    first, second, third = (Heard({1: voice(1)}) for _ in range(3))
    for number, heard in enumerate((first, second, third)):
        heard.voices[1].add_played(played(10_000 * number, 10_000 * number + 4000))
    second.take(third)
    first.take(second)

    assert first.count == 3
    assert first.voices[1].played[0].begin_mono == 0
