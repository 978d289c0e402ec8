"""The catalogue written anew from the recordings: what each says of its call is sealed in it (META).

Holds, restrictions, corrections and the audit trail are taken over from the catalogue before, where that can still be
read (life/carry.py); announcements else from their own files. What else only the catalogue knew does not come back:
calls of which nothing was recorded, tokens, runs. A backup of catalogue.db holds those.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from vittne.appliance.announcements.restoring import restore_announcements
from vittne.appliance.life.carry import carry_over, note_what_is_lost
from vittne.appliance.opened import open_recording
from vittne.appliance.seal import records
from vittne.appliance.seal.history import ErasedEntry, History, read_history
from vittne.appliance.seal.manifest import BadManifest, Manifest, digest, read_manifest
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.storage.fetching import at_hand
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, Search
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import Store, is_id, sync_path
from vittne.appliance.store.rows import FINISHED, CallRow, StreamRow
from vittne.appliance.verdicts.restore import restored, with_heard
from vittne.appliance.verdicts.table import Kept, VerdictTable

NEW_FILE: Final = "catalogue.new.db"
BEFORE_FILE: Final = "catalogue.before.db"
_BATCH: Final = 200
_COMPARED: Final = tuple(name for name in CallRow.__slots__ if name not in ("details", "folder", "tags"))  # tags change


@dataclass(frozen=True, slots=True)
class Read:
    """What a recording says of its call. problem: why it says less than it should."""

    row: CallRow
    problem: str = ""
    verdicts: tuple[Kept, ...] = ()


def read_rows(data_dir: Path, known: Collection[str] = ()) -> Iterator[Read]:
    """Yield the row of every finished recording but those known. Raises StoreError when nothing can be read at all."""
    key = load_verifier(data_dir / "keys")
    store = Store(data_dir, create=False)
    history, _ = read_history(data_dir / "ledger", key)
    try:
        for folder in store.finished():
            if not is_id(folder.name) or folder.name in known:
                continue
            place = str(folder.relative_to(data_dir))
            try:
                manifest, _ = read_manifest(folder, key)
            except (BadManifest, StoreError) as error:
                yield Read(CallRow(folder.name, FINISHED, (), "", "", 0, folder=place), f"the manifest {error}")
                continue
            told = history.erasures.get(manifest.rec)
            if told is not None:
                yield _restored(Read(_erased(manifest, told)), manifest, history)
                continue
            yield _restored(read_row(data_dir, manifest, place), manifest, history)
    finally:
        store.close()


def rebuild(data_dir: Path, told: Callable[[str], None] = lambda _: None) -> Iterator[Read]:
    """Write a new catalogue and let it take the old one's place, which is kept as catalogue.before.db.

    The caller holds the directory's lock. Yields what was read. told: hears what is wrong with what else was brought
    back. Raises StoreError: then the old one is as it was.
    """
    new = data_dir / NEW_FILE
    remove_database(new)
    catalogue = Catalogue(new)
    try:
        some: list[Read] = []
        for read in read_rows(data_dir):
            some.append(read)
            if len(some) >= _BATCH:
                put_read(catalogue, some)
                some.clear()
            yield read
        put_read(catalogue, some)
        old = data_dir / CATALOGUE_FILE
        if not (old.exists() and carry_over(old, catalogue)):
            note_what_is_lost(data_dir)
            for problem in restore_announcements(data_dir, catalogue):
                told(problem)
    finally:
        catalogue.close()
    put_in_place(new, old)


def put_in_place(new: Path, old: Path) -> None:
    """Let a catalogue take the place of another, which is kept as catalogue.before.db. Raises StoreError."""
    try:
        if old.exists():
            _fold(old)
            _put_aside(old)
        _remove_logs(old)
        os.replace(new, old)
    except OSError as error:
        raise explain(error, "put the new catalogue in place", old) from error
    sync_path(old.parent)


def put_read(catalogue: Catalogue, some: Sequence[Read]) -> None:
    """Write calls, and the verdicts on them."""
    catalogue.upsert_calls([read.row for read in some])
    VerdictTable(catalogue).put([(read.row, one) for read in some for one in read.verdicts])


def differences(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield (recording, what differs) between the catalogue and what the recordings say of themselves."""
    with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        every = catalogue.list_calls(Search(unanswered=True))
        known = {row.id: row for row in every if row.folder or row.erased_us is not None}
    for read in read_rows(data_dir):
        there = known.pop(read.row.id, None)
        if there is None:
            yield read.row.id, "not in the catalogue"
        elif there.erased_us is not None and read.row.erased_us is not None:
            continue  # of an erased one nobody says anything
        elif read.problem:
            yield read.row.id, f"cannot be compared: {read.problem}"
        else:
            wrong = [name for name in _COMPARED if getattr(there, name) != getattr(read.row, name)]
            if wrong:
                yield read.row.id, f"says something else of {', '.join(wrong)}"
    for recording, row in known.items():
        if row.state == FINISHED and row.erased_us is None:
            yield recording, "in the catalogue, and not on the disk"


