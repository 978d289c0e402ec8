"""An archive of two recordings under a passphrase, and a place for its backups."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cuts import three_parts
from recordings import record
from scenarios import basic

from vittne.appliance.__main__ import run
from vittne.appliance.keyring import envelope
from vittne.appliance.keyring.secretfile import PASSPHRASE_VARIABLE


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call from a capture, and one of three parts made by hand."""
    found = record(basic.basic_call(), tmp_path_factory.mktemp("begun"))
    three_parts(found.data)
    secret = tmp_path_factory.mktemp("secret") / "passphrase"
    secret.write_bytes(b"a long enough word\n")
    secret.chmod(0o600)
    cost = envelope.SCRYPT["n"]
    envelope.SCRYPT["n"] = 1 << 8  # it is written in the envelope
    assert run(["keys", "passphrase", "--new-passphrase-file", str(secret), "--data", str(found.data)]) == 0
    envelope.SCRYPT["n"] = cost
    return found.data


@pytest.fixture
def data(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    secret = tmp_path / "passphrase"
    secret.write_bytes(b"a long enough word\n")
    secret.chmod(0o600)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, str(secret))
    return Path(shutil.copytree(begun, tmp_path / "data"))


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    found = tmp_path / "dest"
    found.mkdir()
    return found
