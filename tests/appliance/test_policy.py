"""Class, lock, end and ground of a recording: from its report and the rules, and from nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.config import checked
from vittne.appliance.policy.classes import PRESETS, read_age
from vittne.appliance.policy.decide import PolicyRules, decide, policy_rules
from vittne.appliance.store.rows import CallRow
from vittne.appliance.wordsconfig import read_hours
from vittne.capture.conditions import Condition, Facts, is_number

Report = dict[str, Any]


def rules(**tables: object) -> PolicyRules:
    return policy_rules(checked(tables, "a test"))


def report(decisions: tuple[str, ...] = (), **more: object) -> Report:
    row = CallRow("c", "finished", ("1@a",), "sip:1001@a", "sip:1002@a", us(2024, 2, 29), None, us(2024, 2, 29))
    made = [{"decision": d, "trigger": "api", "by": "ivr", "at": "2024-02-29T00:00:00Z"} for d in decisions]
    facts = {"direction": "inbound", "callers": ["1001"], "callees": ["1002"], "headers": ["x-desk: fx*"]}
    details = {"facts": facts, "recording_rule": {"decisions": made}}
    return {**row.as_json(), "details": details, **more}


def us(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type, misc]


def test_the_first_rule_that_fits_gives_the_class() -> None:
    made = rules(
        retention=[
            {"name": "other desk", "callers": ["2*"], "class": "sox-7y"},
            {"name": "desk", "callers": ["1*"], "class": "mifid-5y"},
            {"name": "rest", "class": "gdpr-90d"},
        ]
    )

    found = decide(report(), made)

    assert (found.class_, found.rule) == ("mifid-5y", "desk")
    assert found.version == made.version


def test_years_are_the_calendars_and_a_lock_is_never_a_day_short() -> None:
    found = decide(report(), rules(retention=[{"name": "r", "class": "mifid-5y"}]))

    assert found.lock_until == found.delete_after == us(2029, 3, 1)


def test_without_a_rule_there_is_no_class_no_lock_and_no_end() -> None:
    found = decide(report(), rules(retention=[{"name": "r", "callers": ["9*"], "class": "daily"}]))

    assert (found.class_, found.lock_until, found.delete_after, found.rule) == ("", None, None, "")


def test_a_class_without_an_end_has_an_owner() -> None:
    made = rules(
        classes=[{"name": "unlimited", "owner": "Jane Doe, DPO"}], retention=[{"name": "r", "class": "unlimited"}]
    )

    found = decide(report(), made)

    assert (found.class_, found.delete_after) == ("unlimited", None)


@pytest.mark.parametrize(("decisions", "proven"), [((), False), (("refused",), False), (("announced", "agreed"), True)])
def test_consent_is_proven_by_the_calls_own_decision(decisions: tuple[str, ...], proven: bool) -> None:
    ground = {"name": "b", "lawful_basis": "consent", "purpose": "training", "proof": "consent", "expires": "2y"}

    found = decide(report(decisions), rules(basis=[ground]))

    assert found.basis["proven"] is proven
    assert found.basis["proven_by"] == ("api ivr" if proven else "")
    assert (found.purpose, found.basis["expires_at"]) == ("training", "2026-03-01T00:00:00.000000Z")


def test_rules_at_sealing_see_tags_headers_and_announcements() -> None:
    made = rules(
        retention=[
            {"name": "announced", "announced": True, "class": "gdpr-90d"},
            {"name": "tagged", "tags": ["fx"], "header": "X-Desk", "value": "fx*", "class": "sec-3y"},
            {"name": "rest", "announced": False, "class": "daily"},
        ]
    )

    assert decide(report(("announced",)), made).rule == "announced"
    assert decide(report(tags=["fx"]), made).rule == "tagged"
    assert decide(report(), made).rule == "rest"


def test_a_rule_that_changes_gets_another_version() -> None:
    one, other = (rules(retention=[{"name": "r", "class": name}]) for name in ("daily", "gdpr-90d"))

    assert one.version != other.version
    assert one.version == rules(retention=[{"name": "r", "class": "daily"}]).version


def test_presets_lock_no_longer_than_they_keep() -> None:
    for made in PRESETS.values():
        assert made.greatest is not None
        if made.least is not None:
            assert made.least.after(us(2024, 2, 29)) <= made.greatest.after(us(2024, 2, 29))


@given(st.integers(1, 100), st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_an_age_in_years_is_the_same_day_years_later(years: int, moment: datetime) -> None:
    begin = int(moment.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1_000_000

    later = datetime.fromtimestamp(read_age(f"{years}y").after(begin) / 1_000_000, UTC)

    same = moment.month, moment.day
    assert later.year == moment.year + years
    assert (later.month, later.day) == (same if same != (2, 29) or later.day == 29 else (3, 1))


# Words


@pytest.mark.parametrize(
    ("user", "pattern", "fits"),
    [
        ("+49301234567", "+4930*", True),
        ("0049301234567", "+4930*", True),
        ("030 1234567", "+49301234567", True),
        ("200", "200..299", True),
        ("299", "200..299", True),
        ("300", "200..299", False),
        ("2000", "200..299", False),
        ("+4930100", "+4930100..+4930199", True),
        ("bob", "200..299", False),
        ("bob", "b*", True),
        ("4567", "+49301234567", False),
        ("", "*", False),
    ],
)
def test_numbers_prefixes_and_ranges(user: str, pattern: str, fits: bool) -> None:
    assert is_number(user, pattern) is fits


@pytest.mark.parametrize(
    ("text", "moment", "fits"),
    [
        ("mon-fri 08:00-18:00", (2026, 1, 5, 7, 0), True),  # Monday, 08:00 in Berlin
        ("mon-fri 08:00-18:00", (2026, 1, 5, 6, 59), False),
        ("mon-fri 08:00-18:00", (2026, 7, 6, 6, 0), True),  # summer time
        ("mon-fri 08:00-18:00", (2026, 1, 4, 9, 0), False),
        ("sat-sun", (2026, 1, 4, 9, 0), True),
        ("fri 22:00-06:00", (2026, 1, 10, 4, 0), True),  # Saturday morning
        ("fri 22:00-06:00", (2026, 1, 9, 4, 0), False),
        ("fri-mon", (2026, 1, 4, 9, 0), True),
        ("22:00-06:00", (2026, 1, 7, 23, 0), True),
    ],
)
def test_hours_are_by_the_clock_of_the_site(text: str, moment: tuple[int, ...], fits: bool) -> None:
    when = Condition(hours=(read_hours(text),), zone="Europe/Berlin")

    assert when.meets(Facts(at_ns=us(*moment) * 1000)) is fits


@given(st.text(max_size=30))
def test_a_text_is_hours_or_a_clear_error(text: str) -> None:
    try:
        read_hours(text)
    except ValueError as error:
        assert "no time such as" in str(error) or "24 hours" in str(error)  # noqa: PT017 - either is right


def test_a_report_of_an_older_recording_shows_few_facts() -> None:
    old = CallRow("c", "finished", ("1@a",), "a", "b", us(2024, 1, 1)).as_json()

    assert decide(old, rules(retention=[{"name": "r", "class": "daily"}])).delete_after == us(2024, 1, 2)
    assert decide(old, rules(retention=[{"name": "r", "callers": ["*"], "class": "daily"}])).class_ == ""


def test_what_is_decided_outlives_the_day_it_was_decided_on() -> None:
    found = decide(report(), rules(retention=[{"name": "r", "class": "gdpr-90d"}]))

    assert found.delete_after is not None
    assert datetime.fromtimestamp(found.delete_after / 1e6, UTC) - datetime(2024, 2, 29, tzinfo=UTC) == timedelta(90)
