"""A pause leaves out what it says, to the packet, and nothing that happens to the media brings it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from builders import START_NS, Scenario, sdp
from building.playing import Order, Result, play, play_frames
from scenarios import basic, changes, digits, transfers

from vittne.capture import pausing, record
from vittne.capture.calls import new_call
from vittne.capture.columns import SECOND
from vittne.capture.pause import Pause, PauseSettings
from vittne.capture.pausebook import PauseBook
from vittne.capture.pausing import Answer, PauseOrder
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.sip.headers import NameAddr
from vittne.capture.sip.session import Session

MS = SECOND // 1000
GUARD = 500 * MS
ALICE, BOB = "alice", "bob"


def pause(
    select: dict[str, str],
    answers: list[Answer] | None = None,
    back_ns: int = 0,
    id: str = "p1",
    lease_ns: int = 600 * SECOND,
    **more: Any,
) -> Order:
    def order(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        effective = at_ns - back_ns if back_ns else 0
        wanted = PauseOrder(id, "api", "tester", select, at_ns, mono_ns, lease_ns, effective, **more)
        done = pausing.pause(pipeline, wanted)
        if answers is not None:
            answers.append(done)

    return order


def resume(id: str = "p1") -> Order:
    return lambda pipeline, at_ns, mono_ns: pausing.resume(pipeline, id, at_ns, mono_ns, "tester")


def stored_at(result: Result) -> list[int]:
    """Arrival of every packet that was stored."""
    return [one.at_ns for records in result.records.values() for one in records if one.kind == record.RTP]


def sent_at(scenario: Scenario) -> list[int]:
    """Arrival of every packet on the wire, read without the code under test."""
    return [
        at_ns
        for at_ns, frame in scenario.frames()
        if frame[23] == 17 and frame[42] & 0xC0 == 0x80 and not 192 <= frame[43] <= 223
    ]


def within(times: list[int], begin: int, end: int) -> list[int]:
    return [at_ns for at_ns in times if begin <= at_ns < end]


def moment(text: str) -> float:
    """Milliseconds since 1970."""
    return datetime.fromisoformat(text).timestamp() * 1000


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND)


def a_call(seconds: float = 12.0, **more: Any) -> tuple[Scenario, str]:
    scenario = Scenario("paused")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, seconds, **more)
    dialog.bye(answered + seconds + 0.1)
    return scenario, dialog.call.call_ids[0]


@pytest.mark.parametrize("back_s", [0, 1, 3])
def test_a_pause_leaves_out_its_span_and_its_guards_to_the_packet(back_s: int) -> None:
    scenario, call_id = a_call()
    answers: list[Answer] = []
    orders = {at(6): pause({"sip_call_id": call_id}, answers, back_s * SECOND), at(8): resume()}

    result = play(scenario, orders=orders)

    begin, end = at(6 - back_s) - GUARD, at(8) + GUARD
    expected = [t for t in sent_at(scenario) if not begin <= t < end]
    assert sorted(stored_at(result)) == sorted(expected)
    (report,) = result.reports
    (told,) = report["details"]["pauses"]
    left_out = within(sent_at(scenario), begin, end)
    assert told["packets"] == len(left_out)
    assert told["milliseconds"] == (end - begin) // MS
    assert sum(stream["dropped"]["paused"] for stream in report["streams"]) == len(left_out)
    assert answers[0].state == pausing.PAUSED


def test_the_answer_names_the_first_packet_that_is_left_out() -> None:
    scenario, call_id = a_call()
    answers: list[Answer] = []

    result = play(scenario, orders={at(6): pause({"sip_call_id": call_id}, answers, 2 * SECOND)})

    (call,) = answers[0].calls
    (report,) = result.reports
    (told,) = report["details"]["pauses"]
    promised = {(s["ssrc"], s["first_dropped"]["at"], s["first_dropped"]["sequence"]) for s in call["streams"]}
    happened = {(s["ssrc"], s["first_at"], s["first_sequence"]) for s in told["streams"]}
    assert promised == happened
    assert len(promised) == 2
    for stream in call["streams"]:
        assert stream["first_dropped"]["sample_rate"] == 8000
        behind_answer = moment(stream["first_dropped"]["at"]) - moment(report["answered_at"])
        assert abs(stream["first_dropped"]["sample"] - behind_answer * 8) <= 8


def test_a_gap_of_its_true_length_is_in_the_recording() -> None:
    scenario, call_id = a_call()

    result = play(scenario, orders={at(6): pause({"sip_call_id": call_id}), at(8): resume()})

    (report,) = result.reports
    gaps = [json.loads(one.body) for one in result.of_kind(report, record.GAP)]
    assert {gap["reason"] for gap in gaps} == {"paused"}
    assert len(gaps) == 2
    for gap in gaps:
        assert 0 <= gap["from_ns"] - (at(6) - GUARD) < 20 * MS
        assert 0 < at(8) + GUARD - gap["to_ns"] <= 20 * MS
    events = [json.loads(one.body)["event"] for one in result.of_kind(report, record.EVENT)]
    assert events == ["paused", "resumed"]


def test_what_is_written_already_stays_and_the_answer_says_so() -> None:
    scenario, call_id = a_call(20.0)
    answers: list[Answer] = []

    result = play(scenario, orders={at(14): pause({"sip_call_id": call_id}, answers, 12 * SECOND)})

    done = answers[0].pause
    assert done is not None
    assert done.incomplete_at > at(2)
    kept = within(stored_at(result), at(2) - GUARD, at(22))
    assert kept
    assert max(kept) <= done.incomplete_at
    assert result.reports[0]["details"]["pauses"][0]["incomplete_until"]


def test_nothing_matches_is_no_success() -> None:
    scenario, _ = a_call()
    answers: list[Answer] = []

    result = play(scenario, orders={at(6): pause({"sip_call_id": "somebody-elses"}, answers)})

    assert answers[0].state == pausing.NO_CALL
    assert len(stored_at(result)) == len(sent_at(scenario))


def test_an_armed_pause_shuts_the_call_when_it_appears() -> None:
    scenario = Scenario("two")
    alice, bob = basic.pair(scenario)
    for begin in (0.0, 6.0):
        dialog = scenario.dialog(alice.moved(alice.rtp_port + round(begin), alice.ip), bob)
        answered = dialog.set_up(begin)
        scenario.talk(dialog.call, alice.moved(alice.rtp_port + round(begin), alice.ip), bob, answered + 0.01, 4.0)
        dialog.bye(answered + 4.1)
    second = scenario.truth.calls[1].call_ids[0]
    answers: list[Answer] = []

    result = play(scenario, orders={at(5): pause({"sip_call_id": second}, answers, wait_ns=5 * SECOND)})

    assert answers[0].state == pausing.ARMED
    assert not within(stored_at(result), at(6), at(20))
    assert result.report(second)["outcome"] == "paused-throughout"


def test_an_armed_pause_that_no_call_came_for_ends() -> None:
    scenario, _ = a_call()

    result = play(scenario, orders={at(2): pause({"sip_call_id": "never"}, wait_ns=3 * SECOND)})

    (known,) = result.pipeline.pauses._pauses.values() or [None]
    assert known is None or known.ended_by == "no call appeared"
    assert len(stored_at(result)) == len(sent_at(scenario))


@pytest.mark.parametrize(("word", "is_paused"), [("10*", True), ("1002", True), ("1001", False), ("85*", False)])
def test_a_call_is_known_by_whom_it_goes_to(word: str, is_paused: bool) -> None:
    scenario, _ = a_call()  # 1001 calls 1002

    result = play(scenario, orders={at(-1): pause({"called": word}, scope="agent")})

    assert (not stored_at(result)) == is_paused


def test_several_calls_match_and_none_is_paused_unless_all_were_meant() -> None:
    scenario = Scenario("two at once")
    alice, bob = basic.pair(scenario)
    for port in (0, 10):
        here, there = alice.moved(alice.rtp_port + port, alice.ip), bob.moved(bob.rtp_port + port, bob.ip)
        dialog = scenario.dialog(here, there)
        answered = dialog.set_up(0.0 + port / 100)
        scenario.talk(dialog.call, here, there, answered + 0.01, 6.0)
        dialog.bye(answered + 6.1)
    answers: list[Answer] = []
    select = {"extension": alice.user}

    refused = play(scenario, orders={at(3): pause(select, answers)})
    done = play(scenario, orders={at(3): pause(select, answers, several=True)})

    assert (answers[0].state, len(answers[0].calls)) == (pausing.SEVERAL, 2)
    assert len(stored_at(refused)) == len(sent_at(scenario))
    assert answers[1].state == pausing.PAUSED
    assert answers[1].pause is not None
    assert answers[1].pause.ambiguous
    assert not within(stored_at(done), at(3), at(10))


@pytest.mark.parametrize(
    ("make", "last_s"),
    [
        (changes.port_moves, 4.3),
        (lambda: changes.port_moves("UPDATE"), 4.3),
        (changes.codec_changes, 4.3),
        (changes.hold, 6.5),
        (changes.ssrc_changes, 4.3),
        (changes.payload_type_changes, 4.3),
        (transfers.blind_transfer, 60),
        (transfers.attended_transfer, 60),
        (lambda: transfers.b2bua("none"), 60),
        (lambda: transfers.b2bua("session-id"), 60),
    ],
    ids=["port", "port by UPDATE", "codec", "hold", "SSRC", "payload type", "blind", "attended", "b2bua", "session-id"],
)
def test_a_pause_stays_shut_whatever_the_media_does(make: Callable[[], Scenario], last_s: float) -> None:
    scenario = make()
    first = scenario.truth.calls[0].call_ids[0]

    result = play(scenario, orders={at(1.0): pause({"sip_call_id": first})})

    call = result.report(first)
    recordings = [call["id"], *call["details"]["related"]]
    stored = [one.at_ns for name in recordings for one in result.records.get(name, []) if one.kind == record.RTP]
    assert not within(stored, at(1.0) - GUARD, at(last_s))


def test_a_pause_while_it_rings_holds_from_the_first_packet_on() -> None:
    scenario, call_id = a_call()

    result = play(scenario, orders={at(0.05): pause({"sip_call_id": call_id}), at(5): resume()})

    assert not within(stored_at(result), at(0), at(5) + GUARD)
    assert within(stored_at(result), at(5) + GUARD, at(11))
    assert result.reports[0]["outcome"] == "recorded"


def test_no_score_is_told_of_what_is_not_stored() -> None:
    scenario, call_id = a_call()

    (paused,) = play(scenario, orders={at(0.05): pause({"sip_call_id": call_id})}).reports
    (heard,) = play(scenario).reports

    assert [stream["mos"] for stream in paused["streams"]] == [None, None]
    assert all(stream["mos"] > 4 for stream in heard["streams"])


def test_one_party_is_paused_and_the_other_is_not() -> None:
    scenario, call_id = a_call()

    result = play(scenario, orders={at(6): pause({"sip_call_id": call_id}, scope="party", party="caller")})

    (report,) = result.reports
    dropped = {stream["party"]: stream["dropped"].get("paused", 0) for stream in report["streams"]}
    assert dropped["caller"] > 0
    assert dropped["callee"] == 0


def test_a_call_opens_only_when_no_pause_lives() -> None:
    scenario, call_id = a_call()
    one, other = (
        pause({"sip_call_id": call_id}, id="p1", external_id="a"),
        pause({"sip_call_id": call_id}, id="p2", external_id="b"),
    )

    result = play(scenario, orders={at(3): one, at(4): other, at(5): resume("p1"), at(7): resume("p2")})

    assert not within(stored_at(result), at(3) - GUARD, at(7) + GUARD)
    assert within(stored_at(result), at(7) + GUARD, at(9))


def test_the_same_request_twice_is_one_pause() -> None:
    scenario, call_id = a_call()
    answers: list[Answer] = []
    select = {"sip_call_id": call_id}

    result = play(
        scenario,
        orders={at(3): pause(select, answers, id="p1"), at(4): pause(select, answers, id="p2"), at(5): resume("p1")},
    )

    assert [answer.state for answer in answers] == [pausing.PAUSED, pausing.ALREADY]
    assert within(stored_at(result), at(5) + GUARD, at(9))


@pytest.mark.parametrize("policy", ["stay", "resume"])
def test_a_lease_ends_as_its_policy_says(policy: Any) -> None:
    scenario, call_id = a_call()
    order = pause({"sip_call_id": call_id}, lease_ns=2 * SECOND, at_lease_end=policy)

    result = play(scenario, orders={at(3): order})

    assert not within(stored_at(result), at(3) - GUARD, at(5))
    later = within(stored_at(result), at(6), at(11))
    (told,) = result.reports[0]["details"]["pauses"]
    if policy == "stay":
        assert not later
        assert told["overdue"]
        assert told["ended_by"] == "call ended"
    else:
        assert later
        assert told["ended_by"] == "lease ran out"


def test_media_that_comes_late_does_not_come_back() -> None:
    """A network that stops for a second during the pause, and delivers behind it what was said in it."""
    scenario, call_id = a_call()
    frames = []
    begin, end = at(6), at(8) + GUARD
    for at_ns, frame in scenario.frames():
        is_voice = frame[23] == 17 and frame[42] & 0xC0 == 0x80
        late = is_voice and end - SECOND <= at_ns < end
        frames.append((at_ns + SECOND + 100 * MS if late else at_ns, frame, late))
    frames.sort(key=lambda one: one[0])
    result = play_frames(
        [(at_ns, frame) for at_ns, frame, _ in frames],
        orders={begin: pause({"sip_call_id": call_id}), at(8): resume()},
    )

    said_inside = {frame[42:] for _, frame, late in frames if late}
    stored = {one.body for records in result.records.values() for one in records if one.kind == record.RTP}
    assert said_inside
    assert not said_inside & stored
    assert within(stored_at(result), end, at(11))


def test_digits_close_every_leg_around_them() -> None:
    scenario = digits.telephone_events("12")

    result = play(scenario)

    (report,) = result.reports
    answered = scenario.truth.calls[0].answered_at_ns
    assert answered is not None
    keys = [answered + 10 * MS + 1000 * MS, answered + 10 * MS + 1500 * MS]
    begin, end = keys[0] - 100 * MS, keys[1] + 600 * MS
    assert not within(stored_at(result), begin, end)
    assert within(stored_at(result), at(0), begin - 100 * MS)
    assert report["details"]["digits"] == 2
    assert {stream["party"] for stream in report["streams"] if stream["dropped"].get("muted")} == {"caller", "callee"}


@pytest.mark.parametrize("form", ["dtmf-relay", "dtmf", "kpml"])
def test_digits_in_sip_close_every_leg_around_them(form: str) -> None:
    scenario = digits.in_sip(form)

    result = play(scenario)

    (report,) = result.reports
    assert report["details"]["digits"] == 3
    assert {stream["party"] for stream in report["streams"] if stream["dropped"].get("muted")} == {"caller", "callee"}


def test_audio_around_digits_stays_where_the_policy_says_so() -> None:
    scenario = digits.telephone_events("12")

    result = play(scenario, Settings(pause=PauseSettings(digit_policy="keep")))

    (report,) = result.reports
    assert not [stream for stream in report["streams"] if stream["dropped"].get("muted")]
    assert sum(stream["dropped"].get("digits", 0) for stream in report["streams"]) > 0


def test_a_card_number_that_is_keyed_pauses_the_call() -> None:
    scenario = digits.telephone_events("411111")

    result = play(scenario)

    (report,) = result.reports
    (told,) = report["details"]["pauses"]
    assert told["trigger"] == "digits"
    answered = scenario.truth.calls[0].answered_at_ns
    assert answered is not None
    assert not within(stored_at(result), answered + 1010 * MS - 120 * MS, at(60))


def test_five_digits_do_not_pause_a_call() -> None:
    result = play(digits.telephone_events("41111"))

    assert result.reports[0]["details"]["pauses"] == []


def test_every_packet_is_stored_or_left_out_for_a_reason() -> None:
    scenario, call_id = a_call()

    result = play(scenario, orders={at(6): pause({"sip_call_id": call_id}), at(8): resume()})

    for stream in result.reports[0]["streams"]:
        assert stream["stored"] + sum(stream["dropped"].values()) == stream["packets"]


def test_redundancy_does_not_bring_back_what_was_paused() -> None:
    scenario, call_id = a_call_with_redundancy()

    result = play(scenario, orders={at(3): pause({"sip_call_id": call_id}), at(5): resume()})

    end = at(5) + GUARD
    stored = sorted(within(stored_at(result), at(3) - GUARD, at(12)))
    assert stored
    assert stored[0] >= end + 2 * SECOND - 40 * MS


def a_call_with_redundancy() -> tuple[Scenario, str]:
    """RFC 2198 whose second block is two seconds old."""
    scenario = Scenario("redundancy")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    lines = b"m=audio %d RTP/AVP 121 0\r\na=rtpmap:121 red/8000\r\na=fmtp:121 0/0\r\n"
    offer, answer = (sdp(who.ip, who.rtp_port).partition(b"m=")[0] + lines % who.rtp_port for who in (alice, bob))
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    for number in range(500):
        ticks = 160 * number
        block = bytes([0x80 | 0]) + ((16_000 << 10) | 160).to_bytes(3, "big")
        payload = block + bytes([0]) + bytes([number % 256]) * 320
        header = b"\x80" + bytes([121]) + number.to_bytes(2, "big") + (20_000 + ticks).to_bytes(4, "big")
        packet = header + b"\x00\x00\x12\x34" + payload
        scenario.datagram(answered + 0.02 * number, (alice.ip, alice.rtp_port), (bob.ip, bob.rtp_port), packet)
    dialog.bye(answered + 10.1)
    return scenario, dialog.call.call_ids[0]


def test_a_call_that_is_paused_throughout_keeps_its_signalling_and_says_why() -> None:
    scenario, call_id = a_call()

    result = play(scenario, orders={at(0.05): pause({"sip_call_id": call_id})})

    (report,) = result.reports
    assert report["outcome"] == "paused-throughout"
    assert not stored_at(result)
    assert len(result.of_kind(report, record.SIP)) == report["details"]["sip_messages"]
    assert [json.loads(one.body)["event"] for one in result.of_kind(report, record.EVENT)] == ["paused", "resumed"]
    assert len(result.of_kind(report, record.GAP)) == 2


@pytest.mark.parametrize("asked_s", [0.05, 0.2, 1.0])
def test_a_pause_on_the_other_leg_of_a_b2bua_outlives_its_lease(asked_s: float) -> None:
    """The leg becomes part of the first one's call; the pause stays on it."""
    scenario = transfers.b2bua("none")
    second = scenario.truth.calls[0].call_ids[1]

    result = play(scenario, orders={at(asked_s): pause({"sip_call_id": second}, lease_ns=SECOND, wait_ns=SECOND)})

    (told,) = result.report(second)["details"]["pauses"]
    assert told["overdue"] or told["ended_by"] == "call ended"
    assert not within(stored_at(result), at(asked_s + 0.5), at(60))


