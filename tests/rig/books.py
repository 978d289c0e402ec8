"""Books of a data directory for tests that count a ledger's entries."""

from __future__ import annotations

from pathlib import Path

from vittne.appliance.keyring.changes import PENDING_FILE
from vittne.appliance.keyring.ring import FOLDER
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.keys import ArchiveKey
from vittne.appliance.store.files import Store
from vittne.appliance.store.times import now_us


def begun(data_dir: Path) -> Registrar:
    """Return books whose only entry is that of a run which has begun: the keys were made before there was a ledger."""
    Store(data_dir).close()
    ArchiveKey.create(data_dir)
    (data_dir / FOLDER / PENDING_FILE).unlink()
    found = Registrar(data_dir)
    found.begin_run(["test"], now_us(), "test")
    return found
