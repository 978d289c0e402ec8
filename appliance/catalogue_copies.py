"""A copy of the catalogue from before an upgrade, and the way back to it.

A newer program brings the catalogue up to its version when it starts, and an older one refuses it then. Who goes back
to the older program puts the copy in its place. Only a catalogue that is too new is ever replaced: else the copy, which
knows less, would cost what was entered since.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.backup.copying import copy_database
from vittne.appliance.store.catalogue import CATALOGUE_FILE
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import sync_path
from vittne.appliance.store.lock import DataLock, LockHeld
from vittne.appliance.store.tables import HEAD

NEWER_FILE: Final = "catalogue.newer.db"  # what was replaced
_NEW_FILE: Final = "catalogue.back.db"
_AGAIN_S: Final = 0.05  # a recorder that cannot start is started each second: there is room between two tries


@dataclass(frozen=True, slots=True)
class PutBack:
    """What came of it. replaced: whether the copy is the catalogue now."""

    replaced: bool
    words: str


def copy(data: Path, target: Path) -> str:
    """Copy the catalogue while its writer goes on; return its version. Raises StoreError."""
    catalogue = data / CATALOGUE_FILE
    if not catalogue.exists():
        raise StoreError("there is no catalogue yet", catalogue, "there is nothing to copy before a first start")
    copy_database(catalogue, target)
    return version_of(target)


def put_back(data: Path, source: Path, wait_s: float) -> PutBack:
    """Replace a catalogue that this program is too old for. wait_s: for the data directory, at most.

    Raises StoreError when the copy is no catalogue that this program can use, LockHeld when somebody else keeps the
    directory for so long.
    """
    catalogue = data / CATALOGUE_FILE
    with _lock(data, wait_s):
        found = version_of(catalogue)
        if found <= HEAD:
            return PutBack(False, f"the catalogue is of version {found}, which this program can use: nothing was done")
        before = version_of(source)
        if before > HEAD:
            raise StoreError(f"the copy is of version {before}, this program knows {HEAD}", source, "name an older one")
        copy_database(catalogue, data / NEWER_FILE)
        copy_database(source, data / _NEW_FILE)
        _as_owner_of(catalogue, data / NEWER_FILE, data / _NEW_FILE)
        try:
            # What is left of the newer one's journal would be played into the older one.
            for name in (f"{CATALOGUE_FILE}-wal", f"{CATALOGUE_FILE}-shm"):
                (data / name).unlink(missing_ok=True)
            os.replace(data / _NEW_FILE, catalogue)
            sync_path(data)
        except OSError as error:
            raise explain(error, "put the catalogue back", catalogue) from error
    words = f"the catalogue is of version {before} again; the one of version {found} is kept in {NEWER_FILE}"
    return PutBack(True, f"{words}; what was recorded meanwhile: vittne rebuild --check")


def version_of(path: Path) -> str:
    """Return the version of a whole catalogue. Raises StoreError for anything else."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"this is no catalogue ({error})", path, "name a file of `vittne catalogue copy`") from error
    if state != "ok" or row is None:
        raise StoreError("this catalogue is broken", path, "name another copy")
    return str(row[0])


def _lock(data: Path, wait_s: float) -> DataLock:
    end = time.monotonic() + wait_s
    while True:
        try:
            return DataLock(data, "going back to a catalogue of before")
        except LockHeld:
            if time.monotonic() >= end:
                raise
        time.sleep(_AGAIN_S)


def _as_owner_of(model: Path, *paths: Path) -> None:
    """Give files to who has the model: root may be doing this."""
    owner = model.stat()
    for path in paths:
        with contextlib.suppress(PermissionError):
            os.chown(path, owner.st_uid, owner.st_gid)
