"""Backups: what is in them, what goes, what is refused, and what comes back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cuts import REC
from ledgers import entries
from recordings import record
from running import running
from scenarios import basic

from vittne.appliance.backup.place import Place
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events

Vittne = Callable[..., tuple[int, str, str]]
FOLDER = Path("recordings/2023/11/14") / REC


def back_up(vittne: Vittne, data: Path, dest: Path) -> tuple[int, str, str]:
    return vittne("backup", dest, "--data", data)


def restored(vittne: Vittne, dest: Path, to: Path, *more: object) -> Path:
    status, _, error = vittne("restore", dest, "--to", to, *more)
    assert status == 0, error
    return to


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_archive_that_was_restored_holds_and_plays(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    status, out, error = back_up(vittne, data, dest)
    assert (status, "2 recordings" in out) == (0, True), error
    shutil.rmtree(data)

    to = restored(vittne, dest, tmp_path / "to")

    status, out, _ = vittne("verify", "--all", "--data", to)
    assert (status, "2 with nothing wrong" in out) == (0, True), out
    assert vittne("rebuild", "--check", "--data", to)[0] == 0
    status, _, error = vittne("export", REC, "-o", tmp_path / "call.wav", "--data", to)
    assert status == 0, error
    (entry,) = [entry for entry in entries(to) if entry["t"] == events.RESTORED]
    assert (entry["recordings"], entry["missing"], entry["lost"]) == (2, 0, 0)


def test_the_second_backup_copies_only_what_is_new(vittne: Vittne, data: Path, dest: Path) -> None:
    back_up(vittne, data, dest)
    inodes = {path: path.stat().st_ino for path in dest.glob("recordings/**/part-*")}

    status, out, _ = back_up(vittne, data, dest)

    assert (status, "0 were copied" in out) == (0, True)
    assert {path: path.stat().st_ino for path in dest.glob("recordings/**/part-*")} == inodes
    told = [entry for entry in entries(data) if entry["t"] == events.BACKED_UP]
    assert [(entry["recordings"], entry["copied"], entry["missing"]) for entry in told] == [(2, 2, 0), (2, 0, 0)]


def test_a_backup_beside_a_recorder_asks_it_for_a_state(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    with running(data):
        status, _, error = back_up(vittne, data, dest)

    assert status == 0, error
    assert vittne("verify", "--all", "--data", restored(vittne, dest, tmp_path / "to"))[0] == 0


def test_a_cut_recording_takes_the_place_of_its_former_version(
    vittne: Vittne, data: Path, dest: Path, tmp_path: Path
) -> None:
    back_up(vittne, data, dest)
    former = (dest / FOLDER / "part-0.floe").read_bytes()
    status, _, error = vittne(
        *("cut", REC, "--from", "+0.2", "--to", "+0.7", "--reason", "card", "--yes", "--data", data)
    )
    assert status == 0, error

    back_up(vittne, data, dest)

    assert former not in files(dest).values()
    assert files(dest / FOLDER) == files(data / FOLDER)
    assert vittne("verify", "--all", "--data", restored(vittne, dest, tmp_path / "to"))[0] == 0


def test_what_was_erased_goes_from_the_backup_too(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    back_up(vittne, data, dest)
    assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0

    back_up(vittne, data, dest)

    assert sorted(path.name for path in (dest / FOLDER).iterdir()) == ["manifest.json", "manifest.sig"]
    to = restored(vittne, dest, tmp_path / "to")
    assert vittne("verify", "--all", "--data", to)[0] == 0
    assert vittne("erase", "--certificate", REC, "--data", to)[0] == 0


def test_an_older_snapshot_brings_no_erased_call_back(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    back_up(vittne, data, dest)
    assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0
    back_up(vittne, data, dest)
    first = json.loads(vittne("backup", dest, "--list", "--json")[1])[0]["at"]

    to = restored(vittne, dest, tmp_path / "to", "--snapshot", first)

    registrar = Registrar(to)
    assert registrar.keys.parts(REC) == []
    registrar.close()
    assert vittne("verify", "--all", "--data", to)[0] == 0


def test_a_call_that_was_going_on_is_ended_by_an_entry(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    registrar = Registrar(data)
    going_on = "11111111-2222-4333-8444-555555555555"
    registrar.ledger.record({"t": events.OPENED, "rec": going_on, "part": 0, "capsule": "00" * 32})
    folder = registrar.store.open_recording(going_on, 1_700_000_000_000_000)
    (folder / "part-0.floe").write_bytes(b"half")
    registrar.ledger.flush()
    registrar.close()
    with running(data):
        assert back_up(vittne, data, dest)[0] == 0

    to = restored(vittne, dest, tmp_path / "to")

    assert [entry["reason"] for entry in entries(to) if entry["t"] == events.DISCARDED] == ["not-in-backup"]
    assert vittne("verify", "--all", "--data", to)[0] == 0


def test_a_place_with_something_else_in_it_is_refused(vittne: Vittne, data: Path, dest: Path) -> None:
    (dest / "letters").write_text("mine")

    status, _, error = back_up(vittne, data, dest)

    assert (status, "something else is in there" in error) == (1, True)
    assert [path.name for path in dest.iterdir()] == ["letters"]


def test_the_backup_of_another_archive_is_left_alone(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = record(basic.basic_call(), tmp_path / "other").data
    back_up(vittne, other, dest)
    before = files(dest)

    status, _, error = back_up(vittne, data, dest)

    assert (status, "another archive" in error) == (1, True)
    assert files(dest) == before


def test_a_backup_that_is_ahead_is_not_rolled_back(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    last_week = shutil.copytree(data, tmp_path / "last week")
    vittne("erase", REC, "--reason", "asked", "--data", data)
    back_up(vittne, data, dest)

    status, _, error = back_up(vittne, last_week, dest)

    assert (status, "it would be rolled back" in error) == (1, True)


def test_two_do_not_write_at_once(vittne: Vittne, data: Path, dest: Path) -> None:
    back_up(vittne, data, dest)
    from vittne.appliance.seal.signing import load_verifier  # noqa: PLC0415

    with Place.open(dest, load_verifier(data / "keys")):
        status, _, error = back_up(vittne, data, dest)

    assert (status, "another backup is being written" in error) == (1, True)


def test_a_damaged_recording_is_named_and_the_good_copy_kept(vittne: Vittne, data: Path, dest: Path) -> None:
    part = data / FOLDER / "part-1.floe"
    good = part.read_bytes()
    part.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))

    status, _, error = back_up(vittne, data, dest)

    assert (status, REC in error, "not what was sealed" in error) == (1, True, True)
    assert not (dest / FOLDER).exists()
    part.write_bytes(good)
    assert back_up(vittne, data, dest)[0] == 0
    assert (dest / FOLDER / "part-1.floe").read_bytes() == good


def test_the_backup_alone_neither_opens_nor_signs(vittne: Vittne, data: Path, dest: Path) -> None:
    back_up(vittne, data, dest)

    everything = b"".join(files(dest).values())
    ledger_key = (data / "keys/ledger.key").read_bytes().splitlines()[1]
    assert ledger_key not in everything
    assert b'"provider": "passphrase"' in everything
    assert b"BEGIN PRIVATE KEY" not in everything


def test_a_key_without_passphrase_stays_out_and_is_given_at_the_restore(
    vittne: Vittne, tmp_path: Path, dest: Path
) -> None:
    data = record(basic.basic_call(), tmp_path).data
    assert "no passphrase" in back_up(vittne, data, dest)[2]
    assert b"PRIVATE KEY" not in b"".join(files(dest).values())

    status, _, error = vittne("restore", dest, "--to", tmp_path / "to")
    assert (status, "--archive-key" in error) == (1, True)

    to = restored(vittne, dest, tmp_path / "to", "--archive-key", data / "keys/keyring.json")
    assert vittne("verify", "--all", "--data", to)[0] == 0


def test_old_copies_of_keys_go(vittne: Vittne, data: Path, dest: Path) -> None:
    back_up(vittne, data, dest)
    (old,) = (dest / "snapshots").iterdir()
    said = json.loads((old / "snapshot.json").read_text())
    said["at"] = "2024-01-01T00:00:00.000000Z"
    (old / "snapshot.json").write_text(json.dumps(said))
    old = old.rename(old.with_name("20240101T000000.000000Z"))

    back_up(vittne, data, dest)

    assert not old.exists()
    assert len(list((dest / "snapshots").iterdir())) == 1


def test_after_a_key_epoch_no_copy_of_the_keys_before_it_stays(
    vittne: Vittne, data: Path, dest: Path, tmp_path: Path
) -> None:
    back_up(vittne, data, dest)
    (old,) = (dest / "snapshots").iterdir()
    status, _, error = vittne("keys", "epoch", "--backup", tmp_path / "keys.backup", "--data", data)
    assert status == 0, error

    back_up(vittne, data, dest)

    assert not old.exists()
    to = restored(vittne, dest, tmp_path / "to")
    assert vittne("verify", "--all", "--data", to)[0] == 0


def test_an_altered_snapshot_is_not_restored(vittne: Vittne, data: Path, dest: Path, tmp_path: Path) -> None:
    back_up(vittne, data, dest)
    (snapshot,) = (dest / "snapshots").iterdir()
    path = snapshot / "catalogue.db"
    path.write_bytes(path.read_bytes() + b"x")

    status, _, error = vittne("restore", dest, "--to", tmp_path / "to")

    assert (status, "was altered" in error) == (1, True)
    assert [one.name for one in (tmp_path / "to").iterdir()] == []


def test_a_directory_with_something_in_it_is_not_restored_into(vittne: Vittne, data: Path, dest: Path) -> None:
    back_up(vittne, data, dest)

    status, _, error = vittne("restore", dest, "--to", data)

    assert (status, "not empty" in error) == (1, True)


@pytest.mark.parametrize("times", [1, 2])
def test_a_ledger_of_many_entries_comes_back_whole(
    vittne: Vittne, data: Path, dest: Path, tmp_path: Path, times: int
) -> None:
    for _ in range(times):
        registrar = Registrar(data)
        for n in range(700):
            registrar.ledger.record({"t": events.GAP, "reason": "test", "packets": n})
        registrar.close()
        back_up(vittne, data, dest)

    to = restored(vittne, dest, tmp_path / "to")

    assert vittne("ledger", "check", "--data", to)[0] == 0
    assert vittne("verify", "--all", "--data", to)[0] == 0
