"""The ladder of a call: who said what to whom and when, fitting the terminal, harmless whatever came."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from builders import Scenario
from recordings import Recorded
from scenarios import basic, changes, digits, network, transfers

from vittne.appliance.explain import explained
from vittne.appliance.ladder import Arrow, Participant, Remark, Row, draw
from vittne.appliance.opened import open_recording
from vittne.appliance.signalling import read_signalling
from vittne.appliance.terminal import cells

Vittne = Callable[..., tuple[int, str, str]]
Record = Callable[[Scenario], Recorded]


def lines_of(found: Recorded, width: int = 100) -> list[str]:
    call = found.call
    with open_recording(found.data, call.folder, call.id) as recording:
        return explained(call, read_signalling(recording), width)


def test_a_ladder_is_drawn_to_the_letter() -> None:
    participants = [Participant("10.0.0.1", "caller"), Participant("10.0.0.2", "callee")]
    rows: list[Row] = [
        Arrow(0.0, 0, 1, "INVITE", below=("audio 10.0.0.1:4000",)),
        Arrow(0.05, 1, 0, "180 Ringing"),
        Remark(1.5, "held by caller"),
        Arrow(2.25, 0, 1, "RTP PCMU", kind="media"),
    ]

    assert draw(participants, rows, 60) == [
        "                   caller                  callee",
        "                  10.0.0.1                10.0.0.2",
        "   0.000              ├─────── INVITE ───────▶│",
        "                      │  audio 10.0.0.1:4000  │",
        "   0.050              │◀──── 180 Ringing ─────┤",
        "   1.500              │ · held by caller ·    │",
        "   2.250              ├══════ RTP PCMU ══════▶│",
    ]


def test_a_plain_call_has_its_messages_in_order_with_offsets_and_media(plain: Recorded) -> None:
    text = "\n".join(lines_of(plain))

    places = [text.index(word) for word in ("INVITE", "100 Trying", "180 Ringing", "200 OK ", "ACK", "BYE", "OK (BYE)")]
    assert places == sorted(places)
    assert "caller" in text
    assert "callee" in text
    assert "   0.500" in text
    assert "audio 10.0.0.1:40000 PCMU telephone-event sendrecv" in text
    assert "RTP PCMU 150 in 0:03.0" in text
    assert "7311D8A3" in text


def test_whatever_the_width_the_lines_stay_within_it(recorded: Record) -> None:
    found = recorded(transfers.attended_transfer())

    for width in (40, 60, 80, 120, 200):
        lines = lines_of(found, width)
        table_from = lines.index("streams")
        assert all(cells(line) <= width for line in lines[:table_from])
        assert all(cells(line) <= max(width, 75) for line in lines[table_from:])


def test_both_legs_of_a_b2bua_are_told_apart_and_the_host_between_is_named(recorded: Record) -> None:
    text = "\n".join(lines_of(recorded(transfers.b2bua("session-id")), 110))

    assert "[1] INVITE" in text
    assert "[2] INVITE" in text
    assert "between" in text


def test_a_hold_is_marked(recorded: Record) -> None:
    text = "\n".join(lines_of(recorded(changes.hold())))

    assert "· held by caller ·" in text
    assert "· retrieved by caller ·" in text
    assert "sendonly (hold)" in text


def test_what_is_sent_again_is_said_to_be(recorded: Record) -> None:
    text = "\n".join(lines_of(recorded(basic.everything_retransmitted())))

    assert "INVITE again" in text
    assert "200 OK again" in text


def test_several_on_one_host_are_told_apart_by_port(recorded: Record) -> None:
    scenario = Scenario("loopback")
    alice = scenario.endpoint("alice", "127.0.0.1", 40_000, "1001", sip_port=5060)
    bob = scenario.endpoint("bob", "127.0.0.1", 50_000, "1002", sip_port=5070)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 1.0)
    dialog.bye(answered + 1.1)

    text = "\n".join(lines_of(recorded(scenario)))

    assert "127.0.0.1:5060" in text
    assert "127.0.0.1:5070" in text
    assert "127.0.0.1:40000 ═▶ 127.0.0.1:50000  RTP PCMU" in text


def test_digits_stay_masked(recorded: Record, vittne: Vittne) -> None:
    found = recorded(digits.in_sip())

    status, text, _ = vittne("explain", found.call.id, "--data", found.data, "--json")

    assert status == 0
    assert any(signal["method"] == "INFO" for signal in json.loads(text))
    assert "Signal" not in text


def test_messages_as_json_are_one_array(plain: Recorded, vittne: Vittne) -> None:
    _, text, _ = vittne("explain", plain.call.id, "--data", plain.data, "--json")

    messages = json.loads(text)
    assert [message["title"] for message in messages] == [
        *("INVITE", "100 Trying", "180 Ringing", "200 OK", "ACK", "BYE", "200 OK (BYE)")
    ]
    assert messages[0]["source"] == "10.0.0.1:5060"
    assert messages[3]["offset_s"] == 0.5
    assert messages[3]["sdp"] == ["audio 10.0.0.2:50000 PCMU telephone-event sendrecv"]


def test_nothing_from_the_wire_reaches_the_terminal_unclean(recorded: Record, vittne: Vittne) -> None:
    scenario = Scenario("terminal")
    alice = scenario.endpoint("alice", "10.0.0.1", 40_000, "10\x1b]0;pwned\x0701")
    bob = scenario.endpoint("bob", "10.0.0.2", 50_000, "[red]1002[/red]\x9b2J\u202e")
    dialog = scenario.dialog(alice, bob, call_id="id\x1b[31m@\x07host")
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 1.0)
    dialog.bye(answered + 1.1)
    found = recorded(scenario)

    for command in ("explain", "show"):
        status, text, _ = vittne(command, found.rows()[0].id, "--data", found.data)
        assert status == 0
        assert all(letter.isprintable() or letter == "\n" for letter in text)
    _, text, _ = vittne("list", "--data", found.data)
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_wireshark_dissects_the_call(plain: Recorded, vittne: Vittne) -> None:
    status, text, _ = vittne("explain", plain.call.id, "--data", plain.data, "--wireshark")

    assert status == 0
    assert "Session Initiation Protocol (INVITE)" in text
    assert "0x7311D8A3" in text


def test_without_tshark_it_is_said_what_is_missing(
    plain: Recorded, vittne: Vittne, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    status, _, error = vittne("explain", plain.call.id, "--data", plain.data, "--wireshark")

    assert status == 1
    assert error.startswith("vittne: there is no tshark")


def test_signalling_over_tcp_is_shown_too(recorded: Record) -> None:
    text = "\n".join(lines_of(recorded(network.over_tcp())))

    assert "INVITE" in text
    assert "BYE" in text
