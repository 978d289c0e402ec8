"""Floods and forgeries: what is bounded stays bounded, and a call in the middle of it is recorded all the same."""

from __future__ import annotations

import random

from builders import Frame, Scenario
from building.dialog import message
from building.fragments import fragments
from building.frames import udp_frame
from building.playing import play_frames
from building.rtp import rtp
from building.sdp import sdp
from scenarios.basic import pair, time_goes_on

from vittne.capture.columns import SECOND
from vittne.capture.flows import FlowTable
from vittne.capture.pipeline import Settings


def call_in_a_storm(storm: list[Frame]) -> tuple[Scenario, list[Frame]]:
    scenario = Scenario("storm")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 6.0)
    dialog.bye(answered + 6.05)
    time_goes_on(scenario, 0.0, 100.0)
    return scenario, sorted([*scenario.frames(), *storm], key=lambda frame: frame[0])


def sprayed(number: int, dst: tuple[str, int], seconds: float) -> list[Frame]:
    chance = random.Random(3)
    found = []
    for i in range(number):
        packet = rtp(0, chance.getrandbits(16), chance.getrandbits(32), chance.getrandbits(32), bytes(160))
        source = (f"203.0.{chance.randrange(256)}.{chance.randrange(1, 255)}", 1024 + i % 60_000)
        at = 1_767_225_600 * SECOND + SECOND + round(i * seconds * SECOND / number)
        found.append((at, udp_frame(*source, *dst, packet)))
    return found


def test_random_ssrcs_to_a_port_in_use_take_nothing_from_its_call() -> None:
    scenario, frames = call_in_a_storm(sprayed(4000, ("10.0.0.2", 50_000), 4.0))

    result = play_frames(frames)

    report = result.report(scenario.truth.calls[0].call_ids[0])
    named = {f"{stream.ssrc:08X}": stream.packets for stream in scenario.truth.calls[0].streams}
    found = {s["ssrc"]: s["stored"] for s in report["streams"] if s["ssrc"] in named}
    assert found == named
    assert len(report["streams"]) <= 66
    assert report["outcome"] == "recorded"
    assert len(result.pipeline.flows) == 0


def test_random_ssrcs_to_nobody_are_forgotten_again() -> None:
    _, frames = call_in_a_storm(sprayed(6000, ("10.0.0.77", 9000), 4.0))

    result = play_frames(frames)

    assert result.pipeline.counters["rtp without signalling"] == 6000
    assert len(result.pipeline.flows) == 0
    assert result.pipeline.flows.capacity <= 6002


def test_a_full_table_empties_itself_before_it_turns_calls_away() -> None:
    scenario, frames = call_in_a_storm(sprayed(3000, ("10.0.0.77", 9000), 0.9))
    late = Scenario("late", seed=5)
    carol, dave = late.endpoint("carol", "10.0.0.3", 42_000, "1003"), late.endpoint("dave", "10.0.0.4", 52_000, "1004")
    dialog = late.dialog(carol, dave)
    answered = dialog.set_up(8.0)
    late.talk(dialog.call, carol, dave, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    frames = sorted([*frames, *late.frames()], key=lambda frame: frame[0])

    result = play_frames(frames, flows=FlowTable(limit=3500))

    for one in (scenario, late):
        report = result.report(one.truth.calls[0].call_ids[0])
        assert report["outcome"] == "recorded"
        assert {s["packets"] for s in report["streams"]} == {one.truth.calls[0].streams[0].packets}


def test_a_flood_of_invites_costs_no_call() -> None:
    storm = []
    for i in range(3000):
        body = sdp("203.0.113.9", 1024 + i % 60_000)
        headers = [
            ("Via", f"SIP/2.0/UDP 203.0.113.9;branch=z9hG4bK{i}"),
            ("From", f"<sip:{i}@203.0.113.9>;tag={i}"),
            ("To", "<sip:1002@example.net>"),
            ("Call-ID", f"flood-{i}"),
            ("CSeq", "1 INVITE"),
            ("Content-Type", "application/sdp"),
        ]
        data = message("INVITE sip:1002@10.0.0.2 SIP/2.0", headers, body)
        at = 1_767_225_600 * SECOND + SECOND // 2 + i * SECOND // 1000
        storm.append((at, udp_frame("203.0.113.9", 5060, "10.0.0.2", 5060, data)))
    scenario, frames = call_in_a_storm(storm)

    result = play_frames(frames, pending_limit=200)

    report = result.report(scenario.truth.calls[0].call_ids[0])
    assert (report["outcome"], report["call_ids"]) == ("recorded", scenario.truth.calls[0].call_ids)
    assert result.pipeline.outcomes == {"recorded": 1, "unanswered": 3000}


def test_unsignalled_recording_in_a_flood_is_bounded() -> None:
    _, frames = call_in_a_storm(sprayed(3000, ("10.0.0.77", 9000), 2.0))

    result = play_frames(frames, Settings(record_unsignalled=True))

    assert len(result.reports) == 1  # one packet is no voice


def test_a_datagram_of_two_tiny_fragments_is_read() -> None:
    frame = udp_frame("203.0.113.1", 5000, "203.0.113.2", 5001, b"x")
    frames = [(1_767_225_600 * SECOND + i, piece) for i, piece in enumerate(fragments(frame, mtu=28))]

    result = play_frames(frames)

    assert result.pipeline.link.counters["reassembled udp"] == 1
    assert result.pipeline.counters["other udp"] == 1


def test_a_voice_that_an_unsignalled_call_carries_too_is_recorded() -> None:
    scenario, frames = call_in_a_storm([])
    leg = [
        (at - SECOND // 4, udp_frame("10.0.9.9", 7000, "10.0.0.1", 7002, frame[42:]))
        for at, frame in frames
        if len(frame) == 42 + 172
    ]

    result = play_frames(sorted([*frames, *leg], key=lambda frame: frame[0]), Settings(record_unsignalled=True))

    assert result.report(scenario.truth.calls[0].call_ids[0])["outcome"] == "recorded"


def test_a_mirrors_copies_are_not_without_signalling_too() -> None:
    frame = udp_frame("203.0.113.1", 5000, "203.0.113.2", 5002, rtp(0, 1, 160, 7, bytes(160)))

    result = play_frames([(1_767_225_600 * SECOND + i, frame) for i in range(2)])

    assert result.pipeline.counters["mirror duplicate"] == 1
    assert result.pipeline.counters["rtp without signalling"] == 1


def test_fragments_are_forgotten_while_other_rtp_waits() -> None:
    frames = []
    for i in range(900):
        for ssrc, size in ((1, 160), (2, 1000)):
            frame = udp_frame("203.0.113.1", 5000 + ssrc, "203.0.113.2", 5002, rtp(0, i, i * 160, ssrc, bytes(size)))
            pieces = fragments(frame, mtu=576, ident=i)
            frames += [(1_767_225_600 * SECOND + i * 20_000_000 + ssrc, piece) for piece in pieces]

    result = play_frames(frames)

    assert result.pipeline.counters["rtp without signalling"] == 1800
    assert result.pipeline.buffers.side_bytes < 600_000
