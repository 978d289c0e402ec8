"""What is said of a canary's packets and of its call: what was sent is held against what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vittne.appliance.canary.checks import (
    Prompt,
    announcement_check,
    clock_check,
    in_time_check,
    recorded_check,
    result_of,
    stamp_check,
)
from vittne.appliance.canary.content import StoredVoice, content_checks
from vittne.appliance.canary.expected import ExpectedVoice, expected
from vittne.appliance.canary.script import Wanted, write_script
from vittne.appliance.clock.state import ClockState
from vittne.appliance.seal.verdict import Check, holds, unchecked
from vittne.appliance.stamps.standing import Standing
from vittne.appliance.store.rows import CallRow, StreamRow
from vittne.appliance.store.times import from_rfc3339

SENT_NS = 1_700_000_000_000_000_000
REFERENCE = "ab" * 32
BEGIN = "2026-03-01T10:00:01.500000Z"
PROMPT = Prompt("welcome", REFERENCE, from_rfc3339(BEGIN))


def sent() -> list[ExpectedVoice]:
    script = write_script(Wanted("m", "pcma", 1.0), "run")
    count = len(script.voices[0].payloads)
    return expected(script, [[SENT_NS + n * 20_000_000 for n in range(count)]] * 2)


def stored(voices: list[ExpectedVoice]) -> dict[int, StoredVoice]:
    """What a recorder that is well keeps of them."""
    found = {}
    for one in voices:
        packets = [
            bytes([0x80, 8])
            + ((one.sequence + n) & 0xFFFF).to_bytes(2)
            + ((one.timestamp + n * 160) & 0xFFFFFFFF).to_bytes(4)
            + one.ssrc.to_bytes(4)
            + payload
            for n, payload in enumerate(one.payloads)
        ]
        found[one.ssrc] = StoredVoice(packets, [at + 30_000 for at in one.sent_ns])
    return found


def results(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.result for check in checks}


def test_what_was_sent_and_came_over_json_is_found_whole() -> None:
    voices = [ExpectedVoice.from_json(one.as_json()) for one in sent()]

    assert results(content_checks(voices, stored(voices))) == dict.fromkeys(
        ("complete", "audio", "timestamps"), "holds"
    )


def test_a_packet_that_is_missing_is_missing_of_the_audio_as_well() -> None:
    voices = sent()
    there = stored(voices)
    del there[voices[1].ssrc].packets[5], there[voices[1].ssrc].at_ns[5]

    found = content_checks(voices, there)

    assert results(found) == {"complete": "fails", "audio": "fails", "timestamps": "holds"}
    assert "callee: 1 of 50 packets are missing" in found[0].words
    assert "160 of 8000 samples" in found[1].words


def test_a_packet_that_is_there_twice_is_told() -> None:
    voices = sent()
    there = stored(voices)
    there[voices[0].ssrc].packets.append(there[voices[0].ssrc].packets[3])
    there[voices[0].ssrc].at_ns.append(there[voices[0].ssrc].at_ns[3])

    assert results(content_checks(voices, there))["complete"] == "fails"


def test_one_bit_that_is_another_is_heard() -> None:
    voices = sent()
    there = stored(voices)
    packet = bytearray(there[voices[0].ssrc].packets[7])
    packet[60] ^= 0x10
    there[voices[0].ssrc].packets[7] = bytes(packet)

    assert results(content_checks(voices, there)) == {"complete": "holds", "audio": "fails", "timestamps": "holds"}


@pytest.mark.parametrize("moved", [159, -160, 1 << 31])
def test_a_packet_with_another_time_does_not_pass(moved: int) -> None:
    voices = sent()
    there = stored(voices)
    packet = bytearray(there[voices[0].ssrc].packets[0])
    packet[4:8] = ((int.from_bytes(packet[4:8]) + moved) & 0xFFFFFFFF).to_bytes(4)
    there[voices[0].ssrc].packets[0] = bytes(packet)

    assert results(content_checks(voices, there))["audio"] == "fails"


def test_a_third_voice_does_not_pass() -> None:
    voices = sent()
    there = stored(voices) | {1: StoredVoice([bytes(172)], [SENT_NS])}

    assert results(content_checks(voices, there))["complete"] == "fails"


def test_a_clock_that_was_set_meanwhile_is_seen_in_the_timestamps() -> None:
    voices = sent()
    there = stored(voices)
    for voice in there.values():
        voice.at_ns = [at + 3_600_000_000_000 for at in voice.at_ns]

    assert results(content_checks(voices, there)) == {"complete": "holds", "audio": "holds", "timestamps": "fails"}


def test_nothing_stored_is_nothing_that_holds() -> None:
    voices = sent()

    assert set(results(content_checks(voices, {})).values()) == {"fails"}


def stream(party: str, **more: Any) -> StreamRow:
    values = {"codec": "PCMA", "payload_type": 8, "clock_rate": 8000, "ssrc": 1, "source": "a", "destination": "b"}
    return StreamRow(party=party, **values, packets=50, stored=50, first_at_us=1, last_at_us=2, **more)  # type: ignore[arg-type]


CALL = CallRow(
    "4e7aaf42-0f5c-4f0e-8a35-6f3b1f1b2d11",
    "finished",
    ("x",),
    "a",
    "b",
    1,
    outcome="recorded",
    streams=(stream("caller"), stream("callee")),
)


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, outcome="partial", outcome_reasons=("loss",)),
        replace(CALL, outcome="excluded-by-rule"),
        replace(CALL, streams=(stream("caller"),)),
        replace(CALL, streams=(stream("caller"), stream("caller"))),
        replace(CALL, streams=(stream("caller", lost=1), stream("callee"))),
        replace(CALL, streams=(replace(stream("caller"), stored=49), stream("callee"))),
    ],
)
def test_a_call_that_is_not_whole_was_not_recorded(call: CallRow) -> None:
    assert recorded_check(CALL).ok
    assert not recorded_check(call).ok


def heard(**more: Any) -> CallRow:
    """A call in which the announcement was heard."""
    one: dict[str, Any] = {"reference": REFERENCE, "name": "welcome", "party": "callee", "begin": BEGIN, "end": BEGIN}
    one |= {"state": "full", "share": 1.0, "score": 0.9, **more}
    return replace(CALL, details={"heard": {"listened": LISTENED, "announcements": [one]}})


LISTENED = [{"party": "callee", "seconds": 9.0}]


@pytest.mark.parametrize(
    ("call", "result", "words"),
    [
        (heard(), "holds", "in full"),
        (heard(begin="2026-03-01T10:00:01.549000Z"), "holds", "+49 ms"),
        (heard(begin="2026-03-01T10:00:01.551000Z"), "fails", "+51 ms"),
        (heard(party="caller"), "fails", "voice of the caller"),
        (heard(state="partial", share=0.5), "fails", "in part: 50%"),
        (heard(reference="cd" * 32), "fails", "was not heard"),
        (replace(CALL, details={"heard": {"listened": LISTENED, "announcements": []}}), "fails", "was not heard"),
        (CALL, "fails", "nobody listened"),
    ],
)
def test_the_announcement_is_to_be_heard_in_full_where_it_was_played(call: CallRow, result: str, words: str) -> None:
    found = announcement_check(call, PROMPT, is_listened=True)

    assert (found.result, words in found.words) == (result, True), found


def test_what_cannot_be_looked_at_is_never_well() -> None:
    nobody_listens = announcement_check(CALL, PROMPT, is_listened=False)
    nobody_knows = clock_check(ClockState("kernel", False, 0, 16_000_000), 1e6)

    assert {nobody_listens.result, nobody_knows.result} == {"unchecked"}
    assert result_of([holds("a", ""), unchecked("b", "")]) == "unsure"
    assert result_of([holds("a", "")]) == "well"
    assert result_of([]) == "unwell"


def test_times_and_authorities_have_their_say() -> None:
    assert in_time_check(0, 5_000_000, 5.0).ok
    assert not in_time_check(0, 5_000_001, 5.0).ok
    assert clock_check(ClockState("chrony", True, 0, 900), 1000).ok
    assert not clock_check(ClockState("chrony", True, 0, 1100), 1000).ok
    good, late = Standing("a", 1, 1, 1, 1, False), Standing("b", None, 0, 0, 1, True)
    assert stamp_check([]) == []
    assert [check.result for check in stamp_check([good])] == ["holds"]
    assert [check.result for check in stamp_check([good, late])] == ["fails"]
