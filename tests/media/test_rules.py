"""Rules: what the mirrored signalling shows pauses and resumes a call, and only who may can have it so."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from builders import START_NS, Scenario, sdp
from building.playing import Result, play
from scenarios import basic, digits, transfers

from vittne.capture import record
from vittne.capture.columns import SECOND
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Settings
from vittne.capture.rules import Rule

GUARD = SECOND // 2
OFF = Rule("record key", "request", "pause", method="INFO", header="Record", value="off")
ON = Rule("record key on", "request", "resume", method="INFO", header="Record", value="on")


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND)


def stored_at(result: Result) -> list[int]:
    return [one.at_ns for records in result.records.values() for one in records if one.kind == record.RTP]


def within(times: list[int], begin: float, end: float) -> list[int]:
    return [at_ns for at_ns in times if at(begin) <= at_ns < at(end)]


def with_rules(*rules: Rule) -> Settings:
    return Settings(rules=rules, pause=PauseSettings(auto_digits=0))


def pauses(result: Result) -> list[dict[str, object]]:
    return [pause for report in result.reports for pause in report["details"]["pauses"]]


def keyed_by_header() -> Scenario:
    """The caller's telephone says Record: off at 3 s, and on at 6 s."""
    scenario = Scenario("record key")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 10.0)
    dialog.exchange(3.0, "INFO", headers=[("Record", "off")])
    dialog.exchange(6.0, "INFO", headers=[("Record", "on")])
    dialog.bye(answered + 10.1)
    return scenario


def test_a_header_pauses_and_resumes() -> None:
    result = play(keyed_by_header(), with_rules(OFF, ON))

    times = stored_at(result)
    assert not within(times, 3.0 - 0.5, 6.0 + 0.5)
    assert within(times, 1.0, 2.5)
    assert within(times, 6.6, 9.0)
    (told,) = pauses(result)
    assert (told["trigger"], told["by"], told["ended_by"]) == ("rule", "record key", "record key on")


def test_one_commit_gives_what_many_give() -> None:
    many, once = (play(keyed_by_header(), with_rules(OFF, ON), at_once=at_once) for at_once in (False, True))

    assert sorted(stored_at(many)) == sorted(stored_at(once))


def test_who_is_in_another_network_pauses_nothing() -> None:
    elsewhere = replace(OFF, networks=(ipaddress.ip_network("172.16.0.0/12"),))

    assert not pauses(play(keyed_by_header(), with_rules(elsewhere)))


def test_who_has_another_number_pauses_nothing() -> None:
    assert not pauses(play(keyed_by_header(), with_rules(replace(OFF, users=("9*",)))))
    assert pauses(play(keyed_by_header(), with_rules(replace(OFF, users=("1*",)))))


@pytest.mark.parametrize("attribute", [b"a=record:paused", b"a=recordpref:pause", b"a=recordpref:off"])
def test_what_an_sdp_says_of_recording_is_followed(attribute: bytes) -> None:
    scenario = Scenario("RFC 7866")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 10.0)
    for moment, said in ((3.0, attribute), (6.0, attribute.partition(b":")[0] + b":on")):
        offer = sdp(alice.ip, alice.rtp_port, version=round(moment)) + said + b"\r\n"
        dialog.exchange(moment, "INVITE", body=offer, answer=sdp(bob.ip, bob.rtp_port, version=round(moment)))
    dialog.bye(answered + 10.1)

    result = play(scenario, with_rules(Rule("sdp", "sdp", "pause")))

    assert not within(stored_at(result), 2.5, 6.5)
    assert within(stored_at(result), 6.7, 9.0)


def test_a_call_that_is_handed_to_a_payment_line_is_paused() -> None:
    scenario = transfers.blind_transfer()
    target = next(
        user for call in scenario.truth.calls for user in call.parties if user not in (call.caller, call.callee)
    )

    result = play(scenario, with_rules(Rule("payment", "number", "pause", numbers=(target,))))

    (told,) = pauses(result)
    assert told["by"] == "payment"
    assert told["packets"]
    assert not play(scenario, with_rules(Rule("payment", "number", "pause", numbers=("900",)))).reports[0]["details"][
        "pauses"
    ]


def test_a_feature_code_counts_from_the_agent_only() -> None:
    scenario = digits.telephone_events("*12")
    caller = scenario.truth.calls[0].caller
    code = Rule("star", "digits", "pause", digits="*12", users=(caller,))

    assert len(pauses(play(scenario, with_rules(code)))) == 1
    assert not pauses(play(scenario, with_rules(replace(code, users=(scenario.truth.calls[0].callee,)))))
    assert not pauses(play(scenario, with_rules(replace(code, digits="*13"))))


def test_no_value_of_a_digit_outlives_a_snapshot() -> None:
    scenario = digits.telephone_events("*12")
    code = Rule("star", "digits", "pause", digits="*1234", users=("*",))

    result = play(scenario, with_rules(code))

    state = result.pipeline.digits.__getstate__()
    assert (state["_keys"], state["_waiting"], state["_codes"]) == ({}, [], [])


def test_a_feature_code_by_info_counts_as_well() -> None:
    scenario = digits.in_sip("dtmf-relay")  # 90#
    call = scenario.truth.calls[0]

    result = play(scenario, with_rules(Rule("star", "digits", "pause", digits="90#", users=(call.caller,))))

    assert len(pauses(result)) == 1


