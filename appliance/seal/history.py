"""What the ledger says became of each recording: the events, read through once and added up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from vittne.appliance.seal import events
from vittne.appliance.seal.ledger import Scan, read_entry, scan_ledger
from vittne.appliance.seal.signing import VerifyKey


@dataclass(frozen=True, slots=True)
class CutEntry:
    """What the ledger says of a version that was made by cutting."""

    version: int
    before: str  # manifests
    manifest: str
    kept: str
    event: str


@dataclass(slots=True)
class History:
    """Recordings by what the ledger says of them. Hashes are SHA-256 in hex."""

    seals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # manifests, the last counts
    capsules: dict[tuple[str, int], str] = field(default_factory=dict)  # of (recording, part)
    opened: set[str] = field(default_factory=set)
    cuts: dict[str, list[CutEntry]] = field(default_factory=lambda: defaultdict(list))  # in order
    discarded: set[str] = field(default_factory=set)
    erased: dict[str, str] = field(default_factory=dict)  # recording to time, RFC 3339

    def last_seal(self, recording_id: str) -> str | None:
        """Return the hash of the manifest that counts; None when the recording was never sealed."""
        sealed = self.seals.get(recording_id)
        return sealed[-1] if sealed else None

    def visit(self, index: int, entry: bytes) -> None:
        """Take in one entry. Entries that are not what we write are left to the root's check."""
        try:
            event = read_entry(entry)
            kind, recording = event["t"], str(event.get("rec", ""))
            if kind == events.SEALED:
                self.seals[recording].append(str(event["manifest"]))
            elif kind == events.CUT:
                self.seals[recording].append(str(event["manifest"]))
                told = (str(event[name]) for name in ("before", "manifest", "kept", "event"))
                self.cuts[recording].append(CutEntry(int(str(event["version"])), *told))
            elif kind == events.OPENED:
                self.opened.add(recording)
                self.capsules[recording, int(str(event["part"]))] = str(event["capsule"])
            elif kind == events.DISCARDED:
                self.discarded.add(recording)
            elif kind == events.ERASED:
                self.erased[recording] = str(event["at"])
        except (ValueError, KeyError, RecursionError):
            return


def read_history(directory: Path, key: VerifyKey) -> tuple[History, Scan]:
    """Read the ledger in a directory, checking all of it. Raises LedgerDamaged, StoreError."""
    history = History()
    scan = scan_ledger(directory, key, history.visit)
    return history, scan
