"""Time stamps that cover a recording: which of DIR/stamps go into a bundle, and what binds them to it.

Of each recording the oldest that covers its sealing (it was there by then), and the newest of all (an authority whose
certificate is still good vouches for everything before it, older stamps included).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.evidence.bag import Bag
from vittne.appliance.evidence.log import Entry, Log
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import open_plain

STAMPS: Final = "stamps"
NOTE_FILE: Final = "checkpoint"
NEEDED: Final = (NOTE_FILE, "token.tsr", "chain.pem")
_NAME: Final = re.compile(r"(0|[1-9]\d{0,17})-[a-z0-9][a-z0-9_-]{0,31}")
_WANTED: Final = re.compile(r"checkpoint|token\.tsr|chain\.pem|stamp\.json|ocsp\.der|[A-Za-z0-9_.-]{1,60}\.crl")
_LIMIT: Final = 16 << 20  # bytes; revocation lists can be long


@dataclass(frozen=True, slots=True)
class StampFolder:
    """A stamp as it lies on the disk; size: entries that its checkpoint covers."""

    size: int
    path: Path


def choose(data_dir: Path, entries: Mapping[str, Entry], newest: int) -> list[StampFolder]:
    """Return the stamps that are wanted, by size. newest: entries of the ledger now. Raises StoreError."""
    folder = data_dir / STAMPS
    try:
        names = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    except OSError as error:
        raise explain(error, "list time stamps", folder) from error
    found = [StampFolder(int(match[1]), path) for path in names if (match := _NAME.fullmatch(path.name))]
    whole = [one for one in found if one.size <= newest and all((one.path / name).is_file() for name in NEEDED)]
    ordered = sorted(whole, key=lambda one: (one.size, one.path.name))
    chosen: list[StampFolder] = []
    for entry in entries.values():
        covering = [one for one in ordered if one.size > entry.index]
        chosen += [covering[0], covering[-1]] if covering else []
    return sorted(set(chosen), key=lambda one: (one.size, one.path.name))


def add_stamp(bag: Bag, log: Log, stamp: StampFolder, entries: Mapping[str, Entry]) -> None:
    """Put a stamp into a bag, with the proofs under its checkpoint. Raises StoreError, LedgerDamaged."""
    where = f"evidence/stamps/{stamp.path.name}"
    note = b""
    for path in sorted(stamp.path.iterdir()):
        if _WANTED.fullmatch(path.name):
            data = _read(path)
            bag.put(f"{where}/{path.name}", data)
            note = data if path.name == NOTE_FILE else note
    bag.put(f"{where}/consistency.txt", log.consistency(note))
    for recording, entry in entries.items():
        if entry.index < stamp.size:
            bag.put(f"{where}/{recording}.tlog-proof", log.prove(entry, False, note))


def _read(path: Path) -> bytes:
    try:
        with open_plain(path) as stream:
            return stream.read(_LIMIT)
    except OSError as error:
        raise explain(error, "read a time stamp", path) from error
