"""How many calls were announced, and which were not: fast also over a million."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from announced import RULE, Archive, heard, prompt, rec
from cuts import START_US
from sqlalchemy import Engine, event, insert

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import announcement_call
from vittne.appliance.verdicts.sums import Sums, Which, missing, sums

Vittne = Callable[..., tuple[int, str, str]]
FAR_US = START_US + 10**12
HOUR_US = 3_600_000_000


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Three announced, one in part, one not, one that could not be listened to."""
    archive = Archive(tmp_path_factory.mktemp("coverage") / "data", RULE)
    for number, said in enumerate((prompt(), prompt(), prompt(after_s=2.0), prompt("partial", after_s=3.5)), 1):
        archive.close(number, heard(said), site="hamburg" if number < 3 else "berlin")
    archive.close(5, heard(), site="berlin")
    archive.close(6, heard(why="codec"), site="berlin")
    return archive


def told(data: Path) -> Sums:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return sums(catalogue, 0, FAR_US, UTC)


def test_calls_are_counted_by_whatever_is_asked(archive: Archive) -> None:
    found = told(archive.data)

    assert (found.total.expected, found.total.proven) == (6, 3)
    assert found.total.words == {"full": 3, "partial": 1, "none": 1, "not-listened": 1, "not-expected": 0}
    assert {site: (one.expected, one.missing) for site, one in found.by["site"].items()} == {
        "hamburg": (2, 0),
        "berlin": (4, 3),
    }
    assert {language: one.expected for language, one in found.by["language"].items()} == {"en": 4, "": 2}
    assert list(found.by["trunk"]) == ["10.0.0.1 - 10.0.0.9"]
    assert {number: one.missing for number, one in found.by["number"].items()} == {"+4930555123": 3, "200": 3}
    assert list(found.by["hour"]) == ["22"]
    assert list(found.by["day"]) == ["2023-11-14"]


def test_hours_are_by_the_clock_of_the_site(archive: Archive) -> None:
    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        found = sums(catalogue, 0, FAR_US, ZoneInfo("Asia/Kolkata"))

    assert (list(found.by["hour"]), list(found.by["day"])) == (["03"], ["2023-11-15"])


def test_the_list_of_the_missing_says_where_a_player_should_start(vittne: Vittne, archive: Archive) -> None:
    status, out, _ = vittne("announcement", "unannounced", "--json", "--data", archive.data)

    found = {one["id"]: one for one in json.loads(out)}
    assert (status, set(found)) == (1, {rec(4), rec(5), rec(6)})
    assert (found[rec(4)]["offset_s"], found[rec(4)]["reason"]) == (3.5, "cut-short")
    assert (found[rec(5)]["offset_s"], found[rec(5)]["reason"]) == (0.0, "not-heard")
    assert found[rec(6)]["reason"] == "codec"


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--verdict", "partial"], [4]),
        (["--site", "hamburg"], []),
        (["--number", "555"], [4, 5, 6]),
        (["--number", "556"], []),
        (["--rule", "hotline"], [4, 5, 6]),
        (["--rule", "other"], []),
        (["--limit", "1"], [6]),
        (["--until", "2023-11-14"], []),
    ],
)
def test_the_list_is_narrowed(vittne: Vittne, archive: Archive, options: list[str], numbers: list[int]) -> None:
    status, out, _ = vittne("announcement", "unannounced", *options, "--json", "--data", archive.data)

    assert [one["id"] for one in json.loads(out)] == [rec(number) for number in numbers]
    assert status == bool(numbers)


def test_a_table_for_people(vittne: Vittne, archive: Archive) -> None:
    _, sums_told, _ = vittne("announcement", "coverage", "--data", archive.data)
    _, listed, _ = vittne("announcement", "unannounced", "--data", archive.data)

    assert "6 calls should be announced, 3 were (50.0 %)" in sums_told
    assert "berlin" in sums_told
    assert "3 calls" in listed


def test_the_days_coverage_has_announcements(vittne: Vittne, archive: Archive) -> None:
    status, out, _ = vittne("coverage", "--day", "2023-11-14", "--json", "--data", archive.data)
    _, shown, _ = vittne("coverage", "--day", "2023-11-14", "--data", archive.data)

    found = json.loads(out)["announcements"]
    assert (status, found["total"]["missing"], found["total"]["share"]) == (1, 3, 0.5)
    assert found["sites"]["berlin"]["not-listened"] == 1
    assert "announcements" in shown


def test_the_auditors_report_tells_of_it(vittne: Vittne, archive: Archive) -> None:
    span = ("--since", "2023-11-01", "--until", "2023-12-01")

    _, out, _ = vittne("report", "gdpr", *span, "--json", "--data", archive.data, "--config", archive.config())

    rows = {row["asks"]: row for row in json.loads(out)["rows"]}
    row = rows["callers are told"]
    assert row["state"] == "not met"
    assert "6 calls had to be announced: 3 were, 3 not" in row["evidence"]
    assert any("berlin 3 of 4" in words for words in row["evidence"])


def test_a_million_calls_are_added_up_from_indexes_alone(tmp_path: Path) -> None:
    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        with catalogue.writing() as connection:
            connection.execute(insert(announcement_call), [_row(n) for n in range(1000)])
        plans = _plans(catalogue, lambda: sums(catalogue, START_US, FAR_US))

    scans = [step for plan in plans for step in plan if "announcement_call" in step]
    assert len(scans) >= 6
    indexes = "USING COVERING INDEX", "ix_announcement_call_missing"  # the latter has few rows
    assert [step for step in scans if not any(index in step for index in indexes)] == []


def test_the_list_of_the_missing_is_read_by_an_index(tmp_path: Path) -> None:
    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        with catalogue.writing() as connection:
            connection.execute(insert(announcement_call), [_row(n) for n in range(1000)])
        plans = _plans(catalogue, lambda: missing(catalogue, Which(since_us=START_US, limit=20)))

    (plan,) = plans
    assert any("ix_announcement_call_missing" in step for step in plan)
    assert not any(step.startswith("SCAN") for step in plan)


def _row(n: int) -> dict[str, Any]:
    return {
        "recording": rec(n),
        "at_us": START_US + n * HOUR_US,
        "site": f"site {n % 3}",
        "trunk": "10.0.0.1",
        "caller": f"+4930{n}",
        "callee": "200",
        "language": "en",
        "announced": "full" if n % 50 else "none",
        "expected": True,
        "proven": bool(n % 50),
        "due_us": None,
    }


def _plans(catalogue: Catalogue, work: Callable[[], object]) -> list[list[str]]:
    """Return how SQLite does each query of a work."""
    said: list[tuple[str, Any]] = []
    engine: Engine = catalogue._engine

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT"):
            said.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    work()
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        return [
            [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in said
        ]


def test_who_was_called_is_gone_from_the_counts_when_a_call_is_erased(
    vittne: Vittne, archive: Archive, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(archive.data, tmp_path / "data"))
    vittne("erase", rec(5), "--reason", "asked", "--data", data)

    found = told(data)

    assert found.total.expected == 6
    assert found.by["number"]["200"].expected == 5
