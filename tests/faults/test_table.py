"""The fault table, small: what is lost, what is damaged and which alarms are raised when something fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from faults import deeds, disks
from faults.stage import Deed, Result, Stage, run

pytestmark = pytest.mark.faults
CALLS = 32
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")

KILLED = [
    (deeds.worker_killed, 75, {"worker-died"}),
    (deeds.parent_killed, 12, set()),
    (deeds.both_killed, 12, set()),
    (deeds.worker_stopped, 10, set()),
    (deeds.parent_stopped, 10, set()),
    (deeds.analysis_killed, 14, set()),
    (deeds.keys_killed, 22, set()),
]


def nothing_is_damaged(found: Result) -> None:
    assert (found.tally.damaged, found.tally.twice, found.tally.spoilt) == ([], 0, 0), found
    assert found.tally.calls == CALLS


@pytest.mark.parametrize(("deed", "talk_s", "alarms"), KILLED, ids=[one[0].__name__ for one in KILLED])
def test_a_process_that_is_killed_or_stopped_costs_no_packet(
    tmp_path: Path, deed: Deed, talk_s: float, alarms: set[str]
) -> None:
    found = run(Stage(tmp_path, CALLS, talk_s), deed)

    nothing_is_damaged(found)
    assert (found.tally.lost, found.tally.outcomes) == (0, {"recorded": CALLS}), found
    assert alarms <= set(found.alarms)


def test_a_configuration_that_is_broken_at_a_reload_costs_no_packet(tmp_path: Path) -> None:
    found = run(Stage(tmp_path, CALLS, 14), deeds.config_broken)

    nothing_is_damaged(found)
    assert (found.tally.lost, found.tally.outcomes) == (0, {"recorded": CALLS}), found
    assert "configuration" in found.alarms
    assert "configuration" in found.cleared


@needs_root
@pytest.mark.parametrize(("deed", "talk_s"), [(disks.disk_hangs, 14), (disks.disk_slow, 20)])
def test_a_disk_that_stands_still_for_seconds_costs_no_packet(tmp_path: Path, deed: disks.Deed, talk_s: float) -> None:
    with disks.mounted(tmp_path) as disk:
        found = run(disks.on_disk(Stage(tmp_path, CALLS, talk_s), disk), lambda _: deed(disk))

    nothing_is_damaged(found)
    assert (found.tally.lost, found.tally.outcomes) == (0, {"recorded": CALLS}), found


@needs_root
def test_a_full_disk_damages_nothing_and_is_an_alarm(tmp_path: Path) -> None:
    with disks.mounted(tmp_path) as disk:
        found = run(disks.on_disk(Stage(tmp_path, CALLS, 22), disk), lambda stage: disks.disk_full(disk, stage))

    nothing_is_damaged(found)
    assert found.tally.outcomes == {"partial disk": CALLS}
    assert {"write-failed", "disk-full", "disk-no-room"} <= set(found.alarms)
    assert "disk-no-room" in found.cleared


@needs_root
def test_a_disk_that_became_read_only_ends_no_worker_and_what_was_written_is_there(tmp_path: Path) -> None:
    with disks.mounted(tmp_path) as disk:
        found = disks.read_only(disks.on_disk(Stage(tmp_path, CALLS, 18), disk), disk)

    nothing_is_damaged(found)
    assert (found.tally.outcomes, found.tally.holes) == ({"partial restart": CALLS}, 0)
    assert "write-failed" in found.alarms
    assert "worker-died" not in found.alarms


@needs_root
def test_a_power_cut_leaves_everything_before_it_whole(tmp_path: Path) -> None:
    with disks.mounted(tmp_path) as disk:
        found = disks.power_cut(disks.on_disk(Stage(tmp_path, CALLS, 12), disk), disk)

    nothing_is_damaged(found)
    assert (found.tally.outcomes, found.tally.holes) == ({"partial restart": CALLS}, 0)
    assert found.tally.stored > 0
