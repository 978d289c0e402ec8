"""A backup, one step at a time: a kill between any two leaves the snapshot before whole, and the next one goes on.

the ledger ▸ recordings that are new, beside those that changed ▸ databases, keys, what else there is
▸ did a cut or an erasure come in between? then once more ▸ the snapshot gets its name: from here on it counts
▸ recordings that changed take the place of what was there ▸ old snapshots go
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vittne.appliance.backup.copying import (
    Damaged,
    MovedOn,
    Spent,
    copy_database,
    copy_file,
    copy_proofs,
    copy_recording,
    grow,
)
from vittne.appliance.backup.keyfiles import copy_keys
from vittne.appliance.backup.ledgercopy import copy_ledger
from vittne.appliance.backup.place import (
    AWAY,
    ERASED,
    GROWING,
    LIST_FILE,
    SNAPSHOT_FILE,
    NoBackup,
    Place,
    Snapshot,
    file_digest,
    make_folders,
    remove,
    snapshot_name,
)
from vittne.appliance.backup.tidy import Listed, Step, is_in, prune, settle, swap
from vittne.appliance.changeable import SETTINGS_FILE
from vittne.appliance.seal import events
from vittne.appliance.seal.history import History
from vittne.appliance.seal.journal import Journal
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.note import Checkpoint
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged
from vittne.appliance.storage.fetching import is_away
from vittne.appliance.storage.known import KNOWN_FILE
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import Store, is_id, sync_path, write_atomically
from vittne.appliance.store.times import now_us, rfc3339

_ROUNDS: Final = 8
_TOLD_EVERY: Final = 16  # recordings
# After one of these, what was copied before is not what the ledger says.
_MOVING: Final = frozenset({events.CUT, events.ERASED, events.KEY_EPOCH, events.KEY_ROTATE})
_FILES: Final = ("holds.lost", KNOWN_FILE, SETTINGS_FILE)
_FOLDERS: Final = ("witness",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to copy, and how long copies of keys live. config: the configuration in force, copied as well.

    begin: whether the first backup may be written to an empty directory.
    """

    data_dir: Path
    target: Path
    config: Path | None = None
    keep_days: int = 30
    begin: bool = True


@dataclass(slots=True)
class Done:
    """What came of it. problems: recordings that are not in the backup, and why."""

    recordings: int = 0
    copied: int = 0
    bytes: int = 0
    size: int = 0
    sum: str = ""
    has_key: bool = False
    problems: list[str] = field(default_factory=list)


