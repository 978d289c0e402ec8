"""Which calls are recorded, and from when: rules and gates, through the pipeline."""

from __future__ import annotations

import ipaddress
import json
import pickle
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from builders import START_NS, Scenario, sdp
from building.playing import NEVER, Order, Result, blocks_of, play, play_frames
from rig.desk import two_calls
from scenarios import basic, digits, noise, transfers
from scenarios.catalogue import ALL

from vittne.capture import gating, pausing, record
from vittne.capture.assemble import Packets
from vittne.capture.calls import Link, merge
from vittne.capture.columns import SECOND
from vittne.capture.conditions import Condition, HeaderIs
from vittne.capture.gates import Decided, Decision, Keeping
from vittne.capture.gating import gate
from vittne.capture.pause import PauseSettings
from vittne.capture.pausing import Answer, PauseOrder
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.recordrules import GateLimits, Keys, RecordRule, RecordRules
from vittne.capture.rules import Rule

CONSENT = RecordRule("ask first", gate="after-consent")
OBJECTION = RecordRule("may object", gate="discard-on-objection")
ON_DEMAND = RecordRule("on demand", then="on-demand")
AUDIO = 64  # bytes of one packet's payload that are looked for


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND)


def ruled(*rules: RecordRule, limits: GateLimits | None = None, sip: tuple[Rule, ...] = (), **more: Any) -> Settings:
    headers = tuple(rule.when.header for rule in rules if rule.when.header is not None)
    recording = RecordRules(rules, key=b"k" * 32, version="v", headers=headers, limits=limits or GateLimits(), **more)
    return Settings(recording=recording, rules=sip, pause=PauseSettings(auto_digits=0))


def a_call(seconds: float = 12.0, keys: tuple[tuple[float, str], ...] = ()) -> Scenario:
    scenario = Scenario("ruled")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, seconds, call=dialog.call, keys=list(keys))
    scenario.voice(bob, alice, answered + 0.02, seconds, call=dialog.call)
    dialog.bye(answered + seconds + 0.1)
    return scenario


def decide(decision: Decision, answers: list[Answer] | None = None) -> Order:
    def order(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        (call,) = pipeline.book.calls.values()
        done = gate(pipeline, {"recording": call.id}, decision, "api", "tester", at_ns, mono_ns)
        if answers is not None:
            answers.append(done)

    return order


def stored_at(result: Result) -> list[int]:
    return [one.at_ns for records in result.records.values() for one in records if one.kind == record.RTP]


def only(result: Result) -> dict[str, Any]:
    (report,) = result.reports
    return report


def outcome(result: Result) -> tuple[str, list[str]]:
    report = only(result)
    return report["outcome"], report["outcome_reasons"]


def test_without_rules_everything_is_recorded() -> None:
    report = only(play(a_call()))

    assert (report["outcome"], report["details"]["recording_rule"]) == ("recorded", None)


def test_an_excluded_call_leaves_no_media_and_says_which_rule() -> None:
    rule = RecordRule("works council", Condition(callees=("1002",)), "exclude")

    result = play(a_call(), ruled(rule))

    assert outcome(result) == ("excluded-by-rule", ["works council"])
    assert not result.records
    report = only(result)
    assert [dialog["outcome"] for dialog in report["details"]["dialogs"]] == ["excluded-by-rule"]
    assert report["details"]["recording_rule"]["rule"] == "works council"
    assert all(stream["stored"] == 0 for stream in report["streams"])


def test_the_first_rule_that_fits_decides() -> None:
    rules = (RecordRule("sales", Condition(callers=("1001",))), RecordRule("nobody else", then="exclude"))

    assert outcome(play(a_call(), ruled(*rules))) == ("recorded", [])
    assert outcome(play(a_call(), ruled(*rules[::-1]))) == ("excluded-by-rule", ["nobody else"])


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        (Condition(callers=("10*",)), True),
        (Condition(callers=("1000..1099",)), True),
        (Condition(callers=("1002",)), False),
        (Condition(numbers=("1002",)), True),
        (Condition(networks=(ipaddress.ip_network("10.0.0.0/24"),)), True),
        (Condition(networks=(ipaddress.ip_network("10.7.0.0/24"),)), False),
        (Condition(header=HeaderIs("User-Agent", "*no such thing*")), False),
        (Condition(header=HeaderIs("Call-ID", "*")), True),
        (Condition(directions=("internal",)), True),
        (Condition(directions=("inbound", "outbound")), False),
        (Condition(codecs=("pcmu",)), True),
        (Condition(codecs=("opus",)), False),
        (Condition(sites=("hamburg",)), True),
        (Condition(domains=("10.0.0.2",)), True),
        (Condition(agents=("*",)), False),
        (Condition(callers=("1001",), codecs=("opus",)), False),
    ],
)
def test_what_a_rule_may_look_at(when: Condition, fits: bool) -> None:
    settings = ruled(RecordRule("r", when, "exclude"), own=("1001..1009",), site="hamburg")

    assert (outcome(play(a_call(2.0), settings))[0] == "excluded-by-rule") is fits