def test_a_pause_ends_when_the_last_of_its_calls_does() -> None:
    """Of two related calls the one that was named ends first."""
    book = PauseBook()
    pipeline = Pipeline()
    first, other = (new_call(session_of(name)) for name in ("one", "two"))
    first.related, other.related = [other.id], [first.id]
    pipeline.book.calls |= {first.id: first, other.id: other}
    made = book.put(Pause("p", "api", "x", 1, 1, 1, 9 * SECOND, 9 * SECOND, calls=(first.id,)))
    first.closed = True

    book.call_closed(first, pipeline.book.calls, 2 * SECOND, 2 * SECOND)
    lives = book.is_paused(other)
    other.closed = True
    book.call_closed(other, pipeline.book.calls, 3 * SECOND, 3 * SECOND)

    assert made.is_live
    assert lives
    assert not book.is_paused(other)


def session_of(call_id: str) -> Session:
    nobody = NameAddr("", "sip:nobody@example.net", "t")
    return Session(call_id, nobody, nobody, "", 1, 1, (0, 0, 0, 0), "udp")


def test_a_pause_asked_again_gets_the_later_lease() -> None:
    scenario, call_id = a_call()
    answers: list[Answer] = []
    orders = {
        at(3): pause({"sip_call_id": call_id}, answers, lease_ns=2 * SECOND, at_lease_end="resume"),
        at(4): pause({"sip_call_id": call_id}, answers, id="p2", lease_ns=4 * SECOND, at_lease_end="resume"),
    }

    result = play(scenario, orders=orders)

    assert answers[1].state == pausing.ALREADY
    assert not within(stored_at(result), at(3) - GUARD, at(8))
    assert within(stored_at(result), at(8.1), at(11))
