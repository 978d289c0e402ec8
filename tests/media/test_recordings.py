"""What a recording holds: packets as captured, masked signalling, never a digit; and who sits where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import Scenario
from building.playing import Result, play, play_frames
from scenarios import basic, changes, digits, field, network, noise, transfers

from vittne.capture import record
from vittne.capture.columns import SECOND
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Settings


def rtp_on_the_wire(scenario: Scenario, ssrc: str) -> list[tuple[int, bytes]]:
    """What a scenario's plain IPv4 frames carry of an SSRC, read without the code under test."""
    found = []
    for at_ns, frame in scenario.frames():
        payload = frame[42:]
        if frame[23] == 17 and payload[0] & 0xC0 == 0x80 and payload[8:12].hex().upper() == ssrc:
            found.append((at_ns, payload))
    return found


def only(result: Result) -> dict[str, Any]:
    (report,) = result.reports
    return report


def test_packets_are_stored_byte_for_byte_with_their_arrival() -> None:
    scenario = network.lossy()

    result = play(scenario)

    report = only(result)
    for stream in report["streams"]:
        stored = result.rtp(report)[f"{stream['ssrc']} {stream['destination']}"]
        assert stored == rtp_on_the_wire(scenario, stream["ssrc"])


def test_a_mirrors_second_copies_are_not_stored() -> None:
    scenario = network.mirror_duplicates()

    result = play(scenario)

    report = only(result)
    assert all(stream["stored"] == stream["packets"] and not stream["duplicates"] for stream in report["streams"])
    assert report["details"]["sip_messages"] == 7


@pytest.mark.parametrize(
    "scenario",
    [digits.telephone_events(), digits.only_telephone_events(), field.digits_get_another_number()],
    ids=lambda scenario: scenario.name,
)
def test_no_key_event_is_stored_under_any_payload_type(scenario: Scenario) -> None:
    result = play(scenario, Settings(pause=PauseSettings(auto_digits=0)))  # else so many pause the call

    stored = [packet for packets in result.rtp(only(result)).values() for _, packet in packets]
    assert stored
    assert {packet[1] & 0x7F for packet in stored} == {0}
    assert not [packet for packet in stored if len(packet) == 16]
    assert sum(stream["dropped"].get("digits", 0) for stream in only(result)["streams"]) > 0


@pytest.mark.parametrize("form", ["dtmf-relay", "dtmf", "kpml"])
def test_keys_in_sip_are_replaced_by_marks(form: str) -> None:
    result = play(digits.in_sip(form))

    bodies = [one.body.partition(b"\r\n\r\n")[2] for one in result.of_kind(only(result), record.SIP)]
    carrying = [body for body in bodies if b"ignal" in body or b"kpml" in body or (body and len(body) < 4)]
    assert len(carrying) == 3
    assert all(b"*" in body for body in carrying)
    assert not [key for body in carrying for key in (b"=9", b"=0", b"=#", b'"9"', b'"0"', b'"#"') if key in body]


def test_the_length_of_masked_messages_is_what_it_was() -> None:
    scenario = basic.challenged()

    result = play(scenario)

    messages = [one.body.partition(b"\n")[2] for one in result.of_kind(only(result), record.SIP)]
    sent = [frame[42:] for _, frame in scenario.frames() if b"SIP/2.0" in frame[42:]]
    assert [len(m) for m in messages] == [len(m) for m in sent]
    assert not any(b"0123456789abcdef" in message for message in messages)


def test_keys_of_srtp_are_in_the_stream_and_not_in_the_signalling() -> None:
    result = play(basic.encrypted_with_keys())

    report = only(result)
    streams = [json.loads(one.body) for one in result.of_kind(report, record.STREAM)]
    assert all(stream["crypto"].startswith("1 AES_CM_128_HMAC_SHA1_80 inline:") for stream in streams)
    assert len({stream["crypto"] for stream in streams}) == 2
    assert not any(b"inline:" in one.body for one in result.of_kind(report, record.SIP))
    assert "inline" not in json.dumps(report)


def test_a_hold_is_an_event_at_its_time() -> None:
    scenario = changes.hold()

    result = play(scenario)

    ((begin, end, _),) = scenario.truth.calls[0].held
    events = [(json.loads(one.body)["event"], one.at_ns) for one in result.of_kind(only(result), record.EVENT)]
    assert [name for name, _ in events] == ["held", "retrieved"]
    assert [at for _, at in events] == pytest.approx([begin, end], abs=20_000_000)


def test_video_is_counted_and_not_kept() -> None:
    report = only(play(network.audio_and_video()))

    assert report["details"]["other_media"] == {"video": 100}
    assert sorted(s["stored"] for s in report["streams"]) == [0, 0, 100, 100]


def test_a_sprayed_stream_is_marked_foreign() -> None:
    result = play(network.foreign_packets())

    described = {s["ssrc"]: s["foreign"] for s in map(json.loads, (r.body for r in result.of_kind(only(result), 5)))}
    sources = {s["ssrc"]: s["source"] for s in only(result)["streams"]}
    assert {ssrc: sources[ssrc].startswith("203.") for ssrc in described} == described


