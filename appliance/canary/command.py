"""`vittne canary`: what came of canary calls; with --now one is placed and waited for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vittne.appliance.canary.operation import PLACE_CANARY, PlaceCanary
from vittne.appliance.canary.table import RUNNING, CanaryTable, Run
from vittne.appliance.control.client import perform
from vittne.appliance.seal.verdict import FAILS, HOLDS, UNCHECKED
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import GREEN, RED, YELLOW, Cell, Column, clean, painted, table

_STATUS: Final = {"well": 0, "unwell": 1, "unsure": 3}
_COLOURS: Final = {HOLDS: GREEN, FAILS: RED, UNCHECKED: YELLOW}
_WORDS: Final = {HOLDS: "holds", FAILS: "FAILS", UNCHECKED: "not checked"}
_RESULTS: Final = {
    "well": ("well: the call was recorded as it should be", GREEN),
    "unsure": ("nothing wrong was found, but not everything could be checked", YELLOW),
    "unwell": ("NOT well: see what fails", RED),
    RUNNING: ("under way", YELLOW),
}
_COLUMNS: Final = [
    Column("placed (UTC)"),
    Column("result"),
    Column("sealed after", right=True),
    Column("fails", spare=1),
]
_LONGEST_S: Final = 1800.0
_LOOK_S: Final = 0.5


def now(data: Path, as_json: bool) -> int:
    """Have one placed by the recorder that runs, wait for it, and print what came of it."""
    run = str(perform(data, PLACE_CANARY, PlaceCanary())["run"])
    if not as_json:
        print("A canary call is being placed; what came of it is known some ten seconds after it.", flush=True)
    found = _waited(data, run)
    if as_json:
        sys.stdout.write(json_object(found.as_json()))
    else:
        print("\n".join(_lines(found)))
    return _STATUS[found.result]


def show(data: Path, limit: int, as_json: bool) -> int:
    """Print the newest runs; exit status by the newest that is over."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        runs = CanaryTable(catalogue).newest(limit)
    if as_json:
        sys.stdout.writelines(json_array(run.as_json() for run in runs))
    elif runs:
        print("\n".join(table(_COLUMNS, [_row(run) for run in runs])))
    else:
        print("no canary call was placed yet: canary.enabled has one placed every so often")
    newest = next((run for run in runs if run.result != RUNNING), None)
    return 0 if newest is None else _STATUS[newest.result]


def _waited(data: Path, run: str) -> Run:
    deadline = time.monotonic() + _LONGEST_S
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        while time.monotonic() < deadline:
            found = CanaryTable(catalogue).get(run)
            if found is not None and found.result != RUNNING:
                return found
            time.sleep(_LOOK_S)
    raise StoreError("nothing came of the canary call", run, "is the recorder still there? Its log says more")


def _lines(run: Run) -> Iterator[str]:
    for check in run.checks:
        word = painted(f"{_WORDS[check.result]:11}", _COLOURS[check.result])
        yield f"  {word} {check.name}: {clean(check.words, 600)}"
    yield painted(*_RESULTS[run.result])


def _row(run: Run) -> list[str | Cell]:
    took = "" if run.sealed_us is None else f"{(run.sealed_us - run.started_us) / 1e6:.1f} s"
    at = rfc3339(run.started_us)[:19].replace("T", " ")
    return [at, Cell(run.result, _RESULTS[run.result][1]), took, ", ".join(run.failed)]
