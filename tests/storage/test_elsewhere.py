"""Recordings that are kept elsewhere only: whoever opens one has it brought back, and nothing takes it for lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest
from cuts import REC, cut_span, three_parts
from deaths import dying
from lives import DAY_US, classed, folder
from rig.bucket import Store
from rig.leaving import leave
from running import running

from vittne.appliance.__main__ import run
from vittne.appliance.control.client import perform
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.keys import KeyStore
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_key
from vittne.appliance.seal.verdict import FAILS, UNCHECKED
from vittne.appliance.seal.verify import verify, verify_all
from vittne.appliance.storage.fetching import Elsewhere, at_hand, bring_back, is_away
from vittne.appliance.storage.operation import ENTER_STORED, entering
from vittne.appliance.storage.table import StoredTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]
Configured = Callable[..., Path]
Table = Callable[..., str]


@pytest.fixture
def config(vittne: Vittne, data: Path, configured: Configured) -> Path:
    """A configuration; the recording was copied to the second path."""
    found = configured(keep_local="days: 1")
    assert vittne("storage", "push", "--config", found)[0] == 0
    return found


@pytest.fixture
def away(config: Path, data: Path) -> Path:
    """The same, and its parts left this machine."""
    assert leave(data) == 1
    return config


def parts(data: Path) -> list[str]:
    return sorted(path.name for path in folder(data).glob("part-*"))


def failed(data: Path) -> list[str]:
    """Return what fails of the recording; its row was written by hand, and is passed over."""
    return [
        one.name for one in verify(data, REC, at_hand=at_hand).checks if one.result == FAILS and one.name != "catalogue"
    ]


def entries(data: Path, kind: str) -> list[dict[str, Json]]:
    found: list[dict[str, Json]] = []
    scan_ledger(data / "ledger", load_key(data / "keys").verifier, lambda _, entry: found.append(read_entry(entry)))
    return [entry for entry in found if entry["t"] == kind]


def test_what_left_is_entered_and_its_manifest_stays(away: Path, data: Path) -> None:
    assert parts(data) == []
    assert sorted(path.name for path in folder(data).iterdir()) == ["manifest.json", "manifest.sig"]
    (copied,) = entries(data, "storage.copy")
    assert set(copied) == {"t", "at", "rec", "target", "manifest"}
    assert [entry["rec"] for entry in entries(data, "storage.leave")] == [REC]


def test_nothing_leaves_that_was_not_copied(data: Path, configured: Configured, vittne: Vittne) -> None:
    vittne("storage", "status", "--config", configured(keep_local="days: 1"))

    assert leave(data) == 0
    assert len(parts(data)) == 3


def test_what_is_immutable_here_leaves_only_for_a_target_that_locks(config: Path, data: Path) -> None:
    classed(data, "mifid", now_us() + DAY_US, now_us() + 2 * DAY_US)

    assert leave(data, immutable=True) == 0
    assert len(parts(data)) == 3


def test_exporting_brings_it_back(vittne: Vittne, away: Path, data: Path, tmp_path: Path) -> None:
    status, _, _ = vittne("export", REC, "--data", data, "-o", tmp_path / "call.wav")

    assert status == 0
    assert (tmp_path / "call.wav").stat().st_size > 1000
    assert len(parts(data)) == 3
    assert failed(data) == []


def test_a_bundle_has_what_was_elsewhere(vittne: Vittne, away: Path, data: Path, tmp_path: Path) -> None:
    status, _, error = vittne("bundle", REC, "-o", tmp_path / "case.zip", "--sealed", "--data", data)

    assert status == 0, error
    with ZipFile(tmp_path / "case.zip") as bundle:
        assert len([name for name in bundle.namelist() if name.endswith(".floe")]) == 3


def test_fetch_brings_it_back_and_after_the_days_it_leaves_again(vittne: Vittne, away: Path, data: Path) -> None:
    status, out, _ = vittne("storage", "fetch", REC[:8], "--config", away, "--json")

    assert (status, json.loads(out)) == (0, [{"recording": REC, "fetched": True, "problem": ""}])
    assert len(parts(data)) == 3
    assert leave(data) == 1
    assert parts(data) == []


def test_verifying_checks_the_content_and_leaves_nothing_behind(away: Path, data: Path) -> None:
    checks = {one.name: one.result for one in verify(data, REC, at_hand=at_hand).checks}

    assert (checks["files"], checks["content"], parts(data)) == ("holds", "holds", [])
    assert [one.name for v in verify_all(data, at_hand=at_hand) for one in v.checks if one.result == FAILS] == [
        "catalogue"
    ]


def test_a_target_that_is_away_is_named_and_nothing_is_called_wrong(
    vittne: Vittne, away: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").rename(tmp_path / "unplugged")

    status, _, error = vittne("export", REC, "--data", data, "-o", tmp_path / "call.wav")
    checks = {one.name: one for one in verify(data, REC, at_hand=at_hand).checks}

    assert status == 1
    assert "kept elsewhere and cannot be brought back" in error
    assert "disk: the second path is not there" in error
    assert (checks["files"].result, checks["content"].result) == (UNCHECKED, UNCHECKED)
    assert vittne("scrub", "--now", "--data", data)[0] == 0


def test_a_copy_that_was_altered_is_not_brought_back(vittne: Vittne, away: Path, data: Path, tmp_path: Path) -> None:
    (copy,) = (tmp_path / "disk").rglob("part-1.floe")
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")

    status, _, _ = vittne("storage", "fetch", REC, "--config", away)

    assert (status, parts(data)) == (1, [])
    assert vittne("storage", "check", "--config", away)[0] == 0  # names and sizes are as they were
    status, out, _ = vittne("storage", "check", "--read", "--config", away)
    assert (status, "not as it was sealed" in out) == (1, True)
    assert [entry["rec"] for entry in entries(data, "storage.damage")] == [REC]
    assert vittne("storage", "status", "--config", away)[0] == 1


def test_a_damaged_copy_is_made_anew_from_what_is_here(
    vittne: Vittne, config: Path, data: Path, tmp_path: Path
) -> None:
    (copy,) = (tmp_path / "disk").rglob("part-1.floe")
    copy.unlink()
    assert vittne("storage", "check", "--config", config)[0] == 1

    assert vittne("storage", "push", "--config", config)[0] == 0

    assert vittne("storage", "check", "--read", "--config", config)[0] == 0


def test_a_parts_file_that_is_removed_here_is_still_damage(vittne: Vittne, config: Path, data: Path) -> None:
    (folder(data) / "part-1.floe").unlink()

    assert vittne("scrub", "--now", "--data", data)[0] == 1
    assert failed(data) == ["files"]


def test_a_cut_brings_it_back_and_the_copy_becomes_that_of_the_new_version(
    vittne: Vittne, configured: Configured, data: Path, tmp_path: Path
) -> None:
    shutil.rmtree(data)
    three_parts(data)
    config = configured(keep_local="days: 1")
    assert vittne("storage", "push", "--config", config)[0] == 0
    assert leave(data) == 1
    span = ("--from", "+1.2", "--to", "+1.4")
    status, _, error = vittne("cut", REC, *span, "--reason", "card", "--yes", "--data", data)
    assert status == 0, error

    assert vittne("storage", "push", "--config", config)[0] == 0

    (place,) = (tmp_path / "disk").glob(f"*/2023/11/14/{REC}")
    assert {path.name for path in place.iterdir()} == {path.name for path in folder(data).iterdir()}
    assert (place / "manifest.json").read_bytes() == (folder(data) / "manifest.json").read_bytes()
    assert leave(data) == 1
    assert failed(data) == []


def test_a_cut_while_it_is_copied_has_it_copied_anew(vittne: Vittne, config: Path, data: Path, tmp_path: Path) -> None:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        (before,) = StoredTable(catalogue).of(REC)
    cut_span(data, 1200, 1400)

    perform(data, ENTER_STORED, entering([before]))  # the process that copied knew nothing of the cut

    assert vittne("storage", "push", "--config", config)[0] == 0
    (copy,) = (tmp_path / "disk").rglob("manifest.json")
    assert copy.read_bytes() == (folder(data) / "manifest.json").read_bytes()


def test_a_cut_while_it_is_verified_keeps_the_parts_that_nobody_else_has(
    configured: Configured, vittne: Vittne, data: Path
) -> None:
    shutil.rmtree(data)
    three_parts(data)
    assert vittne("storage", "push", "--config", configured(keep_local="days: 1"))[0] == 0
    assert leave(data) == 1

    with at_hand(data, folder(data)) as words:
        assert words == ""
        cut_span(data, 1200, 1400)
        kept = parts(data)

    assert parts(data) == kept != []
    assert failed(data) == []


def test_what_is_erased_while_it_is_brought_back_stays_away(vittne: Vittne, away: Path, data: Path) -> None:
    def erase(_: int) -> None:
        assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0
        erased.append(True)

    erased: list[bool] = []
    with pytest.raises(Elsewhere, match="is erased"):
        bring_back(data, folder(data), lambda count: None if erased else erase(count))

    assert erased
    assert parts(data) == []


def test_what_is_brought_back_leaves_a_recorder_its_room(
    vittne: Vittne, away: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(f_bavail=100, f_frsize=4096, f_blocks=10_000)
    monkeypatch.setattr(os, "fstatvfs", lambda _: full)

    status, out, _ = vittne("storage", "fetch", REC, "--config", away)

    assert (status, parts(data)) == (1, [])
    assert "no space left but what recording needs" in out


def test_a_copy_of_another_version_lets_nothing_leave(config: Path, data: Path) -> None:
    with Catalogue(data / "catalogue.db") as catalogue:
        table = StoredTable(catalogue)
        (row,) = table.of(REC)
        table.put([replace(row, manifest="0" * 64)])  # of a catalogue that was put back after a cut

    assert leave(data) == 0
    assert len(parts(data)) == 3


def test_erasing_needs_no_target_and_the_copy_goes_after_it(
    vittne: Vittne, away: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0
    keys = KeyStore(data / "keys.db")
    assert keys.parts(REC) == []
    keys.close()
    (tmp_path / "unplugged").rename(tmp_path / "disk")

    assert vittne("storage", "push", "--config", away)[0] == 0

    left = sorted(path.name for path in (tmp_path / "disk").rglob("*") if path.is_file())
    assert left == ["certificate.json", "certificate.sig", "manifest.json", "manifest.sig", "vittne.json"]
    assert [entry["rec"] for entry in entries(data, "storage.remove")] == [REC]


def test_what_a_killed_copy_left_goes_when_its_recording_is_erased(
    vittne: Vittne, data: Path, configured: Configured, tmp_path: Path
) -> None:
    config = configured()
    assert dying(20, lambda: run(["storage", "push", "--config", str(config)]))
    assert list((tmp_path / "disk").rglob("part-*.floe")) != []
    assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0

    assert vittne("storage", "push", "--config", config)[0] == 0

    assert list((tmp_path / "disk").rglob("part-*.floe")) == []


def test_of_two_targets_the_one_that_has_it_whole_gives_it_back_and_mends_the_other(
    vittne: Vittne, data: Path, configured: Configured, bucket_table: Table, s3: Store, tmp_path: Path
) -> None:
    disk = f'name = "disk"\npath = "{tmp_path / "disk"}"'
    config = configured(disk, bucket_table(s3.bucket()), keep_local="days: 1")
    assert vittne("storage", "push", "--config", config)[0] == 0
    assert leave(data) == 1
    (copy,) = (tmp_path / "disk").rglob("part-1.floe")
    sealed = copy.read_bytes()
    copy.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))

    assert vittne("storage", "check", "--read", "--target", "disk", "--config", config)[0] == 1
    assert vittne("storage", "push", "--config", config)[0] == 0

    assert copy.read_bytes() == sealed
    assert vittne("storage", "check", "--read", "--config", config)[0] == 0
    assert failed(data) == []


def test_a_backup_says_that_it_is_elsewhere_and_what_is_restored_finds_it(
    vittne: Vittne, away: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "backup").mkdir()
    status, out, error = vittne("backup", tmp_path / "backup", "--data", data)
    assert (status, "1 recordings are in the backup" in out) == (0, True), error

    key = data / "keys/keyring.json"
    status, out, error = vittne("restore", tmp_path / "backup", "--to", tmp_path / "restored", "--archive-key", key)

    assert (status, error) == (0, "")
    assert is_away(tmp_path / "restored", REC)
    assert vittne("export", REC, "--data", tmp_path / "restored", "-o", tmp_path / "call.wav")[0] == 0


def test_a_rebuilt_catalogue_knows_what_is_elsewhere(vittne: Vittne, away: Path, data: Path) -> None:
    status, out, error = vittne("rebuild", "--data", data)

    assert (status, "1 recordings, 0 of which" in out) == (0, True), error
    assert (is_away(data, REC), parts(data)) == (True, [])


def test_a_lost_catalogue_and_a_lost_disk_are_learnt_anew_from_the_target(
    vittne: Vittne, away: Path, data: Path
) -> None:
    shutil.rmtree(data / "recordings")
    for path in data.glob("catalogue*"):
        path.unlink()
    Registrar(data).close()

    status, out, error = vittne("storage", "scan", "--config", away, "--json")

    assert (status, json.loads(out)) == (0, [{"target": "disk", "found": 1, "made": 1, "problems": []}]), error
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        row = catalogue.get(REC)
        assert (row.caller, row.outcome, row.folder) == (
            "sip:100@example.org",
            "recorded",
            str(folder(data).relative_to(data)),
        )
        assert StoredTable(catalogue).is_away(REC)
    assert verify(data, REC, at_hand=at_hand).ok
    assert parts(data) == []


def test_a_scan_takes_in_nothing_that_is_not_ours(vittne: Vittne, away: Path, data: Path, tmp_path: Path) -> None:
    (place,) = (tmp_path / "disk").glob(f"*/2023/11/14/{REC}")
    text = (place / "manifest.json").read_bytes()
    (place / "manifest.json").write_bytes(text.replace(b'"sealed"', b'"crash"'))
    other = place.with_name("00000008-0000-0000-0000-000000000000")
    shutil.copytree(place, other)
    (other / "manifest.json").write_bytes(text)

    status, out, _ = vittne("storage", "scan", "--config", away, "--json")

    (told,) = json.loads(out)
    assert (status, told["found"], told["made"]) == (1, 0, 0)
    assert any("no valid signature" in words for words in told["problems"])
    assert any("another recording's" in words for words in told["problems"])


def test_two_archives_share_a_target(
    vittne: Vittne, config: Path, data: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "data"
    three_parts(other)

    assert vittne("storage", "push", "--config", config, "--data", other)[0] == 0

    assert len(list((tmp_path / "disk").iterdir())) == 2
    assert vittne("storage", "scan", "--config", config)[0] == 0


def test_a_folder_that_another_archive_claimed_is_left_alone(vittne: Vittne, config: Path, tmp_path: Path) -> None:
    (box,) = (tmp_path / "disk").glob("*/vittne.json")
    box.write_text(json.dumps({"v": 1, "ledger": "somebody else"}))

    status, out, _ = vittne("storage", "push", "--config", config)

    assert (status, "another archive's" in out) == (1, True)


def test_no_target_and_no_secret_of_one_is_in_the_ledger(away: Path, data: Path) -> None:
    ledger = b"".join(path.read_bytes() for path in (data / "ledger").rglob("*") if path.is_file())

    assert b"disk" not in ledger


def test_a_recorder_that_runs_enters_what_a_command_copies(vittne: Vittne, data: Path, configured: Configured) -> None:
    config = configured()
    with running(data):
        assert vittne("storage", "push", "--config", config)[0] == 0
        with sqlite3.connect(data / "catalogue.db") as database:
            assert database.execute("SELECT state FROM stored").fetchall() == [("stored",)]
