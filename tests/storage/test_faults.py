"""Targets that are away, slow, full or liars: nothing is taken for a copy that is none, and the next try goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cuts import REC
from deaths import dying
from lives import folder
from rig.bucket import Store
from rig.leaving import leave
from rig.spoiling import Spoiler, spoiling

from vittne.appliance.__main__ import run
from vittne.appliance.seal.verdict import FAILS
from vittne.appliance.seal.verify import verify
from vittne.appliance.storage.fetching import at_hand
from vittne.appliance.storage.table import Stored, StoredTable
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]
Configured = Callable[..., Path]
Table = Callable[..., str]
Work = tuple[Path, Callable[[], int]]


@pytest.fixture
def spoiler(s3: Store) -> Iterator[Spoiler]:
    with spoiling(s3.url) as found:
        yield found


def push(vittne: Vittne, config: Path) -> tuple[int, list[str]]:
    status, out, _ = vittne("storage", "push", "--config", config, "--json")
    (told,) = json.loads(out)
    return status, told["problems"]


def row(data: Path) -> Stored | None:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return next(iter(StoredTable(catalogue).of(REC)), None)


def test_a_store_that_fails_gets_everything_when_it_works_again(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store, spoiler: Spoiler
) -> None:
    config = configured(bucket_table(s3.bucket(), url=spoiler.url))
    spoiler.mode = "500"

    status, (problem,) = push(vittne, config)

    assert (status, "it fails (500" in problem, row(data)) == (1, True, None)
    assert len(spoiler.asked) == 3  # tried again, and then left alone
    spoiler.mode = ""
    assert push(vittne, config) == (0, [])


def test_one_answer_that_fails_is_asked_again(
    vittne: Vittne, configured: Configured, bucket_table: Table, s3: Store, spoiler: Spoiler
) -> None:
    config = configured(bucket_table(s3.bucket(), url=spoiler.url))
    spoiler.mode, spoiler.left = "500", 1

    assert push(vittne, config) == (0, [])


def test_a_store_that_does_not_answer_in_time_is_away(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store, spoiler: Spoiler
) -> None:
    config = configured(bucket_table(s3.bucket(), url=spoiler.url, more="timeout_s = 1"))
    spoiler.mode = "slow"

    status, (problem,) = push(vittne, config)

    assert (status, "cannot be reached (Read timeout" in problem, row(data)) == (1, True, None)


def test_a_store_that_is_away_is_told_of(
    vittne: Vittne, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    config = configured(bucket_table(s3.bucket(), url="http://127.0.0.1:9"))

    status, (problem,) = push(vittne, config)

    assert (status, "cannot be reached" in problem) == (1, True)


def test_a_bit_that_falls_over_on_the_way_is_noticed_by_reading_back(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store, spoiler: Spoiler
) -> None:
    bucket = s3.bucket()
    config = configured(bucket_table(bucket, url=spoiler.url))
    spoiler.mode = "flip"

    status, (problem,) = push(vittne, config)

    assert (status, "what was read back is not what was sent" in problem) == (1, True)
    assert [key for key in s3.keys(bucket) if key.endswith("manifest.json")] == []  # no sign of being whole
    found = row(data)
    assert found is not None
    assert (found.state, found.tries) == ("failed", 1)
    spoiler.mode = ""
    assert push(vittne, config) == (0, [])


def test_an_answer_that_is_cut_short_is_no_copy(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store, spoiler: Spoiler
) -> None:
    config = configured(bucket_table(s3.bucket(), url=spoiler.url))
    spoiler.mode = "cut"

    status, problems = push(vittne, config)

    assert (status, len(problems)) == (1, 1)
    found = row(data)
    assert found is None or found.state != "stored"


def test_a_recording_that_is_damaged_here_is_not_copied(vittne: Vittne, data: Path, configured: Configured) -> None:
    config = configured()
    part = folder(data) / "part-1.floe"
    part.write_bytes(part.read_bytes()[:-1] + b"x")

    status, (problem,) = push(vittne, config)

    assert (status, "a file is not as it was sealed" in problem) == (1, True)


def test_a_full_disk_is_told_of_and_keeps_no_half_file(
    vittne: Vittne, data: Path, configured: Configured, tmp_path: Path
) -> None:
    config = configured()
    disk = tmp_path / "disk"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("needs to mount")
    try:
        filled = disk / "filled"
        filled.write_bytes(bytes(12 << 10))
        status, (problem,) = push(vittne, config)
        assert (status, "no space left on the disk" in problem) == (1, True)
        assert [path for path in disk.rglob("*") if path.name.endswith(".new")] == []

        filled.unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
        assert push(vittne, config) == (0, [])
    finally:
        subprocess.run(["umount", disk], check=True)


def test_nothing_is_copied_to_a_mount_point_that_is_not_mounted(
    vittne: Vittne, configured: Configured, tmp_path: Path
) -> None:
    config = configured(f'name = "disk"\npath = "{tmp_path / "disk"}"\nmounted = true')

    status, (problem,) = push(vittne, config)

    assert (status, "nothing is mounted" in problem, list((tmp_path / "disk").iterdir())) == (1, True, [])


@pytest.mark.sweep
def test_a_copy_killed_at_any_step_is_gone_on_with(data: Path, configured: Configured, tmp_path: Path) -> None:
    config = configured()
    work = ["storage", "push", "--config", str(config)]
    before = shutil.copytree(data, tmp_path / "before")
    at = -1
    died = 0
    while True:
        at += 3  # every third place
        for place in (data, tmp_path / "disk"):
            shutil.rmtree(place)
        shutil.copytree(before, data)
        (tmp_path / "disk").mkdir()
        if not dying(at, lambda: run(work)):
            break
        died += 1
        assert not any(one.name == "manifest.json" for one in copies(tmp_path)) or whole(data, tmp_path)
        assert run(work) == 0
        assert whole(data, tmp_path)
        found = row(data)
        assert found is not None
        assert found.state == "stored"
        assert failed(data) == []
    assert died > 8


@pytest.mark.sweep
def test_parts_that_leave_or_come_back_and_are_killed_at_any_step_are_somewhere_whole(
    vittne: Vittne, data: Path, configured: Configured, tmp_path: Path
) -> None:
    config = configured(keep_local="days: 1")
    push(vittne, config)
    here = shutil.copytree(data, tmp_path / "here")
    leave(data)
    away = shutil.copytree(data, tmp_path / "away")
    died = 0
    leaving: Work = (here, lambda: leave(data))
    fetching: Work = (away, lambda: run(["storage", "fetch", REC, "--config", str(config)]))
    for before, work in (leaving, fetching):
        at = -1
        while True:
            at += 4
            shutil.rmtree(data)
            shutil.copytree(before, data)
            if not dying(at, work):
                break
            died += 1
            assert vittne("scrub", "--now", "--data", data)[0] == 0
            assert failed(data) == []
            work()
            left = len(list(folder(data).glob("part-*")))
            assert left == (0 if before == here else 3)
    assert died > 5


def failed(data: Path) -> list[str]:
    """Return what fails of the recording; its row was written by hand, and is passed over."""
    return [
        one.name for one in verify(data, REC, at_hand=at_hand).checks if one.result == FAILS and one.name != "catalogue"
    ]


def copies(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "disk").glob(f"*/2023/11/14/{REC}/*"))


def whole(data: Path, tmp_path: Path) -> bool:
    there = {path.name: path.read_bytes() for path in copies(tmp_path) if not path.name.startswith(".")}
    return there == {path.name: path.read_bytes() for path in folder(data).iterdir()}