def test_an_answer_is_asked_for_its_record_attribute_too() -> None:
    scenario = Scenario("RFC 7866 in an answer")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 8.0)
    answer = sdp(bob.ip, bob.rtp_port, version=3) + b"a=recordpref:pause\r\n"
    dialog.exchange(3.0, "INVITE", body=sdp(alice.ip, alice.rtp_port, version=3), answer=answer)
    dialog.bye(answered + 8.1)

    result = play(scenario, with_rules(Rule("sdp", "sdp", "pause")))

    assert not within(stored_at(result), 2.6, 9.0)


def test_a_recording_session_pauses_every_call_it_is_about() -> None:
    """Two calls of the same parties, which nothing links."""
    scenario, first = with_a_recording_session(by_id=False, calls=2)

    result = play(scenario, with_rules(Rule("siprec", "siprec", "pause")))

    assert len([report for report in result.reports if report["details"]["pauses"]]) == 2
    assert result.report(first)["details"]["pauses"]


METADATA = b"""<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode>
<session session_id="x"><sipSessionID>%s;remote=00000000000000000000000000000000</sipSessionID></session>
<participant participant_id="a"><nameID aor="sip:%s@example.net"/></participant>
<participant participant_id="b"><nameID aor="sip:%s@example.net"/></participant></recording>"""


def with_a_recording_session(by_id: bool, calls: int = 1) -> tuple[Scenario, str]:
    """A call, and a SIPREC session about it that is paused at 3 s and, without metadata, goes on at 6 s."""
    scenario = Scenario("SIPREC")
    alice, bob = basic.pair(scenario)
    uuid = "ab30317f1a784dc48ff824d0d3715d86"
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0, headers=[("Session-ID", f"{uuid};remote={'0' * 32}")])
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 10.0)
    for port in range(10, 10 * calls, 10):
        here, there = alice.moved(alice.rtp_port + port), bob.moved(bob.rtp_port + port)
        another = scenario.dialog(here, there)
        scenario.talk(another.call, here, there, another.set_up(0.1) + 0.01, 9.0)
        another.bye(10.0)
    client, server = scenario.endpoint("sbc", "10.0.9.1", 46_000), scenario.endpoint("srs", "10.0.9.2", 56_000)
    recording = scenario.dialog(client, server)
    recording.set_up(1.0)
    about = METADATA % (uuid.encode() if by_id else b"", alice.user.encode(), bob.user.encode())
    for at_s, direction, metadata in ((3.0, "inactive", about), (6.0, "sendonly", b"")):
        offer = sdp(client.ip, client.rtp_port, direction=direction, version=round(at_s))
        answer = sdp(server.ip, server.rtp_port, version=round(at_s))
        if not metadata:
            recording.exchange(at_s, "INVITE", body=offer, answer=answer)
            continue
        parts = [b"Content-Type: application/sdp\r\n\r\n" + offer]
        parts.append(
            b"Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n" + metadata
        )
        body = b"--mark\r\n" + b"\r\n--mark\r\n".join(parts) + b"\r\n--mark--\r\n"
        recording.exchange(at_s, "INVITE", body=body, content_type="multipart/mixed;boundary=mark", answer=answer)
    recording.bye(9.0)
    dialog.bye(answered + 10.1)
    return scenario, dialog.call.call_ids[0]


@pytest.mark.parametrize("by_id", [True, False], ids=["Session-ID", "parties"])
def test_a_paused_recording_session_pauses_the_call_it_is_about(by_id: bool) -> None:
    scenario, call_id = with_a_recording_session(by_id)

    result = play(scenario, with_rules(Rule("siprec", "siprec", "pause")))

    report = result.report(call_id)
    (told,) = report["details"]["pauses"]
    times = [one.at_ns for one in result.of_kind(report, record.RTP)]
    assert (told["by"], told["ended_by"]) == ("siprec", "siprec")
    assert not within(times, 2.6, 6.4)
    assert within(times, 6.6, 9.0)


def test_an_attribute_in_an_sdp_ends_no_pause_but_its_own() -> None:
    """Whoever says a=record:on ends neither what digits nor what another rule paused."""
    scenario = Scenario("record:on")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 8.0)
    dialog.exchange(2.0, "INFO", headers=[("Record", "off")])
    offer = sdp(bob.ip, bob.rtp_port, version=4) + b"a=record:on\r\n"
    dialog.exchange(4.0, "INVITE", by=bob, body=offer, answer=sdp(alice.ip, alice.rtp_port, version=4))
    dialog.bye(answered + 8.1)

    result = play(scenario, with_rules(OFF, Rule("sdp", "sdp", "pause")))

    assert not within(stored_at(result), 1.6, 9.0)


def test_both_sides_count_their_requests_by_themselves() -> None:
    """The callee's INFO has the number that the caller's had."""
    scenario = Scenario("one number twice")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 10.0)
    dialog.exchange(2.0, "INFO", headers=[("Record", "off")])
    dialog.exchange(3.0, "INFO", headers=[("Record", "on")])
    for number in range(4):
        dialog.exchange(5.0 + number / 10, "INFO", by=bob, headers=[("Record", "off")])
    dialog.bye(answered + 10.1)

    result = play(scenario, with_rules(OFF, ON))

    assert within(stored_at(result), 3.6, 4.4)
    assert not within(stored_at(result), 5.0, 11.0)
