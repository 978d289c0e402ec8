"""The directory that backups are in. Whoever writes there holds its lock.

    DEST/vittne-backup.json            whose backups these are: the name of the archive's ledger
    DEST/lock                          who writes
    DEST/recordings/YYYY/MM/DD/<uuid>/ finished recordings, as they are in the archive
    DEST/ledger/tile/                  full tiles and bundles: they never change
    DEST/stamps/, certificates/, announcements/   grow only
    DEST/snapshots/<time>/             everything that changes, as of one moment; it counts once it has this name
        snapshot.json                  when, the ledger's size and root, SHA-256 of all other files in here
        recordings                     a line for each recording: its manifest's SHA-256 (or "erased"), its folder
        ledger/                        journal, checkpoint, head, and the tiles that are not full
        catalogue.db, keys.db          copied by SQLite
        keys/, secrets.json            keys (keyfiles.py)
        config.toml, witness/, ...     where there are such

Hidden names are what a backup has not finished: `.new` is half a copy, `.next` a recording's newer state that waits
for its snapshot, `.old` what a newer state has just replaced.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import sync_path, write_atomically
from vittne.appliance.store.times import from_rfc3339

MARKER_FILE: Final = "vittne-backup.json"
LOCK_FILE: Final = "lock"
SNAPSHOT_FILE: Final = "snapshot.json"
LIST_FILE: Final = "recordings"
STAGED: Final = ".new"
ERASED: Final = "erased"
AWAY: Final = "away-"  # before the manifest's SHA-256: its parts are at a storage target, its manifests in the backup
_VERSION: Final = 1
GROWING: Final = ("stamps", "certificates", "announcements")  # what is in them is never altered
_FOLDERS: Final = ("recordings", "ledger", *GROWING, "snapshots")
_LIMIT: Final = 1 << 28


class NoBackup(StoreError):
    """A directory that cannot be used as a place for backups, or to restore from."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that is whole. size: entries of the ledger; sums: SHA-256, in hex, of files below its folder."""

    folder: Path
    at_us: int
    size: int
    root: str
    recordings: int
    bytes: int
    sums: dict[str, str]

    def wanted(self) -> dict[str, tuple[str, str]]:
        """Return the recordings: manifest's SHA-256 or ERASED, and folder below recordings/, by id."""
        found = {}
        for line in _read(self.folder / LIST_FILE).decode().splitlines():
            state, _, place = line.partition(" ")
            found[place.rpartition("/")[2]] = state, place
        return found

    def check(self) -> None:
        """See that every file is as it was written. Raises NoBackup."""
        for name, sha256 in self.sums.items():
            path = self.folder / name
            if not path.is_file() or file_digest(path) != sha256:
                raise NoBackup("a file of the snapshot was altered, or is gone", path, "take another --snapshot")


class Place:
    """A directory with backups of one archive."""

    def __init__(self, path: Path) -> None:
        """Look at a directory. Raises NoBackup when no backup is there."""
        self.path = path
        self._lock = -1
        try:
            said: dict[str, Any] = json.loads(_read(path / MARKER_FILE))
            self.ledger = str(said["ledger"])
            if said["v"] != _VERSION:
                raise NoBackup("the backup is of another version", path, "use the program that wrote it")
        except (ValueError, KeyError, TypeError) as error:
            raise NoBackup("this is no backup of ours", path, f"look at {MARKER_FILE}") from error

    @classmethod
    def open(cls, path: Path, key: VerifyKey, begin: bool = True) -> Self:
        """Open a directory to write there, and take its lock. Raises NoBackup, StoreError.

        begin: whether an empty one is begun. What runs by itself does not: a share that is not mounted is empty.
        """
        if not path.is_dir():
            raise NoBackup("there is no such directory", path, "is it mounted? make it once by hand")
        marker = path / MARKER_FILE
        if not marker.exists():
            strange = [name for name in os.listdir(path) if name not in (LOCK_FILE, "lost+found")]
            strange = [name for name in strange if name != f".{MARKER_FILE}.new"]
            if not begin and not strange:
                raise NoBackup("no backup was begun there", path, "is it mounted? `vittne backup` begins one")
            if strange:
                raise NoBackup("something else is in there", path, "give an empty directory")
            write_atomically(marker, json.dumps({"v": _VERSION, "ledger": key.name}).encode() + b"\n")
        place = cls(path)
        if place.ledger != key.name:
            raise NoBackup(f"this is the backup of another archive ({place.ledger})", path, "give another directory")
        place._take_lock()
        for name in _FOLDERS:
            make_folders(path / name)
        return place

    def close(self) -> None:
        """Let others write."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def recordings(self) -> Path:
        """Where recordings are."""
        return self.path / "recordings"

    @property
    def staging(self) -> Path:
        """Where a snapshot is made."""
        return self.path / "snapshots" / STAGED

    def snapshots(self) -> list[Snapshot]:
        """Return all that are whole, the oldest first. Raises StoreError."""
        names = sorted(name for name in _names(self.path / "snapshots") if not name.startswith("."))
        return [_snapshot(self.path / "snapshots" / name) for name in names]

    def newest(self) -> Snapshot | None:
        """Return the newest snapshot."""
        found = self.snapshots()
        return found[-1] if found else None

    def hidden(self) -> Iterator[Path]:
        """Yield what is hidden between the recordings: a backup has not finished it."""
        for folder, folders, _ in os.walk(self.recordings):
            hidden = [name for name in folders if name.startswith(".")]
            yield from (Path(folder) / name for name in sorted(hidden))
            folders[:] = [name for name in folders if name.isdigit() and len(name) <= 4]

    def _take_lock(self) -> None:
        try:
            self._lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise NoBackup("another backup is being written there", self.path, "wait for its end") from None
        except OSError as error:
            raise explain(error, "take the lock", self.path / LOCK_FILE) from error


def snapshot_name(at_us: int) -> str:
    """Return the name of a snapshot's folder.

    >>> snapshot_name(1_700_000_000_000_042)
    '20231114T221320.000042Z'
    """
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%S") + f".{at_us % 1_000_000:06}Z"


def file_digest(path: Path) -> str:
    """Return SHA-256 of a file, in hex. Raises StoreError."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise explain(error, "read a backup", path) from error


def make_folders(folder: Path) -> None:
    """Make a folder and what is missing above it, 0700. Raises StoreError."""
    try:
        if not folder.is_dir():
            make_folders(folder.parent)
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            sync_path(folder.parent)
    except OSError as error:
        raise explain(error, "make a folder", folder) from error


def remove(folder: Path) -> None:
    """Remove a folder with all in it, if it is there. Raises StoreError."""
    try:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
    except OSError as error:
        raise explain(error, "remove an old copy", folder) from error


def _snapshot(folder: Path) -> Snapshot:
    try:
        said: dict[str, Any] = json.loads(_read(folder / SNAPSHOT_FILE))
        ledger = said["ledger"]
        sums = {str(name): str(sha256) for name, sha256 in said["sums"].items()}
        if any(name.startswith("/") or ".." in name.split("/") for name in sums):
            raise ValueError("a path that leads elsewhere")
        at = from_rfc3339(said["at"])
        return Snapshot(
            folder, at, int(ledger["size"]), str(ledger["root"]), int(said["recordings"]), int(said["bytes"]), sums
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoBackup("this is no snapshot of ours", folder, "take another, or remove it") from error


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain(error, "list a folder", folder) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_LIMIT)
    except FileNotFoundError as error:
        raise NoBackup("there is no backup here", path, "is it mounted, and the path right?") from error
    except OSError as error:
        raise explain(error, "read a backup", path) from error
