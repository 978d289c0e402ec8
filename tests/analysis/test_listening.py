"""What is heard of a call while it lasts: announcements in real audio, through a real analysis process."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from analysis.followed import Followed, follow, listening, only
from analysis.prompts import ASKS, OTHER, WELCOME, a_call, reference_in, spoken
from builders import START_NS
from building.sdp import Crypto
from scenarios import basic, network

from vittne.capture import pausing, record
from vittne.capture.columns import SECOND
from vittne.capture.conditions import Condition
from vittne.capture.pausing import PauseOrder
from vittne.capture.recordrules import PlayedBy, RecordRule

FIRST_S = 0.51  # of the voices: ten milliseconds behind the answer
NEAR_S = 0.3

AFTER = RecordRule("tell first", gate="after-announcement")
CONSENT = RecordRule("ask first", gate="after-consent")


def seconds_of(text: str) -> float:
    """Seconds from the scenario's start."""
    return datetime.fromisoformat(text).timestamp() - START_NS / SECOND


def heard(run: Followed) -> dict[str, Any]:
    found: dict[str, Any] = only(run)["heard"]
    return found


def stored_s(run: Followed) -> list[float]:
    """When the packets came that are stored, seconds from the first voice."""
    every = [one.at_ns for records in run.result.records.values() for one in records if one.kind == record.RTP]
    return sorted((at - START_NS) / SECOND - FIRST_S for at in every)


@pytest.mark.parametrize("codec", ["PCMA", "PCMU", "G722", "GSM"])
def test_an_announcement_is_heard_on_the_side_that_played_it(codec: str, tmp_path: Path) -> None:
    call = a_call(codec)
    handles = [reference_in(tmp_path, "closed", OTHER), reference_in(tmp_path, "welcome", WELCOME)]

    found = heard(follow(call.scenario, tmp_path, handles=handles))

    (played,) = found["announcements"]
    names = ("name", "language", "purpose", "elsewhere", "party", "state")
    assert [played[name] for name in names] == ["welcome", "en", "notice", False, "callee", "full"]
    assert played["reference"] == handles[1].hash
    assert seconds_of(played["begin"]) == pytest.approx(FIRST_S + call.begin_s, abs=NEAR_S)
    assert seconds_of(played["end"]) == pytest.approx(FIRST_S + call.end_s, abs=NEAR_S)
    assert played["offset_s"] == pytest.approx(call.begin_s, abs=NEAR_S)
    assert played["overlap"] < 0.1
    assert not found["lacks"]
    assert [(one["party"], one["why"]) for one in found["listened"]] == [("caller", ""), ("callee", "")]
    assert [one["seconds"] for one in found["listened"]] == pytest.approx([14.0, 14.0], abs=0.2)
    assert {one["stream"] for one in found["listened"]} == {1, 2}


def test_sealed_voices_are_listened_to_when_their_key_is_known(tmp_path: Path) -> None:
    keys = Crypto(bytes(range(30))), Crypto(bytes(range(30, 60)))
    call = a_call("PCMA", srtp=keys)

    run = follow(call.scenario, tmp_path, handles=[reference_in(tmp_path, "welcome", WELCOME)])

    assert [one["state"] for one in heard(run)["announcements"]] == ["full"]


def test_sealed_voices_without_a_key_are_told_as_such(tmp_path: Path) -> None:
    run = follow(network.encrypted_without_keys(), tmp_path)

    assert [(one["why"], one["seconds"]) for one in heard(run)["listened"]] == [("no key", 0), ("no key", 0)]


def test_who_talks_over_an_announcement_is_told(tmp_path: Path) -> None:
    call = a_call(talk_from_s=2.0 + len(spoken(WELCOME)) / 16000)

    run = follow(call.scenario, tmp_path, handles=[reference_in(tmp_path, "welcome", WELCOME)])

    (played,) = heard(run)["announcements"]
    assert played["overlap"] == pytest.approx(0.5, abs=0.2)


def test_only_the_window_is_listened_to(tmp_path: Path) -> None:
    call = a_call(begin_s=5.0)

    run = follow(
        call.scenario,
        tmp_path,
        listening(window_ns=3 * SECOND),
        [reference_in(tmp_path, "welcome", WELCOME)],
    )

    assert not heard(run)["announcements"]
    assert [one["seconds"] for one in heard(run)["listened"]] == pytest.approx([3.0, 3.0], abs=0.1)


