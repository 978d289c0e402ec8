"""Alarms on calls that were not announced: each one where its rule says so, and when they become too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
from announced import RULE, Archive, configured, heard, prompt

from vittne.appliance.verdicts.alarms import UnannouncedAlarms
from vittne.appliance.verdicts.table import RECORDER, Kept

ONE = "alarm: a call was not announced as its rule wants"
MANY = "alarm: too many of the last calls were not announced"
OVER = "calls are announced again"


def alarms(text: str = "", missing: list[bool] | None = None) -> UnannouncedAlarms:
    return UnannouncedAlarms(configured(text).unannounced, missing or [])


def verdict(proven: bool, *then: str) -> Kept:
    announced = "full" if proven else "none"
    told: dict[str, Any] = {"announced": announced, "expected": True, "proven": proven, "rule": "r", "then": then}
    return Kept("r1", 1, 0, RECORDER, told)


def test_an_alarm_for_each_call_whose_rule_wants_one() -> None:
    with structlog.testing.capture_logs() as lines:
        alarms().tell([verdict(False, "alarm"), verdict(False, "flag"), verdict(True)])

    assert [line["event"] for line in lines] == [ONE]
    assert (lines[0]["rule"], lines[0]["recording"]) == ("r", "r1")


def test_too_many_raise_one_alarm_until_there_are_clearly_fewer() -> None:
    watch = alarms("[unannounced]\ncalls = 20\nabove_percent = 20.0\nbelow_percent = 10.0\n")
    with structlog.testing.capture_logs() as lines:
        watch.tell([verdict(True)] * 20)
        watch.tell([verdict(False)] * 4)  # 20 percent: not above
        quiet = len(lines)
        watch.tell([verdict(False)])
        watch.tell([verdict(True)] * 18)  # two of twenty, then one: below ten percent
        watch.tell([verdict(False)])  # and again no alarm before it is above
        watch.tell([verdict(True)])

    assert quiet == 0
    assert [line["event"] for line in lines] == [MANY, OVER]
    assert lines[0]["percent"] == 25.0


def test_few_calls_raise_no_alarm() -> None:
    with structlog.testing.capture_logs() as lines:
        alarms().tell([verdict(False)] * 9)
        assert lines == []
        alarms(missing=[True] * 9).tell([verdict(False)])

    assert [line["event"] for line in lines] == [MANY]


def test_what_need_not_be_announced_is_not_counted() -> None:
    watch = alarms()
    told = {"announced": "not-expected", "expected": False, "proven": False}

    watch.tell([Kept("r", 1, 0, RECORDER, told)] * 200)

    assert watch.share == 0.0


def test_a_start_goes_on_with_the_calls_before_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + 'otherwise = ["alarm"]\n')
    archive.close(1, heard(prompt()))
    archive.close(2, heard())
    registrar = archive.registrar()

    last = registrar.verdicts.last_expected(100)
    registrar.unannounced = alarms(missing=last)
    with structlog.testing.capture_logs() as lines:
        registrar.close_calls([archive.ended(registrar, 3, heard())])
    registrar.close()

    assert sorted(last) == [False, True]
    assert [line["event"] for line in lines] == [ONE]