def read_row(data_dir: Path, manifest: Manifest, place: str) -> Read:
    """Return what a finished recording says of its call: without its key, when it was and what became of it."""
    try:
        with at_hand(data_dir, data_dir / place):  # what is brought back for it leaves again
            body = _meta(data_dir, manifest, place)
        meta: dict[str, Any] = json.loads(body)
        row = CallRow.from_json({**meta, "state": FINISHED})
    except (StoreError, ValueError, KeyError, TypeError) as error:
        return Read(_as_the_manifest_says(manifest, place), str(error) or "it says nothing of its call")
    size = sum(part.size_bytes for part in manifest.parts)
    row = with_heard(replace(row, folder=place, size_bytes=size, outcome=manifest.outcome), meta)
    row, verdicts = restored(row, manifest)
    return Read(row, verdicts=tuple(verdicts))


def _restored(read: Read, manifest: Manifest, history: History) -> Read:
    """Return what was read with every verdict that the ledger tells of."""
    later = history.verdicts.get(manifest.rec, ())
    row, verdicts = restored(read.row, manifest, later, manifest.rec in history.released)
    return replace(read, row=row, verdicts=tuple(verdicts))


def _meta(data_dir: Path, manifest: Manifest, place: str) -> bytes:
    """Return the body of the META record that the manifest vouches for; it is near the end of the last part."""
    if not manifest.meta_sha256:
        raise ValueError("a crash kept it from saying anything of its call")
    with open_recording(data_dir, place, manifest.rec) as opened:
        for plain, rows in opened.last_groups(2):
            for n in (rows.type == records.META).nonzero()[0]:
                body = plain[int(rows.offset[n]) : int(rows.offset[n] + rows.length[n])]
                if digest(body) == manifest.meta_sha256:
                    return body
    raise ValueError("what it says of its call is not what the manifest vouches for")


def _erased(manifest: Manifest, told: ErasedEntry) -> CallRow:
    """Return the row of a recording that the ledger says is erased, as erasing leaves it."""
    row = _as_the_manifest_says(manifest, "")
    return replace(row, outcome="erased", outcome_reasons=(), size_bytes=0, erased_us=told.at_us)


def _as_the_manifest_says(manifest: Manifest, place: str) -> CallRow:
    """Return a row without anybody: when, how long, and what became of it."""
    begin, end = min(part.from_us for part in manifest.parts), max(part.to_us for part in manifest.parts)
    streams = tuple(StreamRow("", s.codec, 0, 0, 0, "", "", s.packets, s.stored, begin, end) for s in manifest.streams)
    return CallRow(
        manifest.rec,
        FINISHED,
        (),
        "",
        "",
        begin,
        begin,
        end,
        outcome=manifest.outcome,
        outcome_reasons=manifest.outcome_reasons,
        folder=place,
        size_bytes=sum(part.size_bytes for part in manifest.parts),
        streams=streams,
    )


def _fold(path: Path) -> None:
    """Bring what is in a database's log into its file, as far as it can still be opened."""
    import sqlite3  # noqa: PLC0415

    with suppress(sqlite3.Error):
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def _put_aside(old: Path) -> None:
    """Copy the former catalogue, so that at no time there is none.

    Else a crash here, and an empty one that the next start makes, would lose holds without anybody's notice. No link:
    SQLite must never have one database open under two names.
    """
    before = old.with_name(BEFORE_FILE)
    half = before.with_name(f".{before.name}.new")
    remove_database(half)
    remove_database(before)
    os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    shutil.copyfile(old, half)
    sync_path(half)
    os.replace(half, before)


def remove_database(path: Path) -> None:
    """Remove a database that may be there, with its logs."""
    with suppress(FileNotFoundError):
        path.unlink()
    _remove_logs(path)


def _remove_logs(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
