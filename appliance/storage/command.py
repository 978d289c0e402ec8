"""`vittne storage status`, `check`, `push` and `fetch`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vittne.appliance.control.client import perform
from vittne.appliance.scrub.cycle import Pace
from vittne.appliance.show import json_array
from vittne.appliance.storage import copying
from vittne.appliance.storage.fetching import bring_back
from vittne.appliance.storage.known import note_targets
from vittne.appliance.storage.operation import ENTER_STORED, entering
from vittne.appliance.storage.place import Place
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.table import DAMAGED, GONE, LEAVING, STORED, Stored, StoredTable
from vittne.appliance.storage.work import alone, place_at, work
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import GREEN, RED, YELLOW, clean, painted

Targets = Sequence[StorageTarget]
_TOGETHER = 200


def chosen(targets: Targets, name: str) -> Targets:
    """Return the targets, or the one named. Raises StoreError."""
    found = [one for one in targets if name in ("", one.name)]
    if not found:
        what = f"there is no storage target {name[:40]!r}" if name else "no storage target is configured"
        raise StoreError(what, "[[storage]]", "see docs/storage.md")
    return found


def status(data: Path, targets: Targets, as_json: bool) -> int:
    """Print how each target stands; 1 when a copy is damaged."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        table = StoredTable(catalogue)
        away = len(table.all_away())
        found = [(one, table.sums(one.name), list(table.at(one.name, LEAVING))) for one in targets]
    if as_json:
        told = [
            {
                "target": one.name,
                "where": one.where,
                "lock": one.lock,
                **{name: value for name, value in asdict(sums).items() if name != "waiting_since_us"},
                "waiting_since": _shown(sums.waiting_since_us),
                "waiting_for_lock": [{"recording": row.recording, "until": _shown(row.next_us)} for row in leaving],
            }
            for one, sums, leaving in found
        ]
        sys.stdout.writelines(json_array(told))
    for one, sums, leaving in () if as_json else found:
        since = f" since {_shown(sums.waiting_since_us)}" if sums.waiting_since_us is not None else ""
        words = f"{sums.stored} recordings ({sums.bytes} bytes), {sums.waiting} wait{since}"
        print(f"{one.name} ({one.where}, lock {one.lock}): {words}")
        if sums.damaged:
            print(painted(f"  {sums.damaged} copies are damaged", RED))
        for row in leaving:
            print(painted(f"  {row.recording}: erased, {clean(row.problem, 200)}", YELLOW))
    if not as_json:
        print(f"{away} recordings are kept elsewhere only" if targets else "no storage target is configured")
    return 1 if any(sums.damaged for _, sums, _ in found) else 0


