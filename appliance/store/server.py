"""A catalogue in PostgreSQL: where it is, in which schema, and how it is connected to.

The password never is in the address: it comes from a private file, and is in no error and no log. The driver is
pg8000 (BSD); each connection has one schema of the database in view and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text

from vittne.appliance.store.address import Address, address_of
from vittne.appliance.store.errors import StoreError

_SCHEMA: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VIEW: Final = "vittne_schema"
_CAUSES: Final = 5
_ANSWER_S: Final = 30.0  # nothing of it for so long, and it is away


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A schema of a database in PostgreSQL. password: called for each connection; "" for none."""

    url: str
    schema: str
    password: Callable[[], str] = str
    ca_file: Path | None = None
    answer_s: float = _ANSWER_S

    def __str__(self) -> str:
        return f"{self.url} ({self.schema})"

    def within(self, schema: str) -> DatabaseServer:
        """Return another schema of the same database."""
        return DatabaseServer(self.url, schema, self.password, self.ca_file, self.answer_s)


def connect(server: DatabaseServer, read_only: bool) -> Engine:
    """Return an engine; nothing is connected yet. Raises StoreError."""
    given: dict[str, Any] = {
        "application_name": "vittne",
        "startup_params": {
            "search_path": f'"{_checked(server.schema)}"',
            "default_transaction_read_only": "on" if read_only else "off",
            # A transaction that lost its recorder must not keep others from theirs.
            "idle_in_transaction_session_timeout": str(int(server.answer_s * 1000)),
        },
        "timeout": server.answer_s,
    }
    if read_only:
        given["startup_params"]["statement_timeout"] = str(int(server.answer_s * 1000))
    at = _address(server)
    given |= {"user": at.user, "database": at.database}
    if at.socket:
        given["unix_sock"] = f"{at.socket}/.s.PGSQL.{at.port}"
    else:
        given |= {"host": at.host, "port": at.port, "ssl_context": None if at.is_here else _tls(server)}

    def connected() -> Any:
        import pg8000.dbapi  # noqa: PLC0415 - only who has a catalogue there needs it

        return pg8000.dbapi.connect(password=server.password() or None, **given)

    # What a statement was about is in no error: it may be somebody's number.
    pool: dict[str, Any] = {"pool_size": 2, "max_overflow": 6, "pool_recycle": 600, "hide_parameters": True}
    return create_engine("postgresql+pg8000://", creator=connected, **pool)


def viewing(engine: Engine) -> Callable[[str], Engine]:
    """Return what gives a view of another schema, on the same connections: each transaction has its own in view."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if (schema := connection.get_execution_options().get(_VIEW)) is not None:
            connection.exec_driver_sql(f'SET LOCAL search_path TO "{schema}"')

    return lambda schema: engine.execution_options(**{_VIEW: _checked(schema)})


def _checked(schema: str) -> str:
    if not _SCHEMA.fullmatch(schema):
        raise StoreError("this is no name of a schema", repr(schema)[:80], "small letters and digits")
    return schema


def _address(server: DatabaseServer) -> Address:
    try:
        return address_of(server.url)
    except ValueError as error:
        raise StoreError(str(error), server.url.split("@")[-1], "mend the address") from None


def _tls(server: DatabaseServer) -> Any:
    """Return what proves the server's name. Raises StoreError."""
    import ssl  # noqa: PLC0415

    try:
        context = ssl.create_default_context(cafile=server.ca_file)
    except (OSError, ssl.SSLError) as error:
        what = f"the certificates of the database's authority cannot be read ({error})"
        raise StoreError(what, str(server.ca_file), "name the file with its CA") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def prepare(connection: Connection, schema: str) -> None:
    """Wait for whoever changes this schema, and make it where there is none; until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"vittne {schema}"})
    if connection.execute(text("SELECT to_regnamespace(:name)"), {"name": schema}).scalar() is None:
        connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')


def said(error: BaseException | None) -> str:
    """Return what a driver's error says, in one line.

    >>> said(Exception({"S": "FATAL", "M": "no such role"})), said(Exception("gone"))
    ('no such role', 'gone')
    """
    found = error
    for _ in range(_CAUSES):
        if found is None:
            break
        if found.args and isinstance(found.args[0], dict):
            return _line(found.args[0].get("M", ""))
        # Refused at the door, the driver fails once more as it says good-bye: that error hides what the server said.
        found = found.__cause__ or found.__context__
    return _line(error)


def _line(told: object) -> str:
    return " ".join(str(told).split())[:200]
