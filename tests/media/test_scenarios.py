"""Every ready-made scenario through the pipeline, held against its truth."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

import pytest
from builders import CallTruth, Scenario, StreamTruth
from building.playing import Result, play
from scenarios.catalogue import ALL

from vittne.capture.columns import SECOND
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Settings
from vittne.capture.times import rfc3339

SOON = Settings(media_silence_ns=30 * SECOND)  # else nobody would wait for the end of a call without BYE
SETTINGS = {
    "session_timer": Settings(),
    "digits_get_another_number": Settings(pause=PauseSettings(auto_digits=0)),  # else they pause the call
}
END_REASONS = {
    "bye": ("bye-caller", "bye-callee"),
    "rejected": ("refused-404", "refused-486", "refused-503"),
    "unanswered": ("capture-end", "no-answer-seen"),
}
HOPS_NS = 3_000_000  # a message is heard when its last segment or fragment is, or behind a proxy


def user(uri: str) -> str:
    return uri.partition(":")[2].partition("@")[0]


def moment(text: str | None) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1e6) * 1000 if text else 0


def stream_key(stream: dict[str, Any]) -> tuple[str, str, str]:
    return stream["ssrc"], stream["source"], stream["destination"]


def truth_key(stream: StreamTruth) -> tuple[str, str, str]:
    return f"{stream.ssrc:08X}", stream.source, stream.destination


def check_call(call: CallTruth, report: dict[str, Any]) -> None:
    assert sorted(report["call_ids"]) == sorted(call.call_ids)
    assert (user(report["caller"]), user(report["callee"])) == (call.caller, call.callee)
    assert {user(party["uri"]) for party in report["parties"]} == set(call.parties)
    assert report["end_reason"] in END_REASONS.get(call.end_reason, (call.end_reason,))
    if call.invited_at_ns is not None:
        assert abs(moment(report["started_at"]) - call.invited_at_ns) <= HOPS_NS
    if call.answered_at_ns is None:
        assert (report["answered_at"], report["outcome"]) == (None, "unanswered")
        return
    assert abs(moment(report["answered_at"]) - call.answered_at_ns) <= HOPS_NS
    assert call.ended_at_ns is not None
    assert abs(moment(report["ended_at"]) - call.ended_at_ns) <= HOPS_NS
    assert (report["outcome"], report["outcome_reasons"]) == (call.outcome, call.outcome_reasons)


def check_stream(truth: StreamTruth, stream: dict[str, Any]) -> None:
    counted = ("packets", "lost", "reordered", "duplicates")
    assert {name: stream[name] for name in counted} == {name: getattr(truth, name) for name in counted}
    assert (stream["first_at"], stream["last_at"]) == (rfc3339(truth.first_at_ns), rfc3339(truth.last_at_ns))
    assert stream["clock_rate"] == truth.clock_rate
    if not truth.foreign:
        assert stream["party"] == truth.party
    if truth.payload_types != {101}:  # nothing but keys
        assert (stream["codec"].upper(), stream["payload_type"]) == (truth.codec.upper(), truth.payload_type)
    if truth.kind == "audio" and truth.keys != "dtls":
        assert set(stream["dropped"]) <= {"digits", "muted"}
        assert stream["stored"] + sum(stream["dropped"].values()) == len(truth.arrivals)
    else:
        assert stream["stored"] == 0


def check(scenario: Scenario, result: Result) -> None:
    truth = scenario.truth
    assert len(result.reports) == len(truth.calls)
    for call in truth.calls:
        report = result.report(call.call_ids[0])
        check_call(call, report)
        streams = {stream_key(stream): stream for stream in report["streams"]}
        assert set(streams) == {truth_key(stream) for stream in call.streams}
        for stream in call.streams:
            check_stream(stream, streams[truth_key(stream)])
    assert {stream_key(s) for s in result.unsignalled} == {truth_key(s) for s in truth.strays}


def without_id(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "id"}


@cache
def played(name: str) -> tuple[Scenario, Result]:
    scenario = ALL[name]()
    return scenario, play(scenario, SETTINGS.get(name, SOON))


@pytest.mark.parametrize("name", ALL)
def test_a_scenario_is_told_as_it_was(name: str) -> None:
    scenario, result = played(name)

    check(scenario, result)


@pytest.mark.parametrize("name", ALL)
def test_one_commit_at_the_end_gives_what_many_give(name: str) -> None:
    scenario, result = played(name)

    at_once = play(scenario, SETTINGS.get(name, SOON), at_once=True)

    assert result.pipeline.outcomes == at_once.pipeline.outcomes
    for report in result.reports:
        other = at_once.report(report["call_ids"][0])
        assert without_id(report) == without_id(other)
        assert result.rtp(report) == at_once.rtp(other)


@pytest.mark.parametrize("name", ALL)
def test_every_answered_dialog_has_one_outcome_and_the_sums_agree(name: str) -> None:
    _, result = played(name)

    dialogs = [dialog for report in result.reports for dialog in report["details"]["dialogs"]]
    answered = [dialog for dialog in dialogs if dialog["answered_at"]]
    assert sum(result.pipeline.outcomes.values()) == len(result.reports)
    assert sum(result.pipeline.dialog_outcomes.values()) == len(answered)
    assert all(dialog["outcome"] not in ("", "unanswered") for dialog in answered)
    for report in result.reports:
        assert {d["call_id"] for d in report["details"]["dialogs"]} == set(report["call_ids"])
