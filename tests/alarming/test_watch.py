"""Conditions: raised beyond one bound, over beyond another, and nothing that jitters about a bound comes and goes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.alarming.bounds import Bounds
from vittne.appliance.alarming.looking import AlarmWatch
from vittne.appliance.alarming.settings import AlarmsConfig, CallsExpected
from vittne.appliance.alarming.watch import Seen, Watch
from vittne.appliance.api.tls import days_left
from vittne.appliance.config import Config, ConfigErrors, checked
from vittne.appliance.events.alarms import Alarms
from vittne.appliance.events.bus import News
from vittne.appliance.events.hub import Hub
from vittne.appliance.registrar import Registrar
from vittne.capture.pause import Pause

MONDAY_10_US = int(datetime(2026, 6, 1, 10, tzinfo=UTC).timestamp() * 1e6)
MINUTE_US = 60_000_000


def shown(alarms: Alarms) -> list[tuple[str, bool]]:
    """Names of alarms, the oldest first, and whether each stands."""
    return [(one.id, one.cleared_us is None) for one in reversed(alarms.all())]


def test_a_share_that_jitters_about_its_bound_raises_one_alarm(alarms: Alarms) -> None:
    watch = Watch(AlarmsConfig(), 0)
    for n in range(200):
        watch.look(Seen(n, n, free_share=0.05 + (0.004 if n % 2 else -0.004)))
    assert [one.times for one in alarms.all()] == [1]
    assert shown(alarms) == [("disk-full", True)]
    for n in range(200, 259):
        watch.look(Seen(n, n, free_share=0.5))
    assert shown(alarms) == [("disk-full", True)]  # it has not held for a minute
    watch.look(Seen(260, 260, free_share=0.5))
    assert shown(alarms) == [("disk-full", False)]


def test_days_left_raise_it_as_well(alarms: Alarms) -> None:
    watch = Watch(AlarmsConfig(), 0)
    watch.look(Seen(0, 0, free_share=0.6, days_left=3.0))
    assert shown(alarms) == [("disk-full", True)]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 30)), max_size=60))
def test_an_alarm_is_raised_and_over_by_turns_and_only_after_it_held(steps: list[tuple[bool, bool, float]]) -> None:
    bounds, now_s, turns = Bounds(10, 20), 0.0, []
    since: dict[str, float | None] = {"raise": None, "clear": None}
    for is_bad, is_fine, passed in steps:
        now_s += passed
        for name, holds in (("raise", is_bad), ("clear", is_fine)):
            since[name] = (now_s if since[name] is None else since[name]) if holds else None
        turn = bounds.look(is_bad, is_fine, now_s)
        if turn is not None:
            held = since[turn]
            assert held is not None
            assert now_s - held >= (10 if turn == "raise" else 20)
            turns.append(turn)
    assert turns == ["raise", "clear"] * (len(turns) // 2) + ["raise"] * (len(turns) % 2)


def test_a_mirror_that_falls_silent_is_told_by_its_interface(alarms: Alarms) -> None:
    watch = Watch(AlarmsConfig(mirror_silent_s=300), 0)
    for s in range(0, 1000, 5):
        watch.look(Seen(s, s, cards={"eth1": s, "eth2": min(s, 100)}))
    assert shown(alarms) == [("mirror-silent:eth2", True)]
    watch.look(Seen(1000, 1000, cards={"eth1": 1000, "eth2": 101}))
    assert shown(alarms) == [("mirror-silent:eth2", False)]


def test_an_interface_that_never_heard_anything_is_silent_too(alarms: Alarms) -> None:
    watch = Watch(AlarmsConfig(mirror_silent_s=30), 0)
    for s in range(0, 60, 5):
        watch.look(Seen(s, s, cards={"eth1": 7}))
    assert shown(alarms) == [("mirror-silent:eth1", True)]


def quiet(**more: object) -> AlarmsConfig:
    days = {"days": ("mon",), "begin": "08:00", "end": "18:00", "without_min": 60, **more}
    return AlarmsConfig(calls=CallsExpected.model_validate(days))


def test_no_call_for_an_hour_of_business_is_an_alarm_until_there_is_one(alarms: Alarms) -> None:
    watch = Watch(quiet(), 0)
    last = MONDAY_10_US - 30 * MINUTE_US
    for minute in range(40):
        watch.look(Seen(MONDAY_10_US + minute * MINUTE_US, minute * 60, last_call_us=last))
        assert len(alarms.all()) == (minute >= 30)
    now = MONDAY_10_US + 40 * MINUTE_US
    watch.look(Seen(now, 2400, last_call_us=now, calls=1))
    assert shown(alarms) == [("no-calls", False)]


@pytest.mark.parametrize(
    ("config", "at_us", "started_us", "calls"),
    [
        (quiet(days=("tue",)), MONDAY_10_US, 0, 0),
        (quiet(holidays=("2026-06-01",)), MONDAY_10_US, 0, 0),
        (quiet(time_zone="America/New_York"), MONDAY_10_US, 0, 0),  # it is six there
        (quiet(), MONDAY_10_US - 70 * MINUTE_US, 0, 0),  # fifty minutes after the begin
        (quiet(), MONDAY_10_US, MONDAY_10_US - MINUTE_US, 0),  # the recorder has just begun
        (quiet(), MONDAY_10_US, 0, 1),  # a long one is up
        (AlarmsConfig(), MONDAY_10_US, 0, 0),
    ],
)
def test_nobody_is_woken_when_no_call_is_expected(
    config: AlarmsConfig, at_us: int, started_us: int, calls: int, alarms: Alarms
) -> None:
    Watch(config, started_us).look(Seen(at_us, 0, calls=calls))
    assert alarms.all() == []


def test_a_certificate_is_told_of_thirty_seven_and_one_day_before_and_a_new_one_ends_it(alarms: Alarms) -> None:
    watch = Watch(AlarmsConfig(), 0)
    for n, days in enumerate((40.0, 29.9, 20.0, 6.9, 0.5, -3.0)):
        watch.look(Seen(n, n, certificate_days=days))
    standing = [("certificate-ends:30", False), ("certificate-ends:7", True), ("certificate-ended", True)]
    assert sorted(shown(alarms)) == sorted(standing)
    watch.look(Seen(9, 9, certificate_days=365.0))
    assert not any(stands for _, stands in shown(alarms))


def test_a_certificate_of_our_own_is_told_of_only_when_it_was_not_renewed(alarms: Alarms) -> None:
    watch = Watch(AlarmsConfig(), 0)
    watch.look(Seen(0, 0, certificate_days=29.0, is_own=True))
    assert alarms.all() == []
    watch.look(Seen(1, 1, certificate_days=6.0, is_own=True))
    assert shown(alarms) == [("certificate-ends:7", True)]


def test_days_left_of_a_certificate_that_is_not_there_are_not_known(tmp_path: Path) -> None:
    assert days_left(tmp_path / "none.pem", datetime.now(UTC)) is None


def test_a_full_disk_is_told_of_and_its_end(alarms: Alarms) -> None:
    watch = Watch(AlarmsConfig(), 0)
    for n, writes in enumerate((True, False, False, True)):
        watch.look(Seen(n, n, writes=writes))
    assert shown(alarms) == [("disk-no-room", False)]


def test_the_alarm_about_a_lease_ends_with_its_pause(alarms: Alarms) -> None:
    import structlog  # noqa: PLC0415 - after the fixture set it up

    hub = Hub([], alarms)
    living = Pause("p1", "api", "token", 0, 0, 0, 0, 0)
    hub.note_pause(None, living)
    structlog.get_logger().error("alarm: a pause outlived its lease; the call stays paused", pause="p1")
    assert shown(alarms) == [("pause-overdue:p1", True)]
    hub.note_pause(living, Pause("p1", "api", "token", 0, 0, 0, 0, 0, to_at=1, ended_by="api"))
    assert shown(alarms) == [("pause-overdue:p1", False)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"alarms": {"calls": {"begin": "18:00", "end": "08:00"}}}, "end is not behind begin"),
        ({"alarms": {"calls": {"time_zone": "Europe/Atlantis"}}}, "no time zone"),
        ({"alarms": {"calls": {"holidays": ["24.12."]}}}, "no day such as"),
        ({"alarms": {"disk_free_percent": 2.0}, "store": {"when_full": "erase-oldest-allowed"}}, "must come before"),
        ({"store": {"erase_classes": ["daily"]}}, "erase_classes means something"),
        ({"store": {"erase_below_percent": 9.0}}, "erase_to_percent is not greater"),
        ({"alarms": {"snmp": [{"name": "m", "host": "h", "version": "2c"}]}}, "needs community_file"),
        ({"alarms": {"snmp": [{"name": "m", "host": "h"}]}}, "needs user, auth_file and privacy_file"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_words(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigErrors, match=words):
        checked(values, "the test")


def test_the_end_of_a_long_call_is_a_sign_of_life_as_its_begin_is(tmp_path: Path) -> None:
    Registrar(tmp_path).close()
    watch = AlarmWatch(Config(data=tmp_path), Hub(()))
    for number, (what, minute) in enumerate((("begun", 1), ("changed", 60), ("ended", 90))):
        watch.hear(News(number, "call", what, minute * MINUTE_US, None))
    assert watch._see(0.0).last_call_us == 90 * MINUTE_US
