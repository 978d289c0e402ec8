"""Data directories with keys, and a passphrase that costs little to try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.hardware import begin_tokens
from rig.keys import Keys

from vittne.appliance.keyring import envelope


@pytest.fixture(autouse=True)
def _cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is written in the envelope: with less of it everything is the same, but faster."""
    monkeypatch.setitem(envelope.SCRYPT, "n", 1 << 8)
    monkeypatch.delenv("VITTNE_ARCHIVE_PASSPHRASE_FILE", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("VITTNE_CONFIG", "")


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    """The keys of a new data directory, unlocked; locked again at the end."""
    made = Keys(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SoftHSM2 with a folder of its own."""
    begin_tokens(tmp_path_factory.mktemp("softhsm"))
