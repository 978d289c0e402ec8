"""`vittne keys` as people run it: the whole way from a first start to a lost token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ledgers import entries
from rig.keys import Keys, copy_store, recording

from vittne.appliance.__main__ import run
from vittne.appliance.keyring.errors import KeysLocked, NotApproved
from vittne.appliance.keyring.opening import open_vault
from vittne.appliance.keyring.ring import read_ring
from vittne.appliance.keyring.selftest import check_keys, check_profile
from vittne.appliance.keyring.selftest import run as self_test
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.seal.ledger import open_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.lock import DataLock

Vittne = Callable[..., str]


@pytest.fixture
def data(keys: Keys) -> Path:
    """A data directory with three recordings that were adopted and one that waits; nobody holds it."""
    for number in range(3):
        keys.adopt(keys.record(number), "main", "a", "2030-01")
    keys.record(3)
    keys.ledger.close()
    return keys.data_dir


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return a_file(tmp_path / "secret", "correct horse\n")


@pytest.fixture
def vittne(data: Path, capsys: pytest.CaptureFixture[str]) -> Vittne:
    def call(*words: object, status: int = 0) -> str:
        found = run(["keys", *map(str, words), "--data", str(data)])
        told = capsys.readouterr()
        assert found == status, told.err
        return told.out if not status else told.err

    return call


def a_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def told(data: Path) -> list[str]:
    return [str(entry["t"]) for entry in entries(data)]


def test_from_a_first_start_to_safe_keys(data: Path, vittne: Vittne, secret: Path, tmp_path: Path) -> None:
    status = vittne("status")
    assert "have no passphrase" in status
    assert "no backup" in status

    assert "vittne keys backup" in vittne("passphrase", "--new-passphrase-file", secret)
    vittne("backup", tmp_path / "keys.backup", "--passphrase-file", secret)
    vittne("backup", "--prove", tmp_path / "keys.backup", "--passphrase-file", secret)
    vittne("shares", "--to", tmp_path / "shares", "--passphrase-file", secret)

    assert json.loads(vittne("status", "--json")) == {
        "root": read_ring(data).root.id,
        "provider": "passphrase",
        "epoch": 1,
        "renewing": "",
        "backup_proven": True,
        "shares_made": True,
        "recorder": None,
    }
    assert told(data) == ["key.create", "key.seal", "key.backup", "key.backup", "key.shares"]


def test_the_list_says_what_an_auditor_asks(data: Path, vittne: Vittne, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    found = json.loads(vittne("list", "--json"))

    kinds = [one["kind"] for one in found]
    assert kinds == ["root", "epoch", "archive", "bucket", "data keys", "ledger"]
    assert found[3]["rows"] == 3
    for one in found:
        assert {"id", "created", "cryptoperiod", "state", "exportable", "where"} <= one.keys()
    root = open_vault(data).root
    assert root.hex() not in json.dumps(found)
    assert "in clear" in vittne("list")


def test_a_lost_passphrase_is_replaced_with_shares_from_standard_input(
    data: Path, vittne: Vittne, secret: Path, tmp_path: Path
) -> None:
    vittne("passphrase", "--new-passphrase-file", secret)
    vittne("shares", "--to", tmp_path / "shares", "--passphrase-file", secret)
    words = [(tmp_path / f"shares/share-{n}.txt").read_text() for n in (1, 3, 4)]
    other = a_file(tmp_path / "other", "battery staple")

    command = [sys.executable, "-m", "vittne.appliance", "keys", "recover", "--data", str(data)]
    done = subprocess.run(
        [*command, "--new-passphrase-file", str(other)],
        input="".join(words),
        text=True,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert open_vault(data, b"battery staple").root
    with pytest.raises(KeysLocked):
        open_vault(data, b"correct horse")
    assert told(data)[-1] == "key.recover"


def test_too_few_shares_change_nothing_and_no_trace_is_shown(data: Path, secret: Path, vittne: Vittne) -> None:
    vittne("passphrase", "--new-passphrase-file", secret)
    command = [sys.executable, "-m", "vittne.appliance", "keys", "recover", "--data", str(data)]

    done = subprocess.run(
        [*command, "--new-passphrase-file", str(secret)],
        input="one two three\n",
        text=True,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("vittne: this is no share")
    assert "three" not in done.stderr


def test_an_epoch_by_command_kills_old_copies_and_leaves_a_backup(
    keys: Keys, data: Path, vittne: Vittne, secret: Path, tmp_path: Path
) -> None:
    vittne("passphrase", "--new-passphrase-file", secret)
    copy = copy_store(data, tmp_path / "copy")
    keys.erase(recording(0))

    vittne("epoch", "--backup", tmp_path / "new.backup", "--passphrase-file", secret)
    vittne("backup", "--prove", tmp_path / "new.backup", "--passphrase-file", secret)

    vault = open_vault(data, b"correct horse")
    for number in (0, 3):
        kept = copy.get(recording(number), 0)
        assert kept is not None
        with pytest.raises(CapsuleRefused):
            vault.data_key(kept, recording(number), 0)
    copy.close()


@pytest.mark.parametrize("what", [["--root"], ["--archive"], ["--bucket"], ["--bucket", "1"]], ids=" ".join)
def test_keys_are_rotated_by_command(
    keys: Keys, data: Path, vittne: Vittne, secret: Path, tmp_path: Path, what: list[str]
) -> None:
    vittne("passphrase", "--new-passphrase-file", secret)
    new = ["--new-passphrase-file", secret] if what == ["--root"] else []

    vittne("rotate", *what, "--passphrase-file", secret, *new)

    vault = open_vault(data, b"correct horse")
    for (rec, part), key in keys.truth.items():
        kept = keys.store.get(rec, part)
        assert kept is not None
        assert vault.data_key(kept, rec, part) == key
    assert told(data)[-1] == "key.rotate"


def test_the_ledgers_key_is_rotated_by_command(data: Path, vittne: Vittne) -> None:
    old = load_verifier(data / "keys")

    printed = vittne("rotate", "--ledger").splitlines()[-1]

    assert printed == load_verifier(data / "keys").text() != old.text()


def test_a_backup_from_before_the_ledgers_new_key_counts_no_longer(
    data: Path, vittne: Vittne, secret: Path, tmp_path: Path
) -> None:
    vittne("passphrase", "--new-passphrase-file", secret)
    vittne("backup", tmp_path / "old", "--passphrase-file", secret)
    vittne("backup", "--prove", tmp_path / "old", "--passphrase-file", secret)

    vittne("rotate", "--ledger")

    assert "no backup" in vittne("status")
    assert "not a backup of the keys in use" in vittne(
        "backup", "--prove", tmp_path / "old", "--passphrase-file", secret, status=1
    )


def test_keys_are_not_changed_under_a_running_recorder(data: Path, vittne: Vittne, secret: Path) -> None:
    before = read_ring(data)
    with DataLock(data, "recording"):
        assert "stop the recorder" in vittne("passphrase", "--new-passphrase-file", secret, status=1)
        vittne("status")
        vittne("list")

    assert read_ring(data) == before


def test_without_a_terminal_a_passphrase_is_not_asked_for(
    data: Path, vittne: Vittne, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vittne("passphrase", "--new-passphrase-file", secret)
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert "no terminal" in vittne("epoch", status=1)


def test_a_short_passphrase_and_one_that_others_can_read_are_refused(
    data: Path, vittne: Vittne, tmp_path: Path
) -> None:
    assert "too short" in vittne("passphrase", "--new-passphrase-file", a_file(tmp_path / "a", "short"), status=1)
    open_file = a_file(tmp_path / "b", "correct horse")
    open_file.chmod(0o644)
    assert "lets others in" in vittne("passphrase", "--new-passphrase-file", open_file, status=1)

    assert read_ring(data).is_open


def test_without_a_recorder_there_is_nothing_to_unlock_or_lock(vittne: Vittne) -> None:
    assert "no recorder runs" in vittne("unlock", status=1)
    assert "no recorder runs" in vittne("lock", status=1)


def test_every_primitive_gives_its_known_answer(vittne: Vittne) -> None:
    assert [result.primitive.name for result in self_test() if not result.passed] == []

    found = json.loads(vittne("self-test", "--json"))

    assert len(found) == 12
    assert {one["name"] for one in found if not one["approved"]} == {"scrypt", "SLIP-39"}
    assert all("OpenSSL" in one["library"] for one in found if one["name"] != "SLIP-39")


def test_the_fips_profile_refuses_a_machine_that_is_not_in_fips_mode(data: Path) -> None:
    with pytest.raises(NotApproved, match="not in FIPS mode"):
        check_profile(True)

    assert "not by a validated module" in check_profile("primitives")[0]
    assert check_profile(False) == []


def test_the_fips_profile_refuses_keys_of_the_standard_profile(
    data: Path, vittne: Vittne, secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = open_ledger(data)
    signer.close()
    with pytest.raises(NotApproved, match="--ledger"):
        check_keys(data, signer.key.verifier)
    config = tmp_path / "vittne.toml"
    config.write_text('[keys]\nfips = "primitives"\n')

    vittne("rotate", "--ledger", "--config", config)
    vittne("passphrase", "--new-passphrase-file", secret, "--config", config)

    check_keys(data, load_verifier(data / "keys"))
    assert read_ring(data).root.envelope["kdf"] == "pbkdf2-sha512"
