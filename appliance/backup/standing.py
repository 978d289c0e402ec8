"""How an archive stands: when it was backed up and when a drill succeeded, and what a start must warn of.

DIR/backup.json       when the last backup ended
DIR/keys/drill.json   for which archive key a drill succeeded last, and when
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from vittne.appliance.backup.settings import BackupSettings
from vittne.appliance.keyring.opening import PROOF_FILE
from vittne.appliance.keyring.ring import FOLDER, read_ring
from vittne.appliance.seal.keys import KeysMissing, archive_key_warning
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.files import write_atomically
from vittne.appliance.store.times import from_rfc3339, now_us, rfc3339

BACKUP_FILE: Final = "backup.json"
DRILL_FILE: Final = "drill.json"
_DAY_US: Final = 86_400_000_000


def note_backup(data_dir: Path) -> None:
    """Note that a backup ended now. Raises StoreError."""
    write_atomically(data_dir / BACKUP_FILE, json.dumps({"at": rfc3339(now_us())}).encode())


def last_backup_us(data_dir: Path) -> int | None:
    """Return when the last backup ended; None when none is known."""
    return _time_in(data_dir / BACKUP_FILE)


def proof_of(data_dir: Path) -> dict[str, str]:
    """Return which keys a data directory has: what a drill with it is good for. Raises StoreError."""
    ring = read_ring(data_dir)
    ledger = load_verifier(data_dir / FOLDER).key_id.hex()
    return {"root": ring.root.id, "archive": ring.pair.kid, "ledger": ledger}


def note_drill(data_dir: Path, proof: dict[str, str]) -> None:
    """Note that a drill succeeded now, with a key. Raises StoreError."""
    at = rfc3339(now_us())
    write_atomically(data_dir / "keys" / DRILL_FILE, json.dumps({**proof, "at": at}).encode())
    if proof == proof_of(data_dir):
        write_atomically(data_dir / FOLDER / PROOF_FILE, json.dumps({**proof, "at": at}).encode())


def last_drill_us(data_dir: Path) -> int | None:
    """Return when a drill succeeded for the key in use; None when none did. Raises StoreError."""
    said = _said(data_dir / "keys" / DRILL_FILE)
    # An epoch changes the archive's pair; root and passphrase stay, and the next backup has the new pair.
    is_ours = said.get("root") == proof_of(data_dir)["root"]
    return _time_in(data_dir / "keys" / DRILL_FILE) if is_ours else None


def warnings(data_dir: Path, settings: BackupSettings) -> list[str]:
    """Say what is to be warned of at every start: the archive's key is the first thing that can be lost.

    Raises KeysMissing where only its public half is.
    """
    found = [words] if (words := archive_key_warning(data_dir)) else []
    if not settings.target:
        found.append("no backup is configured: [backup] target names where to (docs/backup.md)")
    drilled = last_drill_us(data_dir)
    if drilled is None:
        found.append("no drill has succeeded with the archive key in use: `vittne restore --drill` tries a backup")
    elif now_us() - drilled > settings.drill_days * _DAY_US:
        days = (now_us() - drilled) // _DAY_US
        found.append(f"the last drill that succeeded was {days} days ago: `vittne restore --drill` tries a backup")
    return found


def _time_in(path: Path) -> int | None:
    try:
        return from_rfc3339(str(_said(path)["at"]))
    except (ValueError, KeyError):
        return None


def _said(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


__all__ = [
    "BACKUP_FILE",
    "KeysMissing",
    "last_backup_us",
    "last_drill_us",
    "note_backup",
    "note_drill",
    "proof_of",
    "warnings",
]
