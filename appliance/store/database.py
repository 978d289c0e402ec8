"""Opening the catalogue's database: SQLite by path, PostgreSQL by server; the version it must have.

The writer (who holds the data directory's lock) brings it up to date with Alembic; Alembic is imported only
when there is something to do. A reader never changes anything and says which side is newer.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.server import DatabaseServer, connect, prepare, said
from vittne.appliance.store.tables import HEAD

# the writer's transactions are short; a reader that copies a table may take a moment
BUSY_MS: Final = 10_000
_SQLITE: Final = "sqlite:///"

Where = Path | str | DatabaseServer


def open_database(where: Where, read_only: bool) -> Engine:
    """Open a database at its right version. Raises StoreError when it is missing, older, newer or broken."""
    engine = _connect(where, read_only)
    try:
        _checked(engine, where, read_only)
    except StoreError:
        engine.dispose()
        raise
    return engine


def check_version(found: str | None, where: Where) -> None:
    """Raise StoreError where a reader of a database of this version cannot read it."""
    if found is not None and found > HEAD:
        what = f"the catalogue is of version {found}, this program knows {HEAD}"
        raise StoreError(what, str(where), "use the newer program")
    if found != HEAD:
        what = f"the catalogue is of version {found or 'none'}, this program needs {HEAD}"
        raise StoreError(what, str(where), "it is brought up to date when recording starts")


def _checked(engine: Engine, where: Where, read_only: bool) -> None:
    try:
        _settle_version(engine, where, read_only)
    except DBAPIError as error:
        is_server = isinstance(where, DatabaseServer)
        next_step = "is the server up, and may this user be there?" if is_server else "restore it, or let it be rebuilt"
        raise StoreError(f"the catalogue cannot be read ({said(error.orig)})", str(where), next_step) from error


def _connect(where: Where, read_only: bool) -> Engine:
    if isinstance(where, DatabaseServer):
        return connect(where, read_only)
    path = Path(where.removeprefix(_SQLITE) if isinstance(where, str) else where)
    if read_only and not path.exists():
        raise StoreError("there is no catalogue yet", path, "record something first, or check --data")
    if not read_only:
        _make_private(path)
    engine = create_engine("sqlite://", creator=lambda: _open_sqlite(path, read_only), poolclass=_pool())
    _begin_ourselves(engine, "BEGIN" if read_only else "BEGIN IMMEDIATE")
    return engine


def _pool() -> Any:
    from sqlalchemy.pool import QueuePool  # noqa: PLC0415 - only SQLite by path needs it said

    return QueuePool


def _open_sqlite(path: Path, read_only: bool) -> sqlite3.Connection:
    mode = "rw"
    if read_only:
        # A reader of WAL needs a -shm file beside the database. On a read-only medium there is neither one
        # nor a writer.
        still = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
        mode = "ro&immutable=1" if still else "ro"
    found = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )
    found.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    found.execute("PRAGMA foreign_keys = ON")
    if not read_only:
        found.execute("PRAGMA journal_mode = WAL")
        # What is erased is overwritten: a name must not lie about in a free page.
        found.execute("PRAGMA secure_delete = ON")
        # What a power cut takes from the catalogue is written again from recordings and ledger.
        found.execute("PRAGMA synchronous = NORMAL")
    return found


def _begin_ourselves(engine: Engine, begin: str) -> None:
    """Make every transaction a real one, also around CREATE TABLE: sqlite3 by itself begins late."""

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _make_private(path: Path) -> None:
    """Create the file before SQLite does, for its rights: -wal and -shm copy them.

    One that is there is left alone: closing it again would drop the locks that SQLite has on it in this process.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise explain(error, "open the catalogue", path) from error


def _settle_version(engine: Engine, where: Where, read_only: bool) -> None:
    if isinstance(where, DatabaseServer) and not read_only:
        _begin_schema(engine, where.schema)
    found = _version(engine)
    if found == HEAD:
        return
    if read_only or (found is not None and found > HEAD):
        check_version(found, where)
    _migrate(engine)


def _begin_schema(engine: Engine, schema: str) -> None:
    with engine.begin() as connection:
        prepare(connection, schema)


def _version(engine: Engine) -> str | None:
    """Return the step that the database is at; None for an empty one."""
    with engine.connect() as connection:
        return version_of(connection)


def version_of(connection: Connection) -> str | None:
    """Return the step that a database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - 0.1 s that `vittne list` must not pay
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # Whoever waited for another one's steps finds nothing left to do.
            prepare(connection, str(connection.execute(text("SELECT current_schema()")).scalar()))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