def test_early_media_does_not_use_up_the_window_of_a_call(tmp_path: Path) -> None:
    run = follow(basic.early_media(), tmp_path, listening(window_ns=SECOND))

    callee = [one for one in heard(run)["listened"] if one["party"] == "callee"]
    assert sum(one["seconds"] for one in callee) > 1.5


def test_a_gate_that_waits_is_listened_to_beyond_the_window_and_opens_at_the_prompts_end(tmp_path: Path) -> None:
    call = a_call(begin_s=5.0)
    rule = replace(AFTER, keep_before=False)

    run = follow(
        call.scenario,
        tmp_path,
        listening(rule, window_ns=3 * SECOND),
        [reference_in(tmp_path, "welcome", WELCOME)],
    )

    report = only(run)
    (decision,) = report["details"]["recording_rule"]["decisions"]
    assert (decision["decision"], decision["trigger"], decision["by"]) == ("announced", "announcement", "welcome")
    assert report["outcome"] == "recorded"
    times = stored_s(run)
    assert times[0] == pytest.approx(call.end_s, abs=NEAR_S)
    assert times[-1] == pytest.approx(14.0, abs=0.1)


def test_what_was_said_before_the_announcement_is_kept_where_the_rule_says_so(tmp_path: Path) -> None:
    call = a_call()

    run = follow(call.scenario, tmp_path, listening(AFTER), [reference_in(tmp_path, "welcome", WELCOME)])

    assert stored_s(run)[0] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(
    ("rule", "site"),
    [(replace(AFTER, announcements=("closed",)), ""), (AFTER, "hamburg")],
    ids=["names another", "counts elsewhere"],
)
def test_an_announcement_that_does_not_count_opens_nothing(rule: RecordRule, site: str, tmp_path: Path) -> None:
    handle = replace(reference_in(tmp_path, "welcome", WELCOME), sites=("berlin",) if site else ())

    run = follow(a_call().scenario, tmp_path, listening(rule, site=site), [handle])

    assert only(run)["outcome"] == "discarded-by-policy"
    (played,) = heard(run)["announcements"]  # all the same
    assert played["elsewhere"] == bool(site)
    assert not stored_s(run)


def test_a_caller_who_plays_the_prompt_himself_opens_nothing(tmp_path: Path) -> None:
    call = a_call(played_by_caller=True)

    run = follow(call.scenario, tmp_path, listening(AFTER), [reference_in(tmp_path, "welcome", WELCOME)])

    assert only(run)["outcome"] == "discarded-by-policy"
    assert [one["party"] for one in heard(run)["announcements"]] == ["caller"]
    assert not stored_s(run)
    assert run.pipeline.counters["gate: announcement played by the other party"] == 1


@pytest.mark.parametrize(
    ("side", "own", "by_caller", "opens"),
    [
        ("ours", ("1001",), True, True),
        ("ours", ("1001",), False, False),
        ("ours", ("1002",), False, True),
        ("ours", ("1001", "1002"), True, False),
        ("caller", (), True, True),
        ("callee", (), True, False),
        ("either", (), True, True),
    ],
)
def test_the_prompt_is_played_by_our_side_to_the_other_party(
    side: PlayedBy, own: tuple[str, ...], by_caller: bool, opens: bool, tmp_path: Path
) -> None:
    settings = listening(replace(AFTER, side=side), own=own)
    handles = [reference_in(tmp_path, "welcome", WELCOME)]

    run = follow(a_call(played_by_caller=by_caller).scenario, tmp_path, settings, handles)

    assert only(run)["outcome"] == ("recorded" if opens else "discarded-by-policy")
    decided = [one["side"] for one in only(run)["details"]["recording_rule"]["decisions"]]
    assert decided == (["caller" if by_caller else "callee"] if opens else [])


def test_a_consent_prompt_that_the_caller_plays_decides_nothing(tmp_path: Path) -> None:
    after_s = 2.0 + len(spoken(ASKS)) / 8000
    keys = ((after_s + 1.0, "1"),)
    call = a_call(text=ASKS, keys=keys, keys_from_callee=True, played_by_caller=True, seconds=16.0, talk_from_s=12.0)
    handle = reference_in(tmp_path, "asks", ASKS, "consent", "1", "2")

    run = follow(call.scenario, tmp_path, listening(CONSENT), [handle])

    assert only(run)["outcome"] == "discarded-by-policy"