def test_percent_gives_the_same_answer_on_both_legs_and_after_a_restart() -> None:
    rule = RecordRule("a third", then="percent", percent=33.0)
    rules = RecordRules((rule,), key=b"k" * 32)
    chosen = [rules.is_chosen(rule, f"{n}@host") for n in range(3000)]

    assert 900 < sum(chosen) < 1100
    assert chosen == [RecordRules((rule,), key=b"k" * 32).is_chosen(rule, f"{n}@host") for n in range(3000)]
    assert chosen != [RecordRules((rule,), key=b"o" * 32).is_chosen(rule, f"{n}@host") for n in range(3000)]
    for percent, wanted in ((0.0, "excluded-by-rule"), (100.0, "recorded")):
        report = only(play(transfers.b2bua(), ruled(replace(rule, percent=percent))))
        assert {dialog["outcome"] for dialog in report["details"]["dialogs"]} == {wanted}


def test_a_transfer_is_ruled_on_anew_from_its_message_on() -> None:
    scenario = transfers.blind_transfer()
    whole = stored_at(play(transfers.blind_transfer()))

    result = play(scenario, ruled(RecordRule("carol", Condition(callees=("1003",)), "exclude")))

    times = stored_at(result)
    assert times
    assert len(times) < len(whole)
    assert max(times) < max(whole)
    assert outcome(result) == ("partial", ["excluded-by-rule"])
    rulings = only(result)["details"]["recording_rule"]["rulings"]
    assert [ruling["recorded"] for ruling in rulings] == [True, False]
    (gap,) = only(result)["details"]["gaps"]
    assert gap == {"from": rulings[1]["from"], "to": only(result)["ended_at"], "reason": "excluded-by-rule"}
    (written,) = result.of_kind(only(result), record.GAP)
    assert json.loads(written.body)["reason"] == "excluded-by-rule"


def test_one_commit_rules_as_many_do() -> None:
    settings = ruled(RecordRule("carol", Condition(callees=("1003",)), "exclude"))

    many, once = (play(transfers.blind_transfer(), settings, at_once=at_once) for at_once in (False, True))

    assert sorted(stored_at(many)) == sorted(stored_at(once))


def test_every_answered_dialog_of_every_scenario_has_one_outcome_under_every_rule() -> None:
    kinds = (RecordRule("x", then="exclude"), CONSENT, ON_DEMAND, RecordRule("p", then="percent", percent=50.0))
    for name in (
        "basic_call",
        "forked",
        "b2bua_plain",
        "attended_transfer",
        "no_media",
        "srtp_sdes_80",
        "hold_sendonly",
    ):
        answered = Counter(
            d["answered_at"] is not None for r in play(ALL[name]()).reports for d in r["details"]["dialogs"]
        )
        for rule in kinds:
            result = play(ALL[name](), ruled(rule))
            assert sum(result.pipeline.dialog_outcomes.values()) == answered[True], (name, rule.name)
            assert not set(result.pipeline.dialog_outcomes) & {"unanswered", ""}


# Gates


