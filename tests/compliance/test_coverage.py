"""Coverage: answered calls against ledger and disk, times without a recorder, users who are silent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vittne.appliance.compliance.coverage import lost_packets, standstill
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.rows import RunRow

Vittne = Callable[..., tuple[int, str, str]]
DAY = "2026-01-01"


def coverage(vittne: Vittne, data: Path, *more: object) -> tuple[int, Any]:
    status, said, error = vittne("coverage", "--day", DAY, "--json", "--data", data, *more)
    assert not error
    return status, json.loads(said)


def recorded(data: Path) -> list[Path]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return [data / row.folder for row in catalogue.list_calls(Search(outcome="recorded"))]


def test_a_call_without_media_is_missing_with_its_reason_and_the_sums_agree(vittne: Vittne, calls: Path) -> None:
    status, found = coverage(vittne, calls)

    total = found["total"]
    assert (status, total["answered"], total["sealed"], total["missing"]) == (1, 4, 3, 1)
    assert sum(total["outcomes"].values()) == total["answered"]
    assert [(one["reason"], one["numbers"]) for one in found["missing"]] == [("no-media", ["2900", "3900"])]
    assert found["numbers"]["2900"]["missing"] == 1
    assert found["hours"]["0"]["answered"] == 4


def test_a_folder_that_is_gone_is_missing_whatever_the_catalogue_says(vittne: Vittne, calls: Path) -> None:
    shutil.rmtree(recorded(calls)[0])

    _, found = coverage(vittne, calls)

    reasons = {one["reason"] for one in found["missing"]}
    assert (found["total"]["sealed"], reasons) == (2, {"no-media", "the recording is not on the disk"})


def test_a_folder_that_the_ledger_does_not_know_is_no_recording(vittne: Vittne, calls: Path) -> None:
    with Catalogue(calls / "catalogue.db") as catalogue:
        (row, *_) = catalogue.list_calls(Search(outcome="recorded"))
        report = row.as_json() | {"id": "0" * 8 + row.id[8:]}
        catalogue.upsert_call(type(row).from_json(report))

    _, found = coverage(vittne, calls)

    assert "the ledger has no entry that it was sealed" in {one["reason"] for one in found["missing"]}


def test_a_day_begins_by_the_sites_clock(vittne: Vittne, calls: Path, tmp_path: Path) -> None:
    config = tmp_path / "vittne.toml"
    config.write_text('[site]\ntimezone = "America/New_York"\n')

    _, here = coverage(vittne, calls, "--config", config)
    _, said, _ = vittne("coverage", "--day", "2025-12-31", "--json", "--data", calls, "--config", config)

    there = json.loads(said)
    assert (here["total"]["answered"], there["total"]["answered"], list(there["hours"])) == (0, 4, ["19"])


def test_users_in_scope_without_a_recording_are_silent(vittne: Vittne, calls: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("# desk\n2000\n2900\n4711,2025-01-01\n4712,,2025-12-31\n")

    status, found = coverage(vittne, calls, "--users", users)

    assert status == 1
    assert [(one["number"], one["answered"]) for one in found["silent"]] == [("2900", 1), ("4711", 0)]
    assert "4711: no call at all" in vittne("coverage", "--day", DAY, "--users", users, "--data", calls)[1]


def test_a_file_of_users_that_is_none_is_told_by_its_line(vittne: Vittne, calls: Path, tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("2000\n2001,tomorrow\n")

    status, _, error = vittne("coverage", "--day", DAY, "--users", users, "--data", calls)

    assert (status, "line 2 is no user" in error) == (1, True)


def run(begin: int, end: int | None, **drops: int) -> RunRow:
    return RunRow(("eth1",), begin, "test", end, drops={name: {"full": n} for name, n in drops.items()})


@pytest.mark.parametrize(
    ("runs", "spans"),
    [
        ([], []),
        ([run(0, None)], []),
        ([run(20, None)], []),
        ([run(0, 30), run(50, None)], [(30, 50)]),
        ([run(0, None), run(50, None)], [(10, 50)]),
        ([run(0, 40)], [(40, 100)]),
        ([run(0, 5), run(200, None)], [(10, 100)]),
    ],
    ids=["no-run", "goes-on", "began-late", "restart", "crash", "stopped", "all-of-it"],
)
def test_times_without_a_recorder_are_told(runs: list[RunRow], spans: list[tuple[int, int]]) -> None:
    assert standstill(runs, 10, 100) == spans


def test_lost_packets_are_those_of_runs_that_touch_the_time() -> None:
    assert lost_packets([run(0, 5, nic=7), run(6, 20, nic=1, ring=2), run(90, None)], 10, 80) == {"nic": 1, "ring": 2}
