"""What pauses say of who asked for them: sums that agree with the talk, and an alarm once a day."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from vittne.appliance.__main__ import run
from vittne.appliance.pausealarms import PauseAlarms
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausereport import Bounds, Group, Talk, groups_of, missing
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.capture.columns import SECOND
from vittne.capture.pause import Pause

NOON = 1_767_268_800 * SECOND  # 2026-01-01T12:00Z
BOUNDS = Bounds(longest_s=100, most_per_day=3)
LATER = NOON + 3600 * SECOND


def talk(name: str, agent: str, begin_s: float, end_s: float) -> Talk:
    return Talk(name, agent, NOON + int(begin_s * SECOND), NOON + int(end_s * SECOND))


def a_pause(begin_s: float, end_s: float | None, *calls: str, id: str = "", **more: Any) -> Pause:
    begin = NOON + int(begin_s * SECOND)
    end = 0 if end_s is None else NOON + int(end_s * SECOND)
    values = {
        "trigger": "api",
        "actor": "crm",
        "external_id": "order",
        "ended_by": "" if end_s is None else "crm",
        **more,
    }
    name = id or f"{begin_s}-{end_s}-{'-'.join(calls)}"
    trigger, actor = values.pop("trigger"), values.pop("actor")
    return Pause(name, trigger, actor, begin, begin, begin, begin, begin, calls=calls, to_at=end, **values)


def group(pauses: list[Pause], talks: list[Talk], by: str, name: str) -> Group:
    found = groups_of(pauses, {one.id: one for one in talks}, BOUNDS, LATER)
    return next(one for one in found if (one.by, one.name) == (by, name))


def test_an_agents_share_is_of_all_the_talk_and_overlaps_count_once() -> None:
    talks = [talk("a", "ann", 0, 200), talk("b", "ann", 300, 500), talk("c", "bob", 0, 100)]
    pauses = [a_pause(10, 50, "a"), a_pause(30, 60, "a", trigger="pbx"), a_pause(0, 10, "c")]

    ann = group(pauses, talks, "agent", "ann")

    assert (ann.pauses, ann.total_s, ann.longest_s, ann.talk_s) == (2, 50, 40, 400)
    assert ann.share == 0.125
    assert group(pauses, talks, "trigger", "pbx").talk_s == 200


def test_only_talk_is_missing() -> None:
    talks = {"a": talk("a", "ann", 0, 200)}

    assert missing(a_pause(-30, 20, "a"), talks, LATER) == {"a": (NOON, NOON + 20 * SECOND)}
    assert missing(a_pause(150, None, "a"), talks, LATER) == {"a": (NOON + 150 * SECOND, NOON + 200 * SECOND)}
    late = a_pause(10, 40, "a", incomplete_at=NOON + 25 * SECOND)
    assert missing(late, talks, LATER) == {"a": (NOON + 25 * SECOND, NOON + 40 * SECOND)}
    assert missing(a_pause(10, 20, "unknown"), talks, LATER) == {}


def test_what_went_wrong_is_counted() -> None:
    talks = [talk("a", "ann", 0, 1000)]
    pauses = [
        a_pause(1, 2, "a"),
        a_pause(3, 4, "a", external_id=""),
        a_pause(5, 6, "a", incomplete_at=NOON + 5 * SECOND, ambiguous=True),
        a_pause(7, 8, "a", ended_by="call ended"),
        a_pause(9, 10, "a", ended_by="lease ran out"),
        a_pause(11, None, "a", overdue=True),
        a_pause(13, 14, "a", trigger="digits", actor="digits", external_id=""),
        a_pause(15, 15, ended_by="no call appeared", select={"extension": "201"}),
        a_pause(17, None, "a", unconfirmed=True),
    ]

    ann = group(pauses, talks, "agent", "ann")

    assert (ann.no_payment, ann.incomplete, ann.ambiguous, ann.digits, ann.unconfirmed) == (1, 1, 1, 1, 1)
    assert (ann.lease, ann.no_resume) == (2, 2)
    assert group(pauses, talks, "agent", "201").on_no_call == 1


def test_too_many_in_a_day_and_too_long_are_over() -> None:
    talks = [talk("a", "ann", 0, 1000), talk("b", "bob", 0, 1000), talk("c", "", 0, 1000)]
    many = [a_pause(n, n + 0.5, "a") for n in range(4)]
    long = [a_pause(0, 101, "b")]
    unknown = [a_pause(n, n + 0.5, "c") for n in range(9)]
    over_days = [replace(p, id=f"{p.id}+", asked_at=p.asked_at + 24 * 3600 * SECOND) for p in many[:3]]

    def over(name: str, pauses: list[Pause]) -> list[str]:
        return group(pauses, talks, "agent", name).over

    assert over("ann", many) == ["too many"]
    assert over("ann", [*many[:3], *over_days]) == []
    assert over("bob", long) == ["too long"]
    assert over("", unknown) == []  # nobody is one agent


@given(spans=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=8))
def test_what_is_missing_is_what_a_second_by_second_count_gives(spans: list[tuple[int, int]]) -> None:
    talks = [talk("a", "ann", 50, 250)]
    pauses = [a_pause(min(span), max(span), "a", id=str(number)) for number, span in enumerate(spans)]

    ann = group(pauses, talks, "agent", "ann")

    assert ann.total_s == sum(any(min(s) <= at < max(s) for s in spans) for at in range(50, 250))
    assert (ann.share or 0) <= 1


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with Catalogue(tmp_path / CATALOGUE_FILE) as catalogue:
        for name, agent in (("a", "ann"), ("b", "bob")):
            at_us = NOON // 1000
            row = CallRow(
                name, FINISHED, (name,), "1", "2", at_us, at_us, at_us + 600_000_000, details={"agent": agent}
            )
            catalogue.upsert_call(row)
        pauses = [a_pause(10 * n, 10 * n + 5, "a") for n in range(4)] + [a_pause(0, 300, "b", reason="\x1b[2J")]
        catalogue.put_pauses([pause.to_json() for pause in pauses])
    return tmp_path


def test_the_command_lists_and_reports(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "vittne.toml").write_text("[pause]\nreport_longest_s = 100\nreport_most_per_day = 3\n")
    where = ["--data", str(data), "--config", str(data / "vittne.toml")]

    def told(*options: str) -> Any:
        assert run(["pauses", *where, "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    assert [row["seconds"] for row in told("--agent", "ann")] == [5.0] * 4
    assert len(told("--since", "2026-01-01T12:00:15", "--until", "2026-01-01T12:00:30")) == 1
    report = {(row["by"], row["name"]): row for row in told("--report")}
    assert report["agent", "ann"]["over"] == ["too many"]
    assert (report["agent", "bob"]["over"], report["agent", "bob"]["share"]) == (["too long"], 0.5)
    assert report["actor", "crm"]["pauses"] == 5
    for options in ([], ["--report"]):
        assert run(["pauses", *where, *options]) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_an_alarm_is_raised_once_a_day_and_agent(data: Path) -> None:
    alarms = PauseAlarms(data, PauseConfig(report_longest_s=100, report_most_per_day=3))
    evening = NOON // 1000 + 6 * 3600 * 1_000_000

    with capture_logs() as logs:
        alarms.look(evening)
        alarms.look(evening + 300_000_000)
        alarms.look(evening + 24 * 3600 * 1_000_000)

    assert sorted((log["agent"], tuple(log["over"])) for log in logs) == [
        ("ann", ("too many",)),
        ("bob", ("too long",)),
    ]
