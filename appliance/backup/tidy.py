"""What stands in a place for backups beside its newest snapshot: states that take their places, copies that are old."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vittne.appliance.backup.copying import manifest_digest
from vittne.appliance.backup.keyfiles import copied_epoch
from vittne.appliance.backup.place import AWAY, ERASED, Place, Snapshot, remove
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import sync_path

_DAY_US: Final = 86_400_000_000
_ALL_KEPT_US: Final = 2 * _DAY_US  # of older days the last snapshot stays

Listed = dict[str, tuple[str, str]]  # manifest's SHA-256 or ERASED, and folder below recordings/, by recording


@dataclass(frozen=True, slots=True)
class Step:
    """words: what was just done. done, total: recordings."""

    words: str
    done: int = 0
    total: int = 0


def settle(place: Place, newest: Snapshot | None) -> None:
    """Bring to its end, or remove, what a backup that was killed has left. Raises StoreError."""
    for hidden in (place.path / "snapshots").glob(".*"):
        remove(hidden)
    if newest is not None:
        for _ in swap(place, newest.wanted()):
            pass
    for hidden in list(place.hidden()):
        remove(hidden)


def swap(place: Place, wanted: Listed) -> Iterator[Step]:
    """Let recordings that changed take their places, as the newest snapshot has them."""
    for hidden in [path for path in place.hidden() if path.name.endswith((".next", ".old"))]:
        name = hidden.name[1:].rpartition(".")[0]
        final, old = hidden.with_name(name), hidden.with_name(f".{name}.old")
        try:
            if hidden.suffix == ".next" and name in wanted and is_in(hidden, wanted[name][0]):
                if final.exists():
                    remove(old)
                    os.rename(final, old)
                    yield Step("former state aside")
                os.rename(hidden, final)
                sync_path(final.parent)
                yield Step("new state in place")
                remove(old)
                yield Step("former state removed")
            elif hidden.suffix == ".old" and hidden.exists() and not final.exists() and not _next_of(final).exists():
                os.rename(hidden, final)
                sync_path(final.parent)
        except OSError as error:
            raise explain(error, "exchange two copies", final) from error


def _next_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.next")


def is_in(folder: Path, state: str) -> bool:
    """Say whether a folder holds a recording in this state."""
    if state == ERASED:
        return folder.is_dir() and not any(folder.glob("part-*"))
    if state.startswith(AWAY):
        return manifest_digest(folder) == state.removeprefix(AWAY)
    return manifest_digest(folder) == state and any(folder.glob("part-*"))


def prune(place: Place, keep_days: int) -> Iterator[Step]:
    """Remove snapshots, with the copies of keys in them: all that are too old, and of older days all but the last.

    Once keys of a newer epoch are in the backup, all with keys of an older one go: they open what was erased since.
    """
    snapshots = place.snapshots()
    epoch = copied_epoch(snapshots[-1].folder)
    now = snapshots[-1].at_us
    by_day: dict[str, Snapshot] = {}
    for one in snapshots:
        by_day[datetime.fromtimestamp(one.at_us / 1e6, UTC).strftime("%Y%m%d")] = one
    kept = {one.folder for one in by_day.values()} | {one.folder for one in snapshots if now - one.at_us < _ALL_KEPT_US}
    for one in snapshots[:-1]:
        is_past = (copied_epoch(one.folder) or epoch or 0) < (epoch or 0)
        if one.folder in kept and now - one.at_us < keep_days * _DAY_US and not is_past:
            continue
        gone = one.folder.with_name(f".{one.folder.name}.old")
        try:
            os.rename(one.folder, gone)
        except OSError as error:
            raise explain(error, "remove an old snapshot", one.folder) from error
        yield Step("old snapshot aside")
        remove(gone)
        yield Step("old snapshot removed")
