"""`vittne storage scan`: the catalogue, and a disk that was lost, from what lies at a target."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vittne.appliance.control.client import perform
from vittne.appliance.rebuild import read_row
from vittne.appliance.seal.history import read_history
from vittne.appliance.seal.manifest import read_manifest
from vittne.appliance.show import json_array
from vittne.appliance.storage.fetching import missing_parts
from vittne.appliance.storage.known import note_targets
from vittne.appliance.storage.operation import ADOPT, ENTER_STORED, Adopt, entering, is_known
from vittne.appliance.storage.place import Place
from vittne.appliance.storage.scan import Found, scan
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.table import STORED, StoredTable
from vittne.appliance.storage.work import place_at
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.terminal import GREEN, RED, clean, painted


def scan_all(data: Path, configured: Sequence[StorageTarget], targets: Sequence[StorageTarget], as_json: bool) -> int:
    """Learn what is at targets; 0 when all of it counts."""
    note_targets(data, configured)
    told: list[dict[str, Any]] = []
    for one in targets:
        found, problems = 0, list[str]()
        made = 0
        try:
            with place_at(one, data) as at:
                history, _ = read_history(data / "ledger", at.key)
                for copy in scan(at, history):
                    words = _take(data, at, copy)
                    found += copy.row is not None
                    made += copy.made
                    if words:
                        problems.append(f"{copy.recording}: {words}")
        except StoreError as error:
            problems.append(str(error))
        told.append({"target": one.name, "found": found, "made": made, "problems": problems})
        if not as_json:
            words = f"{one.name}: {found} recordings, {made} of them were not here"
            print(painted(words, RED if problems else GREEN))
            for problem in problems:
                print(painted(f"  {clean(problem, 400)}", RED))
    if as_json:
        sys.stdout.writelines(json_array(told))
    return 1 if any(one["problems"] for one in told) else 0


def _take(data: Path, at: Place, copy: Found) -> str:
    """Take in one copy; return what is wrong with it."""
    if copy.row is None:
        return "" if copy.is_erased else copy.words
    row, folder = copy.row, data / "recordings" / copy.row.place
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        known = {one.target: one for one in StoredTable(catalogue).of(row.recording)}.get(row.target)
        is_listed = is_known(catalogue, row.recording)
    if known is None or (known.state, known.manifest) != (STORED, row.manifest):
        perform(data, ENTER_STORED, entering([row]))
    if missing_parts(data, folder):
        perform(data, ADOPT, Adopt(recording=row.recording, place=row.place))
    if is_listed:
        return ""
    manifest, _ = read_manifest(folder, at.key)
    read = read_row(data, manifest, str(folder.relative_to(data)))
    perform(data, ADOPT, Adopt(recording=row.recording, place=row.place, call=read.row.as_json()))
    return read.problem
