"""`vittne audit`: who looked at what and who changed what, and whether each row is what the ledger fixed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vittne.appliance.audit import commitment
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.events import ERASED, SEARCHED
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.show import json_array
from vittne.appliance.store.audit import AuditRow, AuditSearch, AuditTable
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import GREEN, RED, Column, clean, painted, table

_COLUMNS = [
    Column("when (UTC)"),
    Column("who", least=6),
    Column("via"),
    Column("what"),
    Column("recording", least=8),
    Column("details", least=8, spare=1),
]


def show(data: Path, search: AuditSearch, as_json: bool) -> int:
    """Print rows, oldest first."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        rows = AuditTable(catalogue).search(search)
        if as_json:
            sys.stdout.writelines(json_array(row.as_json() for row in rows))
            return 0
        lines = [_cells(row) for row in rows]
    print("\n".join(table(_COLUMNS, [list(cells) for cells in lines]) if lines else ["nobody did anything yet"]))
    return 0


def check(data: Path) -> int:
    """Hold rows against their entries in the ledger; 0 when each is as it was written then, and none is missing."""
    rows, entries, wrong = held_against(data)
    for words in wrong:
        print(painted(words, RED))
    found = f"{rows} rows and {entries} entries"
    print(painted(f"{found}: {len(wrong)} do not agree" if wrong else f"{found} agree", RED if wrong else GREEN))
    return 1 if wrong else 0


def held_against(data: Path) -> tuple[int, int, list[str]]:
    """Return how many rows and entries there are, and where they do not agree. Raises StoreError."""
    entries: dict[int, dict[str, Json]] = {}

    def visit(index: int, entry: bytes) -> None:
        said = read_entry(entry)
        if "row" in said:
            entries[index] = said

    scan_ledger(data / "ledger", load_verifier(data / "keys"), visit)
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        rows = list(AuditTable(catalogue).search())
    return len(rows), len(entries), list(disagreements(rows, entries))


def disagreements(rows: list[AuditRow], entries: dict[int, dict[str, Json]]) -> Iterator[str]:
    """Yield what is wrong, for people: rows that no entry fixes or that were altered, entries whose row is gone."""
    known = set()
    erased = {entry["rec"] for entry in entries.values() if entry["t"] == ERASED}
    last = max((index for index, entry in entries.items() if entry["t"] == ERASED), default=-1)
    for row in rows:
        entry = entries.get(-1 if row.entry is None else row.entry)
        known.add(row.entry)
        if entry is None:
            yield f"row {row.id} of {rfc3339(row.at_us)} is in no entry of the ledger"
        elif not row.salt and row.recording in erased and (entry["t"], entry["rec"]) == (row.kind, row.recording):
            continue  # it named a party, and was emptied with his recording (life/forget.py)
        elif not row.salt and row.kind == SEARCHED == entry["t"] and row.entry is not None and row.entry < last:
            continue  # it said for whom somebody searched
        elif (
            not row.salt
            or entry["row"] != commitment(row)
            or entry["t"] != row.kind
            or entry.get("rec", "") != row.recording
        ):
            yield f"row {row.id} of {rfc3339(row.at_us)} was altered: entry {row.entry} says something else"
    for index in sorted(entries.keys() - known):
        yield f"entry {index} ({entries[index]['t']}, {entries[index]['at']}) has no row: it was removed"


def _cells(row: AuditRow) -> list[Any]:
    details = json.dumps(row.details, ensure_ascii=False) if row.details else ""
    when = rfc3339(row.at_us)[:19].replace("T", " ")
    return [when, clean(row.actor), row.via, row.kind, row.recording[:8], clean(details, 200)]
