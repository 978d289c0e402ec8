"""The API's way into the catalogue: two small tables of its own, in transactions that last milliseconds.

DESIGN 3 has one writer per data directory, who holds DIR/lock. These two tables are the exception, for two
reasons: `vittne token` has to work while a recorder holds the lock, and a token that was revoked has to be
refused at once, not when somebody has passed it on. SQLite itself lets one process write at a time (WAL, BEGIN
IMMEDIATE), the other waits; nothing here holds a transaction open longer than a few statements, and neither
table is named by any other code. Only who holds the lock brings the catalogue to a new version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from vittne.appliance.store.catalogue import CATALOGUE_FILE
from vittne.appliance.store.database import open_database
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock, LockHeld

COMMAND_WAITS_MS: Final = 10_000
# The server shares its event loop with the registrar: rather a 503 than a recorder that waits.
SERVER_WAITS_MS: Final = 500


class ApiDatabase:
    """The catalogue, opened for the API's tables."""

    def __init__(self, data: Path, waits_ms: int = SERVER_WAITS_MS, durable: bool = False) -> None:
        """Open the catalogue, which must be of this program's version. Raises StoreError.

        waits_ms: how long to wait for another writer. durable: a commit is on the disk when it returns; else a
        power cut (not a crash) may take the last seconds.
        """
        self.path = data / CATALOGUE_FILE
        open_database(self.path, read_only=True).dispose()
        self._sync = "FULL" if durable else "NORMAL"
        self._waits_ms = waits_ms
        self._engine = create_engine("sqlite://", creator=self._open, poolclass=QueuePool)

    def _open(self) -> sqlite3.Connection:
        # Not store.database's writer: that one opens and closes the file beside SQLite to set its rights, and a
        # close by the recorder's own process drops the POSIX locks that the open catalogue relies on.
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        found = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        found.execute(f"PRAGMA busy_timeout = {self._waits_ms}")
        found.execute(f"PRAGMA synchronous = {self._sync}")
        found.execute("PRAGMA secure_delete = ON")
        return found

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for statements that read, each one for itself. Raises StoreError."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise self._ours("read", error) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in one transaction, which is committed at the end. Raises StoreError."""
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
        except DBAPIError as error:
            raise self._ours("write", error) from error

    def _ours(self, doing: str, error: DBAPIError) -> StoreError:
        reason = str(error.orig)[:200]
        return StoreError(f"cannot {doing} the catalogue: {reason}", self.path, "nothing was changed; try again")


def ready_catalogue(data: Path) -> None:
    """Make the catalogue, or bring it up to date, where that is needed and nobody else does it. Raises StoreError.

    The lock is taken only when there is something to do: a recorder that starts just now must not find it taken.
    """
    path = data / CATALOGUE_FILE
    try:
        open_database(path, read_only=True).dispose()
    except StoreError as not_ready:
        try:
            with DataLock(data, "preparing the catalogue"):
                open_database(path, read_only=False).dispose()
        except LockHeld:
            raise not_ready from None