def test_a_nat_that_chooses_another_port_makes_no_stranger() -> None:
    result = play(field.nat_rebinding())

    streams = [json.loads(one.body) for one in result.of_kind(only(result), record.STREAM)]
    assert len(streams) == 3
    assert not any(stream["foreign"] for stream in streams)


def test_of_two_answered_branches_each_has_its_own_outcome() -> None:
    report = only(play(field.both_branches_answer()))

    assert [dialog["outcome"] for dialog in report["details"]["dialogs"]] == ["recorded", "no-media"]
    assert report["outcome"] == "recorded"


def test_three_calls_to_one_number_through_one_pbx_stay_three() -> None:
    scenario = field.hotline()

    result = play(scenario)

    assert sorted(sorted(r["call_ids"]) for r in result.reports) == sorted(
        sorted(call.call_ids) for call in scenario.truth.calls
    )


def test_links_say_why_and_how_sure() -> None:
    evidence = {
        name: only(play(transfers.b2bua(name)))["details"]["links"][0] for name in ("none", "session-id", "x-cid")
    }

    assert (evidence["session-id"]["evidence"], evidence["session-id"]["confidence"]) == ("session-id", "certain")
    assert (evidence["x-cid"]["evidence"], evidence["x-cid"]["confidence"]) == ("call-id", "certain")
    assert evidence["none"]["confidence"] == "likely"


def test_a_stranger_who_names_a_port_gets_none_of_its_media() -> None:
    scenario = field.ports_named_by_a_thief()

    result = play(scenario)

    call = result.report(scenario.truth.calls[0].call_ids[0])
    assert [stream["packets"] for stream in call["streams"]] == [250, 250]


def test_rtp_without_signalling_is_a_call_when_wanted() -> None:
    scenario = noise.unsignalled_rtp()
    settings = Settings(record_unsignalled=True)

    result, at_once = play(scenario, settings), play(scenario, settings, at_once=True)

    for one in (result, at_once):
        report = only(one)
        assert (report["call_ids"], report["outcome"], report["details"]["dialogs"]) == ([], "recorded", [])
        assert (report["caller"], report["callee"]) == ("10.0.0.1:40000", "10.0.0.2:50000")
        assert [(s["party"], s["packets"], s["stored"]) for s in report["streams"]] == [
            ("caller", 150, 150),
            ("callee", 150, 150),
        ]
        assert not one.unsignalled


def test_unsignalled_calls_end_by_silence_and_begin_again() -> None:
    scenario = noise.unsignalled_rtp()
    alice, bob = basic.pair(scenario)
    scenario.voice(alice, bob, 20.0, 2.0, ssrc=0xABCD)
    basic.time_goes_on(scenario, 0.0, 60.0)

    result = play(scenario, Settings(record_unsignalled=True))

    assert [(r["end_reason"], len(r["streams"])) for r in result.reports] == [
        ("media-silence", 2),
        ("media-silence", 1),
    ]


def test_what_comes_after_a_bye_is_no_call_of_its_own() -> None:
    scenario = Scenario("trailing")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 8.0)
    dialog.bye(answered + 2.0)
    basic.time_goes_on(scenario, 0.0, 40.0)

    result = play(scenario, Settings(record_unsignalled=True))

    (report,) = result.reports
    assert {stream["packets"] for stream in report["streams"]} == {200}  # two seconds, and two of grace
    assert {stream["packets"] for stream in result.unsignalled} == {200}


def test_lost_packets_of_the_capture_explain_a_call_without_media() -> None:
    pipeline_report = only(play(basic.no_media()))
    assert pipeline_report["outcome"] == "no-media"

    scenario = basic.no_media()
    result = play(scenario, loss_after=1)

    assert only(result)["outcome"] == "capture-loss"


def test_an_offer_that_is_held_off_for_long_still_ends_by_the_session_timer() -> None:
    scenario = basic.session_timer()

    report = only(play(scenario, Settings(media_silence_ns=3600 * SECOND)))

    assert report["end_reason"] == "session-timer"


def test_a_port_that_was_left_keeps_its_counts_while_other_flows_come_and_go() -> None:
    scenario = changes.port_moves()
    carol, dave = scenario.endpoint("carol", "10.3.0.1", 44_000), scenario.endpoint("dave", "10.3.0.2", 54_000)
    for i in range(20):
        scenario.voice(carol, dave, 70.0 + i * 5, 1.0, ssrc=0x9000 + i)
    truth = scenario.truth.calls[0]
    alice, bob = basic.pair(scenario)
    moved = alice.moved(40_100, "10.0.0.9")
    late = truth.streams[2]
    scenario.voice(moved, bob, 150.0, 1.0, call=truth, after=late)
    frames = [frame for frame in scenario.frames() if b"BYE sip" not in frame[1]]
    frames = [frame for frame in frames if b" BYE\r\n" not in frame[1]]

    report = play_frames(frames).report(truth.call_ids[0])

    counted = {(s["ssrc"], s["source"], s["destination"]): s["packets"] for s in report["streams"]}
    assert counted == {(f"{s.ssrc:08X}", s.source, s.destination): s.packets for s in truth.streams}
