"""Alarms: every line that is one is known, stands, and is over when it is; the list, the source and the page agree."""

from __future__ import annotations

import re
from pathlib import Path

from rig.now import status

from vittne.appliance.events.alarmlist import ALARMS, CLEARED_BY
from vittne.appliance.events.alarms import Alarm, Alarms
from vittne.appliance.events.capture import CaptureWatch

ROOT = Path(__file__).resolve().parents[2]
_LINE = re.compile(r'"alarm: ([^"{}]+)"')


def lines() -> set[str]:
    """The words of every alarm in the source."""
    files = (ROOT / "appliance").rglob("*.py")
    return {words for file in files for words in _LINE.findall(file.read_text())}


def test_every_line_that_is_an_alarm_is_listed() -> None:
    assert lines() - {"..."} == set(ALARMS)


def test_every_alarm_has_its_words_on_the_page() -> None:
    page = (ROOT / "docs" / "alarms.md").read_text()
    assert [words for words in ALARMS if f"`alarm: {words}`" not in page] == []


def test_every_line_that_ends_an_alarm_is_written_somewhere() -> None:
    source = "".join(file.read_text() for file in (ROOT / "appliance").rglob("*.py") if file.name != "alarmlist.py")
    assert [line for line in CLEARED_BY if f'"{line}"' not in source] == []


def test_a_line_of_the_log_raises_an_alarm_and_another_ends_it() -> None:
    told: list[tuple[str, str]] = []
    alarms = Alarms(lambda what, alarm: told.append((what, alarm.id)))
    down = {"event": "alarm: a control channel that calls depend on is down", "channel": "ami:pbx"}

    assert alarms.see(None, "error", down) is down
    alarms.see(None, "error", {**down, "channel": "esl:other"})
    alarms.see(
        None,
        "error",
        {"event": "alarm over: a control channel that calls depend on is back", "channel": "ami:pbx"},
    )

    assert told == [
        ("raised", "channel-down:ami:pbx"),
        ("raised", "channel-down:esl:other"),
        ("cleared", "channel-down:ami:pbx"),
    ]


def test_what_only_happens_stands_for_a_day() -> None:
    alarms = Alarms()
    alarms.raise_("the backup failed", {}, at_us=0)
    assert alarms.standing(23 * 3600 * 10**6)
    assert not alarms.standing(25 * 3600 * 10**6)


def test_an_alarm_that_comes_again_is_one() -> None:
    alarms = Alarms()
    for at_us in (10, 20, 30):
        alarms.raise_("the backup failed", {}, at_us=at_us)
    (one,) = alarms.all()
    assert (one.times, one.first_us, one.last_us) == (3, 10, 30)


def test_a_line_that_nobody_listed_is_an_alarm_all_the_same() -> None:
    alarms = Alarms()
    alarms.see(None, "error", {"event": "alarm: something new", "caller": "+4930123456"})
    (one,) = alarms.all()
    assert (one.kind.name, one.words) == ("other", "something new")
    assert "+4930123456" not in str(one)


def test_lost_packets_and_a_full_ring_do_not_come_and_go() -> None:
    import structlog  # noqa: PLC0415 - the log as a recorder sets it up

    found: list[Alarm] = []
    alarms = Alarms(lambda what, alarm: found.append(alarm))
    watch = CaptureWatch(alarms)
    structlog.configure(processors=[alarms.see, structlog.processors.JSONRenderer()])
    try:
        watch.note(status(drops={"kernel": {"eth1": 1}}), 0.0)
        watch.note(status(drops={"kernel": {"eth1": 5}}), 1.0)
        assert [alarm.kind.name for alarm in alarms.all()] == ["packets-lost"]
        watch.note(status(drops={"kernel": {"eth1": 5}}), 200.0)
        assert alarms.all()[0].cleared_us is None
        watch.note(status(drops={"kernel": {"eth1": 5}}), 400.0)
        assert alarms.all()[0].cleared_us is not None
        for occupancy in (0.9, 0.7, 0.85, 0.6):
            watch.note(status(occupancy=occupancy), 500.0)
        assert next((alarm.kind.name, alarm.times) for alarm in alarms.all()) == ("ring-full", 1)
        watch.note(status(occupancy=0.2), 501.0)
        assert alarms.all()[0].cleared_us is not None
    finally:
        structlog.reset_defaults()
