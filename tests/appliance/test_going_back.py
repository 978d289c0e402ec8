"""Before an upgrade: the configuration is checked, the catalogue copied; and after one that failed, put back."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from vittne.appliance import catalogue_copies
from vittne.appliance.cli import dispatch
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock, LockHeld
from vittne.appliance.store.rows import RunRow
from vittne.appliance.store.tables import HEAD

NEWER = "9999"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose catalogue knows one run."""
    folder = tmp_path / "data"
    folder.mkdir()
    with contextlib.closing(Catalogue(folder / CATALOGUE_FILE)) as catalogue:
        catalogue.put_run(RunRow(("eth1",), 1_700_000_000_000_000, "before"))
    return folder


def make_newer(data: Path) -> sqlite3.Connection:
    """Do what a newer program's first start does, and leave its journal there: it was killed."""
    writer = sqlite3.connect(data / CATALOGUE_FILE, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE alembic_version SET version_num = ?", (NEWER,))
    return writer


def test_a_catalogue_that_is_too_new_is_replaced_by_the_copy(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert catalogue_copies.copy(data, copy) == HEAD
    with contextlib.closing(make_newer(data)):
        pass
    with pytest.raises(StoreError, match=NEWER):
        Catalogue(data / CATALOGUE_FILE)

    assert catalogue_copies.put_back(data, copy, 0).replaced

    with contextlib.closing(Catalogue(data / CATALOGUE_FILE)) as catalogue:
        assert [run.version for run in catalogue.runs()] == ["before"]
    assert catalogue_copies.version_of(data / catalogue_copies.NEWER_FILE) == NEWER
    assert stat.S_IMODE((data / CATALOGUE_FILE).stat().st_mode) == 0o600


def test_what_a_killed_program_left_in_its_journal_is_not_played_into_the_copy(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    catalogue_copies.copy(data, copy)
    writer = make_newer(data)
    try:
        assert (data / f"{CATALOGUE_FILE}-wal").stat().st_size > 0

        catalogue_copies.put_back(data, copy, 0)

        assert catalogue_copies.version_of(data / CATALOGUE_FILE) == HEAD
    finally:
        writer.close()


def test_a_catalogue_that_this_program_can_use_is_left_alone(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    catalogue_copies.copy(data, copy)
    with contextlib.closing(Catalogue(data / CATALOGUE_FILE)) as catalogue:
        catalogue.put_run(RunRow(("eth1",), 1_700_000_001_000_000, "since"))

    assert not catalogue_copies.put_back(data, copy, 0).replaced

    with contextlib.closing(Catalogue(data / CATALOGUE_FILE)) as catalogue:
        assert {run.version for run in catalogue.runs()} == {"before", "since"}


def test_what_is_no_catalogue_of_ours_is_not_put_in_its_place(data: Path, tmp_path: Path) -> None:
    make_newer(data).close()
    newer = tmp_path / "newer.db"
    catalogue_copies.copy(data, newer)
    text = tmp_path / "text.db"
    text.write_text("no database")

    for wrong in (newer, text, tmp_path / "nothing.db"):
        with pytest.raises(StoreError):
            catalogue_copies.put_back(data, wrong, 0)

    assert catalogue_copies.version_of(data / CATALOGUE_FILE) == NEWER


def test_it_waits_for_a_recorder_to_let_go_of_the_directory(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    catalogue_copies.copy(data, copy)
    make_newer(data).close()
    lock = DataLock(data, "recording")
    with pytest.raises(LockHeld):
        catalogue_copies.put_back(data, copy, 0)
    letting_go = threading.Timer(0.2, lock.close)
    letting_go.start()

    assert catalogue_copies.put_back(data, copy, 60).replaced

    letting_go.join()


def test_a_configuration_is_checked_before_it_is_put_in_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, open_to_all = tmp_path / "good.toml", tmp_path / "bad.toml", tmp_path / "open.toml"
    good.write_text('interfaces = ["eth1"]\n[api]\nport = 8443\n')
    bad.write_text('hold_back_s = 900\ninterfases = ["eth1"]\n')
    open_to_all.write_text('[[rules]]\nname = "stop"\non = "sdp"\n')

    assert dispatch(["config", "check", str(good)]) == 0
    assert "good" in capsys.readouterr().out
    with pytest.raises(StoreError, match=r"(?s)hold_back_s.*interfases|interfases.*hold_back_s"):
        dispatch(["config", "check", str(bad)])
    with pytest.raises(StoreError, match="obey anybody"):
        dispatch(["config", "check", str(open_to_all)])
