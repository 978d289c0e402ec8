"""Retention: what is due goes, nothing else does, and everybody can see why."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cuts import REC, START_US
from lives import DAY_US, FAR_US, classed, folder, several
from lives import call as call_of
from running import running

from vittne.appliance.config import checked
from vittne.appliance.control.caller import VITTNE
from vittne.appliance.control.client import drain
from vittne.appliance.control.server import Operator
from vittne.appliance.life import erase, retention
from vittne.appliance.life.erase import settle_erasures
from vittne.appliance.life.retention import RUN_RETENTION, RunRetention, following
from vittne.appliance.life.settings import ExpiryConfig
from vittne.appliance.life.timer import RetentionTimer, next_run
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.verify import verify
from vittne.appliance.store.audit import AuditRow, AuditTable
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]


def trail(data: Path, kind: str) -> list[AuditRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return [row for row in AuditTable(catalogue).search() if row.kind == kind]


def plan(vittne: Vittne, data: Path, *more: object) -> dict[str, list[dict[str, object]]]:
    status, said, error = vittne("retention", "plan", "--json", *more, "--data", data)
    assert status == 0, error
    found: dict[str, list[dict[str, object]]] = json.loads(said)
    return found


@pytest.fixture
def mixed(data: Path) -> Path:
    """REC and three more are due; one is held, one restricted; one is locked, one has no class, one is not due."""
    ids = several(data, 6)
    for one in (REC, *ids[:3]):
        classed(data, "gdpr-90d", None, START_US, one)
    registrar = Registrar(data)
    registrar.life.change(ids[1], restricted_us=START_US)
    registrar.close()
    classed(data, "mifid-5y", FAR_US, START_US, ids[3])
    classed(data, "gdpr-90d", None, FAR_US, ids[5])
    return data


def hold(vittne: Vittne, data: Path, recording: str) -> None:
    more = ("--label", "case", "--reason", "court", "--id", recording)
    assert vittne("hold", "place", *more, "--data", data)[0] == 0


def test_the_plan_names_what_goes_and_what_stays_and_why_and_adds_up(vittne: Vittne, mixed: Path) -> None:
    hold(vittne, mixed, "00000001")

    found = plan(vittne, mixed)

    assert {str(one["id"])[:8]: one["rule"] for one in found["goes"]} == {REC[:8]: "expiry", "00000003": "expiry"}
    assert {str(one["id"])[:8]: one["rule"] for one in found["stays"]} == {
        "00000001": "legal-hold",
        "00000002": "restriction",
        "00000004": "lock",
    }
    totals = {(one["rule"], one["class"]): one["recordings"] for one in found["totals"]}
    assert totals == {
        ("expiry", "gdpr-90d"): 2,
        ("legal-hold", "gdpr-90d"): 1,
        ("lock", "mifid-5y"): 1,
        ("restriction", "gdpr-90d"): 1,
    }
    assert plan(vittne, mixed, "--at", "2023-11-14")["goes"] == []
    later = plan(vittne, mixed, "--at", "2100-01-02")["goes"]
    assert {str(one["id"])[:8] for one in later} == {REC[:8], "00000003", "00000004", "00000006"}


def test_a_run_does_what_the_plan_says_and_keeps_the_rest(vittne: Vittne, mixed: Path) -> None:
    hold(vittne, mixed, "00000001")

    status, said, _ = vittne("retention", "run", "--data", mixed)

    assert (status, said) == (0, "5 were due: 2 expiry, 1 legal-hold, 1 lock, 1 restriction\n")
    with Catalogue(mixed / "catalogue.db", read_only=True) as catalogue:
        gone = {row.id[:8] for row in catalogue.list_calls() if row.erased_us is not None}
    assert gone == {REC[:8], "00000003"}
    assert verify(mixed, REC).ok
    assert {row.details["decision"]["rule"] for row in trail(mixed, "rec.erase")} == {"expiry"}
    assert plan(vittne, mixed)["goes"] == []


def test_why_something_stays_is_written_down_once(vittne: Vittne, mixed: Path) -> None:
    for _ in range(2):
        vittne("retention", "run", "--data", mixed)
    assert [row.details["decision"]["rule"] for row in trail(mixed, "retention.keep")] == ["restriction", "lock"]

    hold(vittne, mixed, "00000002")
    vittne("retention", "run", "--data", mixed)

    assert [row.details["decision"]["rule"] for row in trail(mixed, "retention.keep")] == [
        "restriction",
        "lock",
        "legal-hold",
    ]
    assert [row.details["due"] for row in trail(mixed, "retention.run")] == [5, 2, 2]


def test_a_hold_that_is_placed_late_still_counts(vittne: Vittne, mixed: Path) -> None:
    more = ("--label", "case", "--reason", "court", "--number", "0401234777", "--standing")
    assert vittne("hold", "place", *more, "--data", mixed)[0] == 0

    vittne("retention", "run", "--data", mixed)

    assert call_of(mixed).erased_us is None


def test_the_nightly_run_works_beside_a_recorder(vittne: Vittne, mixed: Path) -> None:
    registrar = Registrar(mixed)
    timer = RetentionTimer(Operator(registrar, OPERATIONS), registrar, ExpiryConfig())
    asyncio.run(timer.once())
    registrar.close()

    assert call_of(mixed).erased_us is not None
    assert trail(mixed, "rec.erase")[0].via == "system"
    with running(mixed):
        assert vittne("retention", "run", "--data", mixed)[0] == 0


def test_a_reload_has_the_nightly_run_go_by_another_hour_and_not_at_all(mixed: Path) -> None:
    registrar = Registrar(mixed)
    clock = [datetime(2040, 3, 1, 1, tzinfo=UTC)]
    off, on = (checked({"expiry": {"enabled": enabled, "hour": 5}}, "") for enabled in (False, True))
    timer = RetentionTimer(
        Operator(registrar, OPERATIONS), registrar, ExpiryConfig(hour=3), now=lambda: clock[0], look_s=0.01
    )

    async def nights() -> list[bool]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(timer.run())
            found = []
            for config, hour in ((off, 3), (off, 6), (on, 25), (on, 30)):
                timer.prepare(config)()
                await asyncio.sleep(0.3)  # it looks at the clock
                clock[0] = datetime(2040, 3, 1, tzinfo=UTC) + timedelta(hours=hour)
                await asyncio.sleep(1.0)
                found.append(call_of(mixed).erased_us is not None)
            task.cancel()
        return found

    assert asyncio.run(nights()) == [False, False, False, True]
    registrar.close()


def test_a_round_begins_behind_the_one_before_and_the_last_says_so(mixed: Path) -> None:
    registrar = Registrar(mixed)
    order = RunRetention(after_us=START_US, after_id="00000002-1111-4000-8000-000000000000")
    answer = drain(RUN_RETENTION.do(registrar, order, VITTNE))

    assert (answer["rules"], answer["next"]) == ({"expiry": 2, "lock": 1}, None)
    assert registrar.life.due_after(FAR_US - 1, (-1, ""), 2) == [
        (START_US, "00000001-1111-4000-8000-000000000000"),
        (START_US, "00000002-1111-4000-8000-000000000000"),
    ]
    full = {"next": [START_US, REC]}
    assert following(full) == RunRetention(after_us=START_US, after_id=REC)
    registrar.close()


def test_the_hour_is_the_next_one() -> None:
    at = datetime(2026, 3, 1, 2, 59, tzinfo=UTC)
    assert next_run(at, 3) == datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert next_run(next_run(at, 3), 3) == datetime(2026, 3, 2, 3, tzinfo=UTC)


def test_keeping_longer_is_free_and_a_lock_goes_with_it(vittne: Vittne, data: Path) -> None:
    now_locked = FAR_US - 10 * DAY_US
    classed(data, "mifid-5y", now_locked, now_locked)

    status, said, error = vittne(
        "retention", "extend", REC, "--until", "2100-01-01", "--reason", "the authority asked", "--data", data
    )

    assert status == 0, error
    assert said == "class mifid-5y, kept until 2100-01-01T00:00:00.000000Z\n"
    assert (call_of(data).locked_until_us, call_of(data).expires_us) == (FAR_US, FAR_US)
    (row,) = trail(data, "retention.change")
    assert row.details["before"]["expires_at"] == "2099-12-22T00:00:00.000000Z"


def test_what_is_locked_is_not_made_shorter_and_what_is_not_may_be(vittne: Vittne, data: Path) -> None:
    classed(data, "mifid-5y", FAR_US, FAR_US)
    for change in (("--until", "2099-01-01"), ("--class", "daily")):
        status, _, error = vittne("retention", "extend", REC, *change, "--reason", "x", "--data", data)
        assert (status, "is locked until" in error) == (1, True)
    classed(data, "gdpr-90d", None, FAR_US)

    status, _, error = vittne("retention", "extend", REC, "--class", "daily", "--reason", "x", "--data", data)

    assert status == 0, error
    row = call_of(data)
    assert row.ended_us is not None
    assert (row.retention_class, row.expires_us) == ("daily", row.ended_us + DAY_US)


def test_a_class_that_is_none_is_refused_with_those_that_are(vittne: Vittne, data: Path) -> None:
    status, _, error = vittne("retention", "extend", REC, "--class", "for-ever", "--reason", "x", "--data", data)

    assert status == 1
    assert "there is no class 'for-ever'" in error
    assert "mifid-5y" in error


def test_a_class_without_an_end_and_an_owner_is_reported(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    classed(data, "old-class", None, None)
    assert "class 'old-class' has no end and no owner: 1 recordings" in vittne("retention", "plan", "--data", data)[1]
    assert json.loads(vittne("retention", "plan", "--json", "--data", data)[1])["without_owner"] == {"old-class": 1}
    config = tmp_path / "vittne.toml"
    config.write_text('[[classes]]\nname = "old-class"\nowner = "Head of Legal"\n')

    said = vittne("retention", "plan", "--config", config, "--data", data)[1]

    assert "no owner" not in said


def test_what_if_says_what_other_rules_would_let_go_and_changes_nothing(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    classed(data, "gdpr-90d", None, FAR_US)
    rules = tmp_path / "rules.toml"
    rules.write_text('[[retention]]\nname = "all"\nclass = "daily"\n')

    status, said, error = vittne("retention", "what-if", rules, "--data", data)

    assert status == 0, error
    assert f"1 would go that now stay\n  {REC}\n0 would stay" in said
    (change,) = json.loads(vittne("retention", "what-if", rules, "--json", "--data", data)[1])["changes"]
    assert (change["now"]["rule"], change["then"]["rule"], change["then"]["class"]) == ("not-due", "expiry", "daily")
    assert call_of(data).retention_class == "gdpr-90d"


def test_show_says_what_may_be_done_and_why_not(vittne: Vittne, data: Path) -> None:
    classed(data, "mifid-5y", FAR_US, FAR_US)

    told = json.loads(vittne("retention", "show", REC, "--json", "--data", data)[1])
    said = vittne("retention", "show", REC, "--data", data)[1]

    assert {act: (one["allowed"], one["rule"]) for act, one in told["decisions"].items()} == {
        "expire": (False, "lock"),
        "erase": (False, "lock"),
        "cut": (True, "card-data"),
    }
    assert "yes (card-data), by two persons" in said
    assert (folder(data) / "part-0.floe").exists()


def test_who_reads_the_catalogue_for_long_keeps_no_night_from_going_on_and_is_told(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(erase, "TOGETHER", 2)
    monkeypatch.setattr(retention, "TOGETHER", 2)
    ids = [REC, *several(data, 4)]
    for one in ids:
        classed(data, "gdpr-90d", None, START_US, one)
    registrar = Registrar(data)
    timer = RetentionTimer(Operator(registrar, OPERATIONS), registrar, ExpiryConfig())
    with sqlite3.connect(data / "catalogue.db", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM calls").fetchone()

        asyncio.run(timer.once())

        assert "alarm: names of erased recordings are still in the catalogue's log" in capsys.readouterr().out
        assert all(call_of(data, one).erased_us is not None for one in ids)
        assert not (folder(data) / "part-0.floe").exists()
        assert registrar.keys.recordings() == set()
        assert len(registrar.life.unfinished_erasures()) == len(ids)
        assert settle_erasures(registrar) == []  # nor does a start wait for it
    reader.close()

    asyncio.run(timer.once())

    assert registrar.life.unfinished_erasures() == []
    assert "alarm" not in capsys.readouterr().out
    registrar.close()
