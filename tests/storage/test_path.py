"""Copies on a second path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cuts import REC
from lives import DAY_US, classed, folder

from vittne.appliance.life.immutable import is_immutable, release, why_not
from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]
Configured = Callable[..., Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """The second path; pytest can remove it afterwards."""
    yield tmp_path / "disk"
    for path in (tmp_path / "disk").rglob("*"):
        if path.is_file() and is_immutable(path):
            release(path)


def place(disk: Path) -> Path:
    """Return the copy's folder."""
    (found,) = disk.glob(f"*/2023/11/14/{REC}")
    return found


def test_a_recording_is_copied_as_it_was_sealed(vittne: Vittne, data: Path, configured: Configured, disk: Path) -> None:
    config = configured()

    status, out, error = vittne("storage", "push", "--config", config, "--json")

    assert (status, error) == (0, "")
    assert json.loads(out)[0]["done"] == 1
    assert {path.name: path.read_bytes() for path in place(disk).iterdir()} == {
        path.name: path.read_bytes() for path in folder(data).iterdir()
    }
    assert {path.stat().st_mode & 0o077 for path in disk.rglob("*")} == {0}


def test_nothing_is_copied_twice(vittne: Vittne, configured: Configured, disk: Path) -> None:
    config = configured()
    vittne("storage", "push", "--config", config)
    written = {path: path.stat().st_mtime_ns for path in disk.rglob("part-*")}

    status, out, _ = vittne("storage", "push", "--config", config, "--json")

    assert (status, json.loads(out)[0]["done"]) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in disk.rglob("part-*")} == written


def test_locked_recordings_are_immutable_there_and_a_file_system_without_the_flag_says_so(
    vittne: Vittne, data: Path, configured: Configured, disk: Path
) -> None:
    config = configured(f'name = "disk"\npath = "{disk}"\nlock = "immutable"')
    classed(data, "mifid", now_us() + DAY_US, now_us() + DAY_US)

    status, out, _ = vittne("storage", "push", "--config", config)

    if why_not(disk) is not None:
        assert (status, "promises the immutable flag and has none" in out) == (1, True)
        assert list(disk.rglob("part-*")) == []
        return
    assert status == 0
    assert all(is_immutable(path) for path in place(disk).iterdir())

    classed(data, "mifid", now_us() - 1, now_us() - 1)
    assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0
    assert vittne("storage", "push", "--config", config)[0] == 0
    assert list(disk.rglob("part-*")) == []


def test_a_path_in_the_data_directory_is_no_second_one(vittne: Vittne, data: Path, configured: Configured) -> None:
    (data / "copies").mkdir()

    status, out, _ = vittne("storage", "check", "--config", configured(f'name = "disk"\npath = "{data / "copies"}"'))

    assert (status, "lies in the data directory" in out) == (1, True)