def test_nothing_is_stored_before_somebody_agreed_and_all_of_it_afterwards() -> None:
    open_gate, shut = play(a_call(), ruled(CONSENT), orders={at(8): decide("agreed")}), play(a_call(), ruled(CONSENT))

    assert sorted(stored_at(open_gate)) == sorted(stored_at(play(a_call())))
    assert outcome(open_gate) == ("recorded", [])
    assert all(stream["stored"] and not stream["dropped"] for stream in only(open_gate)["streams"])
    (decision,) = only(open_gate)["details"]["recording_rule"]["decisions"]
    assert (decision["decision"], decision["trigger"], decision["by"]) == ("agreed", "api", "tester")
    assert outcome(shut) == ("discarded-by-policy", ["not-opened"])
    assert not shut.records
    assert not shut.pipeline.recording.buffer.used_bytes


def test_a_gate_keeps_no_record_of_what_waits_until_it_opens() -> None:
    scenario, seen = a_call(), []

    def look(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        (call,) = pipeline.book.calls.values()
        seen.append((call.opened, pipeline.recording.buffer.used_bytes > 0, bool(pickle.dumps(pipeline))))

    play(scenario, ruled(CONSENT), orders={at(11): look})

    assert seen == [(False, True, True)]


def test_a_snapshot_holds_none_of_the_audio_that_waits() -> None:
    scenario, looked = a_call(), []
    payloads = [frame[54 : 54 + AUDIO] for _, frame in scenario.frames() if len(frame) == 214]

    def look(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        snapshot = pickle.dumps(pipeline)
        looked.append(any(payload in snapshot for payload in payloads[::7]))

    play(scenario, ruled(CONSENT), orders={at(11): look})

    assert len(payloads) > 1000
    assert looked == [False]


def test_who_refuses_is_not_recorded_and_a_later_yes_changes_nothing() -> None:
    answers: list[Answer] = []

    result = play(a_call(), ruled(CONSENT), orders={at(7): decide("refused"), at(9): decide("agreed", answers)})

    assert outcome(result) == ("discarded-by-policy", ["refused"])
    assert not result.records
    assert [answer.state for answer in answers] == [gating.SHUT]


def test_who_objects_in_the_middle_has_all_of_it_erased() -> None:
    result = play(a_call(20.0), ruled(OBJECTION), orders={at(12): decide("refused")})

    assert result.erased == [only(result)["id"]]
    assert not result.records
    assert outcome(result) == ("discarded-by-policy", ["refused"])
    assert {stream["stored"] for stream in only(result)["streams"]} == {0}


def test_who_does_not_object_is_recorded() -> None:
    assert outcome(play(a_call(), ruled(OBJECTION))) == ("recorded", [])


def test_a_call_on_demand_is_kept_from_its_beginning_if_somebody_asks() -> None:
    asked = play(a_call(), ruled(ON_DEMAND), orders={at(11): decide("keep")})

    assert sorted(stored_at(asked)) == sorted(stored_at(play(a_call())))
    assert outcome(play(a_call(), ruled(ON_DEMAND))) == ("discarded-by-policy", ["not-opened"])
    assert outcome(play(a_call(), ruled(ON_DEMAND), orders={at(5): decide("agreed")}))[0] == "discarded-by-policy"


def test_an_announcement_opens_its_gate_and_no_other() -> None:
    announced = RecordRule("announced", gate="after-announcement")

    assert outcome(play(a_call(), ruled(announced), orders={at(6): decide("announced")})) == ("recorded", [])
    assert outcome(play(a_call(), ruled(CONSENT), orders={at(6): decide("announced")}))[0] == "discarded-by-policy"


def test_what_was_said_before_a_yes_can_be_left_out() -> None:
    result = play(a_call(), ruled(replace(CONSENT, keep_before=False)), orders={at(8): decide("agreed")})

    times = stored_at(result)
    assert min(times) >= at(8)
    assert len(times) > 350
    assert all(stream["dropped"]["before-gate"] > 300 for stream in only(result)["streams"])
    assert [gap["reason"] for gap in only(result)["details"]["gaps"]] == ["before-gate"]


def test_a_yes_after_the_last_word_is_in_time_until_the_call_is_written() -> None:
    scenario = a_call()
    basic.time_goes_on(scenario, 13.0, 14.0)

    result = play(scenario, ruled(CONSENT), orders={at(13): decide("agreed")})

    assert outcome(result) == ("recorded", [])


@pytest.mark.parametrize(("at_limit", "wanted"), [("discard", "discarded-by-policy"), ("keep", "recorded")])
def test_a_call_that_fills_its_memory_is_decided_by_its_rule(at_limit: Any, wanted: str) -> None:
    limits = GateLimits(call_bytes=100_000, total_bytes=1 << 20)

    result = play(a_call(20.0), ruled(replace(CONSENT, at_limit=at_limit), limits=limits))

    assert outcome(result)[0] == wanted
    assert bool(result.records) is (at_limit == "keep")
    assert len(stored_at(result)) == (len(stored_at(play(a_call(20.0)))) if at_limit == "keep" else 0)
    assert result.pipeline.counters["gate: no more memory"]
    assert not result.pipeline.recording.buffer.used_bytes


def test_memory_of_all_calls_has_a_limit_too() -> None:
    scenario = basic.many_calls(60)

    result = play(scenario, ruled(CONSENT, limits=GateLimits(total_bytes=1 << 20)))

    assert result.pipeline.recording.buffer.most_bytes <= 1 << 20
    assert {report["outcome"] for report in result.reports} == {"discarded-by-policy"}
    assert "limit" in {reason for report in result.reports for reason in report["outcome_reasons"]}


def test_a_key_of_the_caller_within_its_time_is_a_yes_and_is_masked() -> None:
    rule = replace(CONSENT, keys=Keys("1", "2", "caller", 5 * SECOND))

    agreed, refused, late, wrong = (
        play(a_call(keys=((when, key),)), ruled(rule)) for when, key in ((2.0, "1"), (2.0, "2"), (8.0, "1"), (2.0, "3"))
    )

    assert outcome(agreed) == ("recorded", [])
    assert outcome(refused) == ("discarded-by-policy", ["refused"])
    assert outcome(late) == outcome(wrong) == ("discarded-by-policy", ["not-opened"])
    assert all(stream["dropped"].get("digits", 1) for stream in only(agreed)["streams"])
    told = only(agreed)["details"]["recording_rule"]["decisions"]
    assert [(one["decision"], one["trigger"]) for one in told] == [("agreed", "digits")]


def test_a_key_of_the_wrong_side_decides_nothing() -> None:
    rule = replace(CONSENT, keys=Keys("1", "2", "callee", 5 * SECOND))

    assert outcome(play(a_call(keys=((2.0, "1"),)), ruled(rule)))[0] == "discarded-by-policy"


def test_a_key_in_sip_decides_as_well() -> None:
    rule = replace(CONSENT, keys=Keys("9", "", "either", 5 * SECOND))

    assert outcome(play(digits.in_sip(), ruled(rule))) == ("recorded", [])


@pytest.mark.parametrize(("then", "wanted"), [("agree", "recorded"), ("refuse", "discarded-by-policy")])
def test_a_rule_on_the_signalling_decides(then: Any, wanted: str) -> None:
    scenario = Scenario("consent by INFO")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 6.0)
    dialog.exchange(3.0, "INFO", headers=[("X-Consent", "given")])
    dialog.bye(answered + 6.1)
    rule = Rule("ivr", "request", then, header="X-Consent", value="given")

    assert outcome(play(scenario, ruled(CONSENT, sip=(rule,))))[0] == wanted


def test_a_worker_that_dies_takes_what_waited_along_and_the_call_says_so() -> None:
    scenario = a_call(20.0)
    result = Result(Pipeline(ruled(CONSENT)))
    pipeline = result.pipeline
    works = []
    for number, block in enumerate(blocks_of(scenario.frames(), SECOND)):
        pipeline.feed(block)
        works += pipeline.commit(pipeline.now_mono - 5 * SECOND).works
        if number == 10:
            assert pipeline.recording.buffer.used_bytes
            before = pipeline.in_hand()
            pipeline = pickle.loads(pickle.dumps(pipeline))
            assert not pipeline.recording.buffer.used_bytes
            assert before
        if number == 12:
            decide("agreed")(pipeline, pipeline.now_at, pipeline.now_mono)
    works += pipeline.commit(NEVER, final=True).works

    (report,) = [work.report for work in works if work.closed]
    assert report is not None
    assert report["outcome"] == "partial"
    assert "gate-lost" in report["outcome_reasons"]
    assert all(stream["dropped"]["gate-lost"] > 100 for stream in report["streams"])


@pytest.mark.parametrize("when", [1.0, 6.0])
def test_legs_that_are_linked_late_open_together_and_keep_their_streams_apart(when: float) -> None:
    soon = replace(ruled(CONSENT), hold_back_ns=SECOND // 10)
    plain = only(play(transfers.attended_transfer()))

    result = play(
        transfers.attended_transfer(),
        soon,
        orders={
            at(when): lambda p, a, m: [
                gate(p, {"recording": c.id}, "agreed", "api", "t", a, m) for c in p.book.calls.values()
            ]
        },
    )

    report = only(result)
    assert [s["stored"] for s in report["streams"]] == [s["stored"] for s in plain["streams"]]
    per_stream = Counter(r.stream for r in result.of_kind(report, record.RTP))
    assert per_stream == {s["number"]: s["stored"] for s in report["streams"] if s["stored"]}


def test_a_feature_code_keeps_a_call() -> None:
    code = Rule("keep it", "digits", "keep", digits="*7", users=("1001",))

    kept, by_another = (
        play(a_call(keys=((4.0, "*"), (4.5, "7"))), ruled(ON_DEMAND, sip=(rule,)))
        for rule in (code, replace(code, users=("1002",)))
    )

    assert outcome(kept) == ("recorded", [])
    assert outcome(by_another)[0] == "discarded-by-policy"


def test_early_media_that_was_stored_is_erased_when_the_answer_brings_a_rule_that_excludes() -> None:
    scenario = Scenario("private in the end")
    alice, bob = basic.pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.invite(0.0, sdp(alice.ip, alice.rtp_port))
    dialog.respond(0.1, 183, body=sdp(bob.ip, bob.rtp_port))
    scenario.talk(dialog.call, alice, bob, 0.2, 15.0)
    dialog.respond(12.0, 200, body=sdp(bob.ip, bob.rtp_port), headers=[("X-Class", "private")])
    dialog.ack(12.02)
    dialog.bye(15.3)
    rule = RecordRule("private", Condition(header=HeaderIs("X-Class", "private")), "exclude")

    result = play(scenario, ruled(rule))

    report = only(result)
    assert outcome(result) == ("excluded-by-rule", ["private"])
    assert result.records  # it had begun ...
    assert result.kept == {report["id"]: False}  # ... and goes
    assert {stream["stored"] for stream in report["streams"]} == {0}


def test_rtp_without_signalling_is_ruled_on_too() -> None:
    alone = RecordRule("an address", Condition(networks=(ipaddress.ip_network("0.0.0.0/0"),)), "exclude")
    recorded, out = (
        play(noise.unsignalled_rtp(), replace(ruled(rule), record_unsignalled=True))
        for rule in (RecordRule("other", Condition(callers=("1001",)), "exclude"), alone)
    )

    assert {report["outcome"] for report in recorded.reports} <= {"recorded", "partial"}
    assert {report["outcome"] for report in out.reports} == {"excluded-by-rule"}


def test_a_call_without_a_gate_takes_no_decision() -> None:
    answers: list[Answer] = []

    play(a_call(), ruled(RecordRule("all")), orders={at(5): decide("refused", answers)})

    assert [answer.state for answer in answers] == [gating.NOT_GATED]


def test_an_objection_while_the_first_commit_is_made_keeps_that_commit_off_the_disk() -> None:
    """Commands are done in a second thread: this one comes when the packets were chosen and are not written yet."""
    pipeline = Pipeline(ruled(OBJECTION))
    for block in blocks_of(a_call().frames(), SECOND // 10)[:60]:
        pipeline.feed(block)
    chosen = pipeline.recording.take_waiting

    def objected() -> Any:
        decide("refused")(pipeline, pipeline.now_at, pipeline.now_mono)
        return chosen()

    pipeline.recording.take_waiting = objected  # type: ignore[method-assign]
    (work,) = pipeline.commit(pipeline.now_mono - SECOND).works

    assert work.erase
    assert not any(isinstance(piece, Packets) for piece in work.records)
    assert not work.packets
    assert all(stream.stored == 0 for stream in work.call.streams.values())


def test_an_objection_while_its_call_becomes_part_of_another_holds_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are done in a second thread: this one comes right behind the moment when decisions are taken over."""
    pipeline = Pipeline(ruled(RecordRule("hotline", gate="discard-on-objection")))
    for block in blocks_of(two_calls().frames(), SECOND // 10)[:40]:
        pipeline.feed(block)
    kept, other = pipeline.book.calls.values()
    take = Keeping.take

    def taken(keeping: Keeping, *arguments: Any) -> None:
        take(keeping, *arguments)
        pipeline.recording.decide(other, Decided("refused", "api", "tester", pipeline.now_at, pipeline.now_mono))

    monkeypatch.setattr(Keeping, "take", taken)
    merge(kept, other, Link("a", "b", "test", "certain"))

    assert kept.keeping.shut_by == "refused"
    assert kept in pipeline.recording.take_decided()


@pytest.mark.parametrize("agreed_s", [16, 60])  # also when the pause is long over
@pytest.mark.parametrize("party", ["", "caller"])
def test_a_pause_that_reaches_into_what_waits_for_a_gate_keeps_it_off_the_disk(party: str, agreed_s: int) -> None:
    """What waits in locked memory was never written: a card that was said there must not be when the gate opens."""

    def pause_back(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        (call,) = pipeline.book.calls.values()
        scope: Any = "party" if party else "call"
        select = {"recording": call.id}
        made = pausing.pause(
            pipeline,
            PauseOrder("p", "api", "t", select, at_ns, mono_ns, 2 * SECOND, at_ns - 8 * SECOND, scope, party),
        )
        assert made.state == pausing.PAUSED

    def resume(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        pausing.resume(pipeline, "p", at_ns, mono_ns, "t")

    orders = {at(12): pause_back, at(13): resume, at(agreed_s): decide("agreed")}
    result = play(a_call(agreed_s + 4.0), ruled(CONSENT), orders=orders)

    report = only(result)
    by_party = {stream["number"]: stream["party"] for stream in report["streams"]}
    records = [one for some in result.records.values() for one in some if one.kind == record.RTP]
    in_pause = [one for one in records if at(4) - SECOND // 2 <= one.at_ns < at(13)]
    assert {by_party[one.stream] for one in in_pause} == ({"callee"} if party else set())
    for stream in report["streams"]:
        stored = [one for one in records if one.stream == stream["number"]]
        assert len(stored) == stream["stored"]
        assert {one.at_ns < at(3) for one in stored} == {True, False}  # before and behind the pause it is all there


def test_media_that_came_late_out_of_a_pause_is_not_released_by_a_gate() -> None:
    """The pause is asked for when its packets, and those that came late behind it, wait for the gate already."""
    begin, end = at(6), at(9)
    frames = []
    for at_ns, frame in a_call(34.0).frames():
        is_late = frame[23] == 17 and frame[42] & 0xC0 == 0x80 and end - SECOND <= at_ns < end
        frames.append((at_ns + 3 * SECOND // 2 if is_late else at_ns, frame, is_late))
    frames.sort(key=lambda one: one[0])

    def pause_back(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        (call,) = pipeline.book.calls.values()
        order = PauseOrder("p", "api", "t", {"recording": call.id}, at_ns, mono_ns, 2 * SECOND, begin)
        assert pausing.pause(pipeline, order).state == pausing.PAUSED
        pausing.resume(pipeline, "p", end, mono_ns - at_ns + end, "t")

    orders = {at(20): pause_back, at(28): decide("agreed")}
    result = play_frames([(at_ns, frame) for at_ns, frame, _ in frames], ruled(CONSENT), orders=orders)

    said_inside = {frame[42:] for _, frame, is_late in frames if is_late}
    stored = {one.body for records in result.records.values() for one in records if one.kind == record.RTP}
    assert said_inside
    assert not said_inside & stored
    times = stored_at(result)
    assert [one for one in times if one < begin - SECOND]
    assert [one for one in times if end + SECOND < one < at(12)]
    assert not [one for one in times if begin <= one < end]