@pytest.mark.parametrize(
    ("key", "decision", "outcome"), [("1", "agreed", "recorded"), ("9", "refused", "discarded-by-policy")]
)
def test_a_key_after_a_consent_prompt_decides_and_is_nowhere(
    key: str, decision: str, outcome: str, tmp_path: Path
) -> None:
    after_s = 2.0 + len(spoken(ASKS)) / 8000
    call = a_call(text=ASKS, keys=((after_s + 1.0, key),), seconds=16.0, talk_from_s=12.0)
    handle = reference_in(tmp_path, "asks", ASKS, "consent", "1", "29")

    run = follow(call.scenario, tmp_path, listening(CONSENT), [handle])

    report = only(run)
    assert report["outcome"] == outcome
    (consent,) = report["heard"]["consent"]
    assert (consent["decision"], consent["reference"]) == (decision, handle.hash)
    assert seconds_of(consent["at"]) == pytest.approx(FIRST_S + after_s + 1.0, abs=0.1)
    (told,) = report["details"]["recording_rule"]["decisions"]
    assert (told["decision"], told["trigger"], told["by"]) == (decision, "consent", "asks")
    assert report["details"]["digits"] == 1
    for records in run.result.records.values():
        assert not any(one.kind == record.RTP and one.body[1] & 0x7F == 101 for one in records), "the event"
        words = b" ".join(one.body for one in records if one.kind == record.EVENT)
        assert b'"digits"' in words
        assert not re.search(rb'"(digit|key|symbol)"', words)


def test_who_objects_by_key_has_all_of_the_call_discarded(tmp_path: Path) -> None:
    after_s = 2.0 + len(spoken(ASKS)) / 8000
    call = a_call(text=ASKS, keys=((after_s + 1.0, "2"),), seconds=16.0, talk_from_s=12.0)
    handle = reference_in(tmp_path, "asks", ASKS, "consent", "1", "2")
    rule = RecordRule("may object", gate="discard-on-objection", announcements=("asks",))

    run = follow(call.scenario, tmp_path, listening(rule), [handle])

    assert (only(run)["outcome"], only(run)["outcome_reasons"]) == ("discarded-by-policy", ["refused"])
    assert [one["decision"] for one in heard(run)["consent"]] == ["refused"]


def test_the_party_that_plays_a_prompt_does_not_answer_it(tmp_path: Path) -> None:
    after_s = 2.0 + len(spoken(ASKS)) / 8000
    call = a_call(text=ASKS, keys=((after_s + 1.0, "1"),), keys_from_callee=True, seconds=16.0, talk_from_s=12.0)
    handle = reference_in(tmp_path, "asks", ASKS, "consent", "1", "2")

    run = follow(call.scenario, tmp_path, listening(CONSENT), [handle])

    assert not heard(run)["consent"]
    assert only(run)["outcome"] == "discarded-by-policy"


def pause(run: Followed, at_s: float, back_s: float = 0.0) -> None:
    """Pause all calls at a time, from back_s before on."""
    (call,) = run.pipeline.book.calls.values()
    at_ns = START_NS + round(at_s * SECOND)
    mono = run.pipeline.now_mono
    order = PauseOrder(
        "p", "api", "tester", {"recording": call.id}, at_ns, mono, 60 * SECOND, at_ns - round(back_s * SECOND)
    )
    assert pausing.pause(run.pipeline, order).state == pausing.PAUSED


@pytest.mark.parametrize(
    ("at_s", "back_s"), [(5.0, 0.0), (8.9, 4.0)], ids=["as it is played", "when it was heard already"]
)
def test_nothing_is_heard_in_a_pause(at_s: float, back_s: float, tmp_path: Path) -> None:
    run = follow(
        a_call().scenario,
        tmp_path,
        handles=[reference_in(tmp_path, "welcome", WELCOME)],
        orders={at_s: lambda run: pause(run, at_s, back_s)},
    )

    found = heard(run)
    assert not found["announcements"]
    assert all(one["why"] == "paused" for one in found["listened"])
    latest = max(end for spans in found["speech"].values() for _, end in spans)  # of the prompt, before
    assert latest / 1000 <= at_s - back_s + 0.5


def test_a_call_that_a_rule_leaves_out_is_not_listened_to(tmp_path: Path) -> None:
    rule = RecordRule("nobody", Condition(), then="exclude")

    run = follow(a_call().scenario, tmp_path, listening(rule), [reference_in(tmp_path, "welcome", WELCOME)])

    assert not heard(run)["announcements"]
    assert [(one["why"], one["seconds"]) for one in heard(run)["listened"]] == [("excluded", 0), ("excluded", 0)]


