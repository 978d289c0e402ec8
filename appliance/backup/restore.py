"""Restoring: an archive that goes on from a backup, and says so in its ledger.

Made in DIR/.restoring, then moved up, the keys last: without them no program begins there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vittne.appliance.backup.bring import Brought, bring, bring_recordings, choose_snapshot
from vittne.appliance.backup.copying import Spent, grow
from vittne.appliance.backup.place import GROWING, SNAPSHOT_FILE, Place, file_digest, make_folders, remove
from vittne.appliance.life.erase import settle_erasures
from vittne.appliance.recover import recover
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import sync_path, write_atomically
from vittne.appliance.store.lock import DataLock

WORK: Final = ".restoring"
_REASON: Final = "not-in-backup"


@dataclass(slots=True)
class Restored:
    """What came of it. lost: recordings that were begun, not finished, when the backup was made."""

    at_us: int
    size: int
    recordings: int = 0
    lost: int = 0
    erased_again: int = 0
    without_key: int = 0
    problems: list[str] = field(default_factory=list)


def restore(
    source: Path,
    target: Path,
    before_us: int | None = None,
    archive_key: Path | None = None,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
    spent: Spent = lambda _: None,
) -> Restored:
    """Restore into an empty directory. Raises StoreError: then the directory holds nothing but DIR/.restoring."""
    place = Place(source)
    snapshot = choose_snapshot(place, before_us)
    _refuse_full(target)
    work = target / WORK
    remove(work)
    brought = bring(place, snapshot, work, archive_key)
    for name, data in brought.secrets.items():
        make_folders((work / name).parent)
        write_atomically(work / name, data)
    newest = place.newest() or snapshot
    wanted = newest.wanted()
    for number, _ in enumerate(bring_recordings(place, brought, wanted, spent, _noting(brought)), 1):
        advance(number, len(wanted))
    for name in GROWING:
        grow(place.path / name, work / name, spent)
    found = Restored(snapshot.at_us, newest.size, brought.recordings, problems=brought.problems)
    _settle(work, brought, found, file_digest(snapshot.folder / SNAPSHOT_FILE))
    _move_up(work, target)
    return found


def _refuse_full(target: Path) -> None:
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = [name for name in os.listdir(target) if name not in (WORK, "lost+found")]
    except OSError as error:
        raise explain(error, "restore", target) from error
    if there:
        raise StoreError("the directory is not empty", target, "restore into an empty one: --to DIR")


def _noting(brought: Brought) -> Callable[[str, str], None]:
    def note(recording: str, words: str) -> None:
        brought.problems.append(f"{recording}: {words}")

    return note


def _settle(work: Path, brought: Brought, found: Restored, snapshot: str) -> None:
    """Have the archive go on: enter where from, end what had only begun, erase anew what came back."""
    history = brought.history
    lost = sorted(history.opened - history.seals.keys() - history.discarded - history.erased.keys())
    there = {path.name for path in (work / "recordings").glob("*/*/*/*")}
    sealed = history.seals.keys() - history.erased.keys()
    with DataLock(work, "restoring"):
        registrar = Registrar(work)
        try:
            for recording in lost:
                registrar.ledger.record({"t": events.DISCARDED, "rec": recording, "reason": _REASON})
            told: dict[str, Json] = {"size": found.size, "snapshot": snapshot, "recordings": found.recordings}
            missing = len(sealed - there)
            registrar.ledger.record({"t": events.RESTORED, **told, "missing": missing, "lost": len(lost)})
            registrar.ledger.flush()
            for recording in lost:
                registrar.keys.erase(recording)
            recover(registrar)
            found.lost = len(lost)
            found.erased_again = len(settle_erasures(registrar, thorough=True))
            found.without_key = len((sealed & there) - registrar.keys.recordings())
        finally:
            registrar.close()


def _move_up(work: Path, target: Path) -> None:
    try:
        for path in sorted(work.iterdir(), key=lambda path: path.name == "keys"):
            os.rename(path, target / path.name)
        work.rmdir()
    except OSError as error:
        raise explain(error, "finish restoring", target) from error
    sync_path(target)
