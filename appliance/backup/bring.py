"""Out of a backup into an empty directory: each thing is held against what vouches for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vittne.appliance.backup.copying import Damaged, MovedOn, Spent, copy_file, copy_proofs, copy_recording, grow
from vittne.appliance.backup.keyfiles import ARCHIVE_KEY_FILE, BOX_FILE, open_archive, open_box
from vittne.appliance.backup.ledgercopy import full_tiles
from vittne.appliance.backup.place import AWAY, ERASED, NoBackup, Place, Snapshot, make_folders
from vittne.appliance.backup.tidy import is_in
from vittne.appliance.keyring.vault import Vault
from vittne.appliance.seal.history import History, read_history
from vittne.appliance.seal.journal import JOURNAL_FILE, read_journal
from vittne.appliance.seal.ledgerstate import CHECKPOINT_FILE, HEAD_FILE
from vittne.appliance.seal.note import BadNote, open_checkpoint
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import Store

List = Mapping[str, tuple[str, str]]  # manifest's SHA-256 or ERASED, and folder below recordings/, by recording


@dataclass(slots=True)
class Brought:
    """An archive that was brought back. secrets: by their paths below the data directory; they are not written."""

    data_dir: Path
    key: VerifyKey
    archive_key: Vault
    secrets: dict[str, bytes]
    history: History
    size: int
    problems: list[str] = field(default_factory=list)
    recordings: int = 0


def choose_snapshot(place: Place, before_us: int | None) -> Snapshot:
    """Return the newest snapshot, or the newest that is not after a time. Raises NoBackup."""
    found = [one for one in place.snapshots() if before_us is None or one.at_us <= before_us]
    if not found:
        raise NoBackup("there is no snapshot from then", place.path, "`vittne backup --list` shows which there are")
    return found[-1]


def bring(place: Place, snapshot: Snapshot, data_dir: Path, archive_key: Path | None) -> Brought:
    """Bring everything but the recordings into an empty directory; what opens them must open.

    Keys and databases are the snapshot's; the ledger is the newest that the backup has: nothing that was entered is
    forgotten. archive_key: a copy that is kept apart from the backup. Raises StoreError.
    """
    newest = place.newest() or snapshot
    for one in {snapshot.folder: snapshot, newest.folder: newest}.values():
        one.check()
    Store(data_dir).close()
    keys = data_dir / "keys"
    grow(snapshot.folder / "keys", keys, _free)
    key = load_verifier(keys)
    if key.name != place.ledger:
        raise NoBackup("the keys in the snapshot are another archive's", snapshot.folder, "take another --snapshot")
    private = _archive_key(data_dir, archive_key)
    secrets = open_box(snapshot.folder / BOX_FILE, private)
    _bring_ledger(place, newest, data_dir, key)
    history, scan = read_history(data_dir / "ledger", key)
    if (scan.checkpoint.size, scan.checkpoint.root.hex()) != (newest.size, newest.root):
        raise LedgerDamaged("the ledger is not the one that the snapshot names", newest.folder, NEXT)
    for name in snapshot.sums:
        if "/" not in name and name not in (BOX_FILE, "recordings"):
            _copy(snapshot.folder / name, data_dir / name)
    grow(snapshot.folder / "witness", data_dir / "witness", _free)
    return Brought(data_dir, key, private, secrets, history, newest.size)


def bring_recordings(
    place: Place, brought: Brought, wanted: List, spent: Spent, failed: Callable[[str, str], None]
) -> Iterator[str]:
    """Bring recordings, each hashed against its signed manifest; yield the id of each that is there.

    failed: is told of one that the backup does not have as it should, and why.
    """
    for recording, (state, where) in wanted.items():
        target = brought.data_dir / "recordings" / where
        source = place.recordings / where
        try:
            _bring_one(source, target, state, brought.key, spent)
        except (Damaged, NoBackup) as error:
            failed(recording, error.what)
            continue
        brought.recordings += state != ERASED
        yield recording


def _bring_one(source: Path, target: Path, state: str, key: VerifyKey, spent: Spent) -> None:
    make_folders(target.parent)
    # A backup that was killed may have left the newer state, or the former one, beside it.
    for one in (source, source.with_name(f".{source.name}.next"), source.with_name(f".{source.name}.old")):
        if not one.is_dir():
            continue
        if state == ERASED or (state.startswith(AWAY) and is_in(one, state)):
            copy_proofs(one, target)
            return
        if state.startswith(AWAY):
            continue
        try:
            copy_recording(one, target, state, key, spent)
        except MovedOn:
            continue
        return
    raise NoBackup("it is not in the backup in the state that its ledger names", source, "look for another backup")


def _archive_key(data_dir: Path, given: Path | None) -> Vault:
    """Open the archive key: the one given, or that of the snapshot. Raises StoreError."""
    path = data_dir / "keys" / ARCHIVE_KEY_FILE
    if given is not None:
        _copy(given, path)
    elif not path.exists():
        what = "the archive key is not in this backup: it had no passphrase, so a copy would have lain open"
        raise NoBackup(what, path.name, "give the copy that you keep elsewhere: --archive-key FILE")
    return open_archive(data_dir)


def _bring_ledger(place: Place, newest: Snapshot, data_dir: Path, key: VerifyKey) -> None:
    edge, target = newest.folder / "ledger", data_dir / "ledger"
    journal = read_journal(edge / JOURNAL_FILE, key)
    try:
        published = open_checkpoint((edge / CHECKPOINT_FILE).read_bytes(), key)
    except BadNote as error:
        raise LedgerDamaged(f"the checkpoint cannot be trusted: {error}", edge, "take another --snapshot") from error
    except OSError as error:
        raise explain(error, "read a backup", edge) from error
    for name in full_tiles(max(journal.base, published.size)):
        make_folders((target / name).parent)
        _copy(place.path / "ledger" / name, target / name)
    grow(edge, target, _free)
    os.replace(target / HEAD_FILE, data_dir / "keys" / HEAD_FILE)


def _copy(source: Path, target: Path) -> None:
    try:
        copy_file(source, target, _free)
    except OSError as error:
        raise explain(error, "restore a file", source) from error


def _free(_: int) -> None:
    """Not paced, and not shown."""
