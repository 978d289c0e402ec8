"""What the ledger says of a time, found in one reading of all of it, which also checks it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339

# What an auditor looks for (COMPLIANCE 1.1, EDPB 02/2025), in whatever is no hash, id, time or key of ours.
_PERSONAL: Final = re.compile(r"\+?\d{7,}|@")
_OURS: Final = re.compile(r"[0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z")
_KEPT_WHOLE: Final = frozenset(
    {
        events.CLOCK,
        events.GAP,
        events.CRASH,
        events.DAMAGED,
        events.SCRUBBED,
        events.CUT,
        events.BACKED_UP,
        events.DRILLED,
    }
)
_OPAQUE: Final = frozenset({"old", "new", "proof", "seconded", "rules"})  # keys, signatures, base64; a short hash
_SUSPECTS_KEPT: Final = 20


@dataclass(slots=True)
class LedgerFacts:
    """What was found. counts, events: of the time asked about; sealed, erased, size: of all times.

    broken: why the ledger cannot be believed; then nothing else here can either.
    """

    size: int = 0
    root: str = ""
    broken: str = ""
    sealed: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    ever: Counter[str] = field(default_factory=Counter)
    events: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[int, dict[str, Json]] = field(default_factory=dict)  # entries that commit to a row of the trail
    suspects: list[str] = field(default_factory=list)  # entries that may hold a number or an address

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of one kind in the time asked about."""
        return [one for one in self.events if one["t"] == kind]


def read_ledger(data_dir: Path, since_us: int, until_us: int) -> LedgerFacts:
    """Read the ledger through. A ledger that is damaged, or not there, is told in `broken`."""
    found = LedgerFacts()
    since, until = rfc3339(since_us), rfc3339(until_us)

    def visit(index: int, entry: bytes) -> None:
        said = read_entry(entry)
        kind = str(said["t"])
        found.ever[kind] += 1
        if "row" in said:
            found.rows[index] = said
        if kind in (events.SEALED, events.CUT):
            found.sealed.add(str(said["rec"]))
        elif kind == events.ERASED:
            found.erased.add(str(said["rec"]))
        if since <= str(said["at"]) < until:
            found.counts[kind] += 1
            if kind in _KEPT_WHOLE:
                found.events.append(dict(said))
        if len(found.suspects) < _SUSPECTS_KEPT and _names_somebody(said):
            found.suspects.append(f"entry {index} ({kind})")

    try:
        scan = scan_ledger(data_dir / "ledger", load_verifier(data_dir / "keys"), visit)
    except (StoreError, ValueError, KeyError) as error:
        return LedgerFacts(broken=str(error))
    found.size, found.root = scan.checkpoint.size, scan.checkpoint.root.hex()
    return found


def _names_somebody(said: dict[str, Json]) -> bool:
    for name, value in said.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and name not in _OPAQUE and not _OURS.fullmatch(text) and _PERSONAL.search(text):
                return True
    return False