def copies(data: Path, prefix: str, as_json: bool) -> int:
    """Print the copies of one recording."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        recording = catalogue.get(prefix).id
        rows, is_away = StoredTable(catalogue).of(recording), StoredTable(catalogue).is_away(recording)
    if as_json:
        sys.stdout.writelines(json_array(_row_json(row) for row in rows))
        return 0
    print(f"{recording}: {'kept elsewhere' if is_away else 'kept here'}")
    for row in rows:
        print(f"  {row.target}: {row.state} {_shown(row.stored_us) or ''} {clean(row.problem, 300)}".rstrip())
    return 0


def check(data: Path, targets: Targets, reads: bool, as_json: bool) -> int:
    """See that each target is as it should be; 0 when all are."""
    told: list[dict[str, Any]] = []
    for one in targets:
        problems: list[str] = []
        count = 0
        try:
            with place_at(one, data) as at:
                changed = []
                for row, problem in _compared(at, data, reads):
                    count += 1
                    if problem:
                        problems.append(f"{row.recording}: {problem}")
                    if problem or reads:
                        changed.append(row)
                for begin in range(0, len(changed), _TOGETHER):
                    perform(data, ENTER_STORED, entering(changed[begin : begin + _TOGETHER]))
        except StoreError as error:
            problems.append(str(error))
        told.append({"target": one.name, "ok": not problems, "copies": count, "problems": problems})
        if not as_json:
            words = f"{one.name}: {count} copies, {'read back' if reads else 'there by name and size'}"
            print(painted(words, RED if problems else GREEN))
            for problem in problems:
                print(painted(f"  {clean(problem, 400)}", RED))
    if as_json:
        sys.stdout.writelines(json_array(told))
    return 0 if all(one["ok"] for one in told) else 1


def push(data: Path, configured: Targets, targets: Targets, as_json: bool) -> int:
    """Do what is due at targets, and what failed before; 0 when nothing fails."""
    note_targets(data, configured)
    told: list[dict[str, Any]] = []
    for one in targets:
        done: dict[str, Stored] = {}
        problems: list[str] = []
        try:
            with alone(data, one.name), place_at(one, data) as at:
                is_first, rows = True, [[]]  # type: tuple[bool, list[list[Stored]]]
                while rows:
                    rows = []
                    for some in work(at, Pace(one.mb_per_s * 1e6).spent, again=is_first):
                        perform(data, ENTER_STORED, entering(some))
                        rows.append(some)
                        done |= {row.recording: row for row in some}
                    is_first = False
        except StoreError as error:
            problems.append(str(error))
        problems += [f"{row.recording}: {row.problem}" for row in done.values() if row.tries or row.state == DAMAGED]
        count = sum(row.state in (STORED, GONE) and not row.tries for row in done.values())
        told.append({"target": one.name, "ok": not problems, "done": count, "problems": problems})
        if not as_json:
            print(painted(f"{one.name}: {count} recordings brought up to date", RED if problems else GREEN))
            for problem in problems:
                print(painted(f"  {clean(problem, 400)}", RED))
    if as_json:
        sys.stdout.writelines(json_array(told))
    return 0 if all(one["ok"] for one in told) else 1


def fetch(data: Path, configured: Targets, prefixes: Sequence[str], as_json: bool) -> int:
    """Bring recordings back; 0 when all are here."""
    note_targets(data, configured)
    told: list[dict[str, Any]] = []
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        rows = [catalogue.get(prefix) for prefix in prefixes]
    for row in rows:
        problem, brought = "", False
        try:
            if not row.folder:
                raise StoreError("nothing is stored of this call", row.id, "`vittne show` says why")
            brought = bring_back(data, data / row.folder)
        except StoreError as error:
            problem = str(error)
        told.append({"recording": row.id, "fetched": brought, "problem": problem})
        if not as_json:
            words = problem or ("brought back" if brought else "it is here")
            print(painted(f"{row.id}: {clean(words, 400)}", RED if problem else GREEN))
    if as_json:
        sys.stdout.writelines(json_array(told))
    return 1 if any(one["problem"] for one in told) else 0


def _compared(at: Place, data: Path, reads: bool) -> list[tuple[Stored, str]]:
    """Return each copy with what is wrong with it."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        rows = list(StoredTable(catalogue).at(at.name, STORED, DAMAGED))
    spent = Pace(at.target.settings.mb_per_s * 1e6).spent
    found = []
    for row in rows:
        looked = copying.check(at, row, spent) if reads else _listed(at, row)
        found.append((looked, looked.problem if looked.state == DAMAGED else ""))
    return found


def _listed(at: Place, row: Stored) -> Stored:
    """Return a row as it is by the names and sizes at the target."""
    size = sum(one.size for one in at.target.files(at.key_of(row.place)))
    if size >= row.size_bytes and row.state != DAMAGED:
        return row
    return replace(
        row, state=DAMAGED, problem=row.problem or f"{size} of {row.size_bytes} bytes are there: {row.place}"
    )


def _row_json(row: Stored) -> dict[str, Any]:
    names = ("target", "state", "manifest", "size_bytes", "held", "tries", "problem")
    times = {name: _shown(getattr(row, f"{name}_us")) for name in ("stored", "checked", "locked")}
    return {**{name: getattr(row, name) for name in names}, **{f"{name}_at": at for name, at in times.items()}}


def _shown(at_us: int | None) -> str | None:
    return rfc3339(at_us) if at_us else None
