"""Announcements outlive the catalogue and the machine: a rebuild and a backup bring them back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from prompts import OTHER, speech, write_wav

from vittne.appliance.keyring import envelope
from vittne.appliance.keyring.secretfile import PASSPHRASE_VARIABLE

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture
def enrolled(vittne: Vittne, data: Path, notice: Path, tmp_path: Path) -> Path:
    """Two announcements, one of them with three versions."""
    other = write_wav(tmp_path / "other.wav", speech(OTHER))
    for words in (
        ("add", "welcome", notice, "--language", "en", "--note", "Grüße"),
        ("change", "welcome", "--require", "1-4", "--site", "north"),
        ("retire", "welcome"),
        ("add", "busy", other, "--purpose", "other"),
    ):
        status, _, error = vittne("announcement", *words, "--data", data)
        assert status == 0, error
    return data


def known(vittne: Vittne, data: Path) -> list[object]:
    shown = [json.loads(vittne("announcement", "show", name, "--json", "--data", data)[1]) for name in NAMES]
    assert not any(one["problem"] for one in shown)
    return shown


NAMES = ("welcome", "busy")


def lose_catalogue(data: Path) -> None:
    for path in data.glob("catalogue.db*"):
        path.write_bytes(b"this is no database")


def test_a_rebuilt_catalogue_knows_every_version(vittne: Vittne, enrolled: Path) -> None:
    before = known(vittne, enrolled)
    assert vittne("rebuild", "--data", enrolled)[0] == 0
    assert known(vittne, enrolled) == before


def test_without_a_catalogue_they_come_back_from_their_files(vittne: Vittne, enrolled: Path) -> None:
    before = known(vittne, enrolled)
    lose_catalogue(enrolled)
    status, _, error = vittne("rebuild", "--data", enrolled)

    assert (status, error) == (0, "")
    assert known(vittne, enrolled) == before


def test_a_file_that_no_entry_of_the_ledger_vouches_for_is_left_out(vittne: Vittne, enrolled: Path) -> None:
    folder = enrolled / "announcements"
    altered = json.loads((folder / "busy.1.json").read_bytes()) | {"purpose": "notice"}
    (folder / "busy.1.json").write_text(json.dumps(altered, sort_keys=True, separators=(",", ":")))
    shutil.copy(folder / "welcome.3.json", folder / "welcome.4.json")
    lose_catalogue(enrolled)

    _, _, error = vittne("rebuild", "--data", enrolled)

    assert "busy.1.json: no entry of the ledger vouches for it" in error
    assert "welcome.4.json" in error
    assert "the ledger names them, and their file is gone" in error
    assert vittne("announcement", "show", "busy", "--data", enrolled)[0] == 1
    shown = json.loads(vittne("announcement", "show", "welcome", "--json", "--data", enrolled)[1])
    assert [one["version"] for one in shown["versions"]] == [1, 2, 3]


def test_a_sound_that_is_gone_is_named_by_a_rebuild(vittne: Vittne, enrolled: Path) -> None:
    reference = json.loads(vittne("announcement", "show", "busy", "--json", "--data", enrolled)[1])["reference"]
    (enrolled / "announcements" / f"{reference}.s16").unlink()
    lose_catalogue(enrolled)

    assert "busy version 1: the sound of an announcement cannot be read" in vittne("rebuild", "--data", enrolled)[2]
    assert vittne("announcement", "show", "busy", "--data", enrolled)[0] == 1


def test_a_backup_brings_sounds_and_versions_back(
    vittne: Vittne, enrolled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_bytes(b"a long enough word\n")
    secret.chmod(0o600)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(secret))
    monkeypatch.setitem(envelope.SCRYPT, "n", 1 << 8)  # it is written in the envelope
    assert vittne("keys", "passphrase", "--new-passphrase-file", secret, "--data", enrolled)[0] == 0
    before, sounds = known(vittne, enrolled), sorted(path.name for path in (enrolled / "announcements").iterdir())
    (tmp_path / "dest").mkdir()

    status, _, error = vittne("backup", tmp_path / "dest", "--data", enrolled)
    assert status == 0, error
    shutil.rmtree(enrolled)
    status, _, error = vittne("restore", tmp_path / "dest", "--to", tmp_path / "to")
    assert status == 0, error

    assert known(vittne, tmp_path / "to") == before
    assert sorted(path.name for path in (tmp_path / "to/announcements").iterdir()) == sounds