def test_a_process_that_is_killed_knows_the_announcements_again(tmp_path: Path) -> None:
    call = a_call(begin_s=8.0, seconds=18.0)

    run = follow(
        call.scenario,
        tmp_path,
        handles=[reference_in(tmp_path, "welcome", WELCOME)],
        orders={4.0: Followed.kill_analysis, 9.0: Followed.kill_analysis},
    )

    assert [one["state"] for one in heard(run)["announcements"]] == ["full"]
    assert run.pipeline.counters["analysis process restarted"] == 2


def test_announcements_may_change_while_calls_are_up(tmp_path: Path) -> None:
    call = a_call(begin_s=6.0, seconds=16.0)
    first, second = (reference_in(tmp_path, name, text) for name, text in (("closed", OTHER), ("welcome", WELCOME)))

    run = follow(call.scenario, tmp_path, handles=[first], orders={4.0: lambda run: run.learn([second, first])})

    assert [one["name"] for one in heard(run)["announcements"]] == ["welcome"]
    assert all(one["why"] == "announcements changed" for one in heard(run)["listened"])


def test_a_sound_that_is_broken_is_named_and_hinders_no_other(tmp_path: Path) -> None:
    welcome, closed = (reference_in(tmp_path, name, text) for name, text in (("welcome", WELCOME), ("closed", OTHER)))
    sound = tmp_path / "announcements" / f"{closed.hash}.s16"
    sound.write_bytes(sound.read_bytes()[:-2])
    problems: list[str] = []

    def learn(run: Followed) -> None:
        problems.extend(run.learn([replace(closed, hash="../x"), closed, replace(closed, hash="0" * 64), welcome]))

    run = follow(a_call().scenario, tmp_path, orders={0.0: learn})

    assert heard(run)["lacks"] == "announcement missing"
    assert [problem.partition(": ")[2] for problem in problems] == [
        "its hash is none",
        f"{closed.hash}.s16 is not what its hash says",
        f"{'0' * 64}.s16: No such file or directory",
    ]
    assert [one["name"] for one in heard(run)["announcements"]] == ["welcome"]
    lacked = [(one["reference"], one["name"], one["language"]) for one in heard(run)["missing"]]
    assert (closed.hash, "closed", "en") in lacked
    assert welcome.hash not in [reference for reference, _, _ in lacked]


def test_a_sound_in_which_nothing_is_to_be_recognised_is_named_and_hinders_no_other(tmp_path: Path) -> None:
    still, welcome = (reference_in(tmp_path, name, text) for name, text in (("still", ""), ("welcome", WELCOME)))

    run = follow(a_call().scenario, tmp_path, handles=[still, welcome])

    assert [one["name"] for one in heard(run)["announcements"]] == ["welcome"]
    assert [one for one in run.ears.messages if "still" in one]
    assert [one["name"] for one in heard(run)["missing"]] == ["still"]
    assert heard(run)["lacks"] == "announcement missing"
    assert not run.pipeline.counters["analysis process restarted"]


def test_what_was_heard_outlives_the_worker(tmp_path: Path) -> None:
    call = a_call()

    run = follow(
        call.scenario,
        tmp_path,
        listening(AFTER),
        handles=[reference_in(tmp_path, "welcome", WELCOME)],
        orders={10.9: Followed.restart_worker},
    )

    report = only(run)
    assert [one["state"] for one in report["heard"]["announcements"]] == ["full"]
    assert [one["seconds"] for one in report["heard"]["listened"]] == pytest.approx([14.0, 14.0], abs=0.3)
    assert report["details"]["recording_rule"]["gate_state"] == "open"


def test_who_was_being_heard_when_the_worker_died_is_not_taken_for_heard_whole(tmp_path: Path) -> None:
    run = follow(a_call().scenario, tmp_path, orders={4.0: Followed.restart_worker})

    assert [one["why"] for one in heard(run)["listened"]] == ["restarted", "restarted"]
    assert heard(run)["lacks"] == "no announcement"


@pytest.mark.parametrize("change", [lambda: SECOND // 10, lambda: 3 * SECOND])
def test_a_file_gives_the_same_however_it_is_read(change: Callable[[], int], tmp_path: Path) -> None:
    handles = [reference_in(tmp_path, "welcome", WELCOME)]

    runs = [follow(a_call().scenario, tmp_path, handles=handles, block_ns=ns) for ns in (SECOND // 5, change())]

    first, second = (heard(run) for run in runs)
    assert first["announcements"] == second["announcements"]
    assert first["listened"] == second["listened"]