class Backup:
    """One run. point(): has the recorder, or whoever may write, bring ledger and catalogue to one state."""

    def __init__(self, wanted: Wanted, point: Callable[[], None], spent: Spent = lambda _: None) -> None:
        self.done = Done()
        self._wanted = wanted
        self._data = wanted.data_dir
        self._point = point
        self._spent = spent
        self._key: VerifyKey = load_verifier(self._data / "keys")

    def steps(self) -> Iterator[Step]:
        """Do it. Raises NoBackup, LedgerDamaged, StoreError: then the snapshot before is as it was."""
        with Place.open(self._wanted.target, self._key, self._wanted.begin) as place:
            before = place.newest()
            self._refuse_rollback(before)
            yield Step("the place is ours")
            settle(place, before)
            yield Step("leftovers removed")
            yield from self._rounds(place, before)
            snapshot = self._finish(place)
            yield Step("snapshot in place")
            yield from swap(place, snapshot.wanted())
            yield from prune(place, self._wanted.keep_days)

    def _refuse_rollback(self, before: Snapshot | None) -> None:
        """See that the archive goes on from what is in the backup. Raises LedgerDamaged."""
        if before is None:
            return
        old = Checkpoint(self._key.name, before.size, bytes.fromhex(before.root))
        view = LedgerView(self._data / "ledger", self._key)
        if old.size > view.checkpoint.size:
            what = f"the backup has {old.size} entries of the ledger, the archive {view.checkpoint.size}"
            next_step = "an older copy of the archive was put back? restore from this backup, or give another directory"
            raise LedgerDamaged(f"{what}: it would be rolled back", self._wanted.target, next_step)
        if old.size <= view.published.size:
            view.consistency(old)
        elif scan_ledger(self._data / "ledger", self._key, size=old.size).tree.root() != old.root:
            raise LedgerDamaged("the archive's ledger is not the one in the backup", self._wanted.target, NEXT)

    def _rounds(self, place: Place, before: Snapshot | None) -> Iterator[Step]:
        known = {} if before is None else before.wanted()
        for _ in range(_ROUNDS):
            remove(place.staging)
            make_folders(place.staging)
            self._point()
            journal = copy_ledger(self._data / "ledger", place, self._key, self._spent)
            yield Step("ledger copied")
            history = self._history(journal)
            try:
                listed = yield from self._recordings(place, history, known)
            except MovedOn:
                continue
            self._point()  # the catalogue now says all that the copied ledger says
            yield from self._others(place)
            if self._moved(journal.checkpoint.size):
                continue
            self._write_list(place, listed, journal)
            yield Step("snapshot written")
            return
        raise StoreError("recordings are cut or erased all the time", self._data, "back up again when that is done")

    def _history(self, journal: Journal) -> History:
        """Return what the ledger that was copied says; all of it is read and held against its root."""
        history = History()
        scan = scan_ledger(self._data / "ledger", self._key, history.visit, journal.checkpoint.size)
        if scan.tree.root() != journal.checkpoint.root:
            raise LedgerDamaged("the ledger was altered: entries do not have the signed root", self._data, NEXT)
        return history

    def _recordings(self, place: Place, history: History, known: Listed) -> Generator[Step, None, Listed]:
        """Copy what is not there; return the list of all that are. Raises MovedOn when one is in a later state."""
        store = Store(self._data, create=False)
        try:
            folders = {path.name: path for path in store.finished() if is_id(path.name)}
        finally:
            store.close()
        listed: Listed = {}
        self.done.problems = []  # of an earlier round
        for number, recording in enumerate(history.seals, 1):
            state = ERASED if recording in history.erasures else str(history.last_seal(recording))
            source = folders.get(recording)
            if source is None and state == ERASED:
                continue
            if source is None and recording in known and known[recording][0] == state:
                source = self._data / "recordings" / known[recording][1]
            if source is None:
                # Sealed a moment ago, or erased since, or removed: the next round knows.
                if self._is_on_its_way(recording):
                    raise MovedOn
                self.done.problems.append(f"{recording}: it was sealed and is gone: see `vittne verify --all`")
                continue
            where = str(source.relative_to(self._data / "recordings"))
            target = place.recordings / where
            if state != ERASED and self._is_away(recording, source) and not is_in(target, state):
                state = AWAY + state
            listed[recording] = state, where
            if known.get(recording) == (state, where) and target.is_dir():
                continue
            try:
                if self._bring(source, target, state):
                    self.done.copied += 1
                    yield Step("recording copied", number, len(history.seals))
            except Damaged as error:
                del listed[recording]
                self.done.problems.append(f"{recording}: {error.what}")
            if number % _TOLD_EVERY == 0:
                yield Step("recordings compared", number, len(history.seals))
        return listed

    def _bring(self, source: Path, target: Path, state: str) -> bool:
        """Have a recording's state in the backup; return whether something was to be copied for it."""
        if is_in(target, state):
            return False
        staged = target.with_name(f".{target.name}.next") if target.exists() else target
        if staged != target and is_in(staged, state):
            return False
        if staged != target:
            remove(staged)
        make_folders(target.parent)
        if state == ERASED or state.startswith(AWAY):
            copy_proofs(source, staged)
        else:
            self.done.bytes += copy_recording(source, staged, state, self._key, self._spent)
        return True

    def _is_away(self, recording: str, source: Path) -> bool:
        """Say whether a recording is kept at a storage target only: a backup does not bring it back for itself."""
        return not any(source.glob("part-*")) and is_away(self._data, recording)

    def _is_on_its_way(self, recording: str) -> bool:
        store = Store(self._data, create=False)
        try:
            return store.find(recording) is not None
        finally:
            store.close()

    def _others(self, place: Place) -> Iterator[Step]:
        staging = place.staging
        for name in ("keys.db", "catalogue.db"):
            copy_database(self._data / name, staging / name)
            yield Step(f"{name} copied")
        self.done.has_key = copy_keys(self._data, staging)
        yield Step("keys copied")
        for name in GROWING:
            grow(self._data / name, place.path / name, self._spent)
            yield Step(f"{name} copied")
        for name in _FOLDERS:
            grow(self._data / name, staging / name, self._spent)
        try:
            for name in _FILES:
                if (self._data / name).exists():
                    copy_file(self._data / name, staging / name, self._spent)
            if self._wanted.config is not None:
                copy_file(self._wanted.config, staging / "config.toml", self._spent)
        except OSError as error:
            raise explain(error, "copy a file", staging) from error
        yield Step("configuration copied")

    def _moved(self, size: int) -> bool:
        """Say whether something was cut or erased behind the first entries: then what was copied is of two states."""
        view = LedgerView(self._data / "ledger", self._key)
        return any(read_entry(entry)["t"] in _MOVING for _, entry in view.entries(size))

    def _write_list(self, place: Place, listed: Listed, journal: Journal) -> None:
        staging = place.staging
        lines = "".join(f"{state} {where}\n" for state, where in listed.values())
        write_atomically(staging / LIST_FILE, lines.encode())
        self.done.recordings = sum(state != ERASED for state, _ in listed.values())
        self.done.size = journal.checkpoint.size
        files = sorted(path for path in staging.rglob("*") if path.is_file())
        said = {
            "v": 1,
            "at": rfc3339(now_us()),
            "ledger": {"name": self._key.name, "size": self.done.size, "root": journal.checkpoint.root.hex()},
            "recordings": self.done.recordings,
            "bytes": self.done.bytes,
            "has_key": self.done.has_key,
            "sums": {str(path.relative_to(staging)): file_digest(path) for path in files},
        }
        write_atomically(staging / SNAPSHOT_FILE, json.dumps(said, indent=1, sort_keys=True).encode() + b"\n")
        self.done.sum = file_digest(staging / SNAPSHOT_FILE)

    def _finish(self, place: Place) -> Snapshot:
        """Let the snapshot count."""
        for folder, _, _ in os.walk(place.staging):
            sync_path(Path(folder))
        before = place.newest()
        at = max(now_us(), 0 if before is None else before.at_us + 1)
        final = place.staging.with_name(snapshot_name(at))
        try:
            os.rename(place.staging, final)
        except OSError as error:
            raise explain(error, "finish a snapshot", final) from error
        sync_path(final.parent)
        found = place.newest()
        if found is None or found.folder != final:
            raise NoBackup(
                "a snapshot from the future is there: this machine's clock was wrong", place.path, "remove it"
            )
        return found
