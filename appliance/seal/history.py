"""What the ledger says became of each recording: the events, read through once and added up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.scan import Scan, read_entry, scan_ledger
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.store.times import from_rfc3339


@dataclass(frozen=True, slots=True)
class CutEntry:
    """What the ledger says of a version that was made by cutting."""

    version: int
    before: str  # manifests
    manifest: str
    kept: str
    event: str


@dataclass(frozen=True, slots=True)
class ErasedEntry:
    """What the ledger says of an erasure. word: why, a word of ours; manifest: of the last version, "" if none."""

    index: int
    at_us: int
    word: str
    manifest: str


@dataclass(frozen=True, slots=True)
class VerdictEntry:
    """A later verdict on whether a call was announced; the first one is in the manifest."""

    n: int
    at_us: int
    event: dict[str, Json]


@dataclass(slots=True)
class History:
    """Recordings by what the ledger says of them. Hashes are SHA-256 in hex."""

    seals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # manifests, the last counts
    capsules: dict[tuple[str, int], str] = field(default_factory=dict)  # of (recording, part)
    opened: set[str] = field(default_factory=set)
    cuts: dict[str, list[CutEntry]] = field(default_factory=lambda: defaultdict(list))  # in order
    discarded: set[str] = field(default_factory=set)
    erased: dict[str, str] = field(default_factory=dict)  # recording to time, RFC 3339
    erasures: dict[str, ErasedEntry] = field(default_factory=dict)
    verdicts: dict[str, list[VerdictEntry]] = field(default_factory=lambda: defaultdict(list))  # from the second on
    released: dict[str, int] = field(default_factory=dict)  # out of quarantine, when, us UTC

    def last_seal(self, recording_id: str) -> str | None:
        """Return the hash of the manifest that counts; None when the recording was never sealed."""
        sealed = self.seals.get(recording_id)
        return sealed[-1] if sealed else None

    def capsule(self, recording_id: str, part_no: int) -> str | None:
        """Return the hash of the capsule that a part's key came in."""
        return self.capsules.get((recording_id, part_no))

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
                at = str(event["at"])
                self.erased[recording] = at
                told = (str(event.get(name, "")) for name in ("reason", "manifest"))
                self.erasures[recording] = ErasedEntry(index, from_rfc3339(at), *told)
            elif kind == events.VERDICT and int(str(event["n"])) > 1:
                entry_of = VerdictEntry(int(str(event["n"])), from_rfc3339(str(event["at"])), dict(event))
                self.verdicts[recording].append(entry_of)
            elif kind == events.QUARANTINE_RELEASED:
                self.released[recording] = from_rfc3339(str(event["at"]))
        except (ValueError, KeyError, RecursionError):
            return


def history_of(directory: Path, key: VerifyKey, recordings: Collection[str]) -> History:
    """Return what the ledger says of a few recordings: read backwards until each was begun, so that a start need
    not read all of it. Every entry is proven to be under the signed root. Raises LedgerDamaged, StoreError.
    """
    view = LedgerView(directory, key)
    wanted = {recording: f'"rec":"{recording}"'.encode() for recording in recordings}
    found = []
    for index, entry in view.backwards():
        if not wanted:
            break
        named = next((recording for recording, mark in wanted.items() if mark in entry), None)
        if named is None:
            continue
        view.see_proven(index)
        found.append((index, entry))
        event = read_entry(entry)
        if event["t"] == events.OPENED and event.get("part") == 0:
            del wanted[named]
    history = History()
    for index, entry in reversed(found):
        history.visit(index, entry)
    return history


def read_history(directory: Path, key: VerifyKey) -> tuple[History, Scan]:
    """Read the ledger in a directory, checking all of it. Raises LedgerDamaged, StoreError."""
    history = History()
    scan = scan_ledger(directory, key, history.visit)
    return history, scan
