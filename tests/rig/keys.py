"""A data directory with keys in it, as a registrar makes them, and data keys as a capture worker sends them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from ledgers import entries

from vittne.appliance.keyring.changes import settle
from vittne.appliance.keyring.opening import OpenKeys, create_keys, open_vault
from vittne.appliance.seal.capsule import KeyStore
from vittne.appliance.seal.keys import ArchiveKey, make_capsule
from vittne.appliance.seal.ledger import open_ledger
from vittne.appliance.store.files import Store

Part = tuple[str, int]


def recording(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


class Keys(OpenKeys):
    """OpenKeys with a ledger; truth: every data key that was put in, in clear."""

    def __init__(self, data: Path) -> None:
        Store(data).close()
        KeyStore(data / "keys.db").close()
        vault = create_keys(data)
        super().__init__(data, vault)
        self.ledger = open_ledger(data)
        settle(data, self.ledger)
        self.truth: dict[Part, bytes] = {}

    def record(self, number: int, parts: int = 1) -> str:
        """Put in the data keys of a recording as a capture worker does: in capsules, by the public key alone."""
        public, rec = ArchiveKey.load_public(self.data_dir), recording(number)
        for part in range(parts):
            self.truth[rec, part] = os.urandom(32)
            self.store.put([(rec, part, make_capsule(public, self.truth[rec, part], rec, part))])
        return rec

    def erase(self, rec: str) -> dict[Part, bytes]:
        """Erase a recording's keys; return what they were."""
        self.store.erase(rec)
        return {part: self.truth.pop(part) for part in list(self.truth) if part[0] == rec}

    def opened(self) -> dict[Part, bytes]:
        """Return every data key that the store has, opened."""
        rows = self.store.scan(("", -1), 1000)
        return {(rec, part): self.data_key(rec, part) for _, _, rec, part in rows}

    def events(self) -> list[dict[str, Any]]:
        return entries(self.data_dir)

    def close(self) -> None:
        super().close()
        self.ledger.close()


def copy_store(data: Path, to: Path) -> KeyStore:
    """Take a backup of keys.db as `cp` would while nothing writes, log included."""
    to.mkdir()
    for path in data.glob("keys.db*"):
        shutil.copy(path, to / path.name)
    return KeyStore(to / "keys.db")


def reopened(data: Path, secret: bytes | None = None) -> OpenKeys:
    """Unlock a data directory anew, as another process would."""
    return OpenKeys(data, open_vault(data, secret))
