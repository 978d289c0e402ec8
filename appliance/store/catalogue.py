"""The catalogue: every call that was seen, what became of it, and the runs that saw them.

It is a cache for people: what it says of a recording is sealed in the recording as well, and it can be
written again from there. One process writes; the command line reads at the same time (SQLite's WAL).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from json import JSONDecodeError
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, Row, Select, Table, delete, exists, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from vittne.appliance.store.canaries import is_canary, is_no_canary
from vittne.appliance.store.database import BUSY_MS, Where, open_database
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.listing import list_rows
from vittne.appliance.store.rows import FINISHED, RECORDING, CallRow, RunRow, StreamRow
from vittne.appliance.store.server import said
from vittne.appliance.store.tables import calls, corrections, dialogs, pauses, runs, streams, unsignalled

CATALOGUE_FILE: Final = "catalogue.db"
_CHUNK: Final = 500  # calls read, and ids named in one statement, at a time


class NoSuchCall(StoreError):
    """No call, or more than one, has an id that begins as asked."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which calls: all conditions must hold; the default is every answered call."""

    unanswered: bool = False  # calls that were never answered as well
    since_us: int | None = None  # by the call's start
    until_us: int | None = None  # not included
    number: str = ""  # part of caller or callee, any case
    outcome: str = ""
    call_id: str = ""  # SIP's
    codec: str = ""
    announced: str = ""  # full, partial, none, not-listened, not-expected
    quarantined: bool = False  # only what lies in quarantine
    canary: bool = False  # only canary calls, which else are left out
    limit: int | None = None  # the newest so many


class Catalogue:
    """Calls and runs in a database. Every method is one transaction. Raises StoreError."""

    def __init__(self, where: Where, read_only: bool = False) -> None:
        """Open a file (SQLite) or a server's schema (PostgreSQL). The writer must hold the data directory's lock."""
        self._engine = open_database(where, read_only)
        self._where = str(where)

    @classmethod
    def on(cls, engine: Engine, where: Where) -> Self:
        """Return a catalogue on connections that somebody else made, and closes, who knows that it has our version."""
        found = cls.__new__(cls)
        found._engine, found._where = engine, str(where)
        return found

    @property
    def is_server(self) -> bool:
        """Say whether it is in PostgreSQL."""
        return self._engine.dialect.name == "postgresql"

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def upsert_calls(self, rows: Sequence[CallRow]) -> None:
        """Write calls, replacing what was known of the same ids; all of them or none."""
        if not rows:
            return
        with self.writing() as connection:
            _upsert(connection, calls, [_call_values(row) for row in rows])
            for table in (dialogs, streams):
                for some in _chunks([row.id for row in rows]):
                    connection.execute(delete(table).where(table.c.call.in_(some)))
            _insert(connection, dialogs, _dialog_values(rows))
            _insert(
                connection,
                streams,
                [
                    {"call": row.id, "position": n, **_stream_values(stream)}
                    for row in rows
                    for n, stream in enumerate(row.streams)
                ],
            )
            list_rows(connection, rows)

    def upsert_call(self, row: CallRow) -> None:
        """Write one call."""
        self.upsert_calls([row])

    def list_calls(self, search: Search = Search()) -> Iterator[CallRow]:
        """Yield the calls that a search finds, by their start, without holding them all in memory."""
        with self.reading() as connection:
            for some in connection.execute(_query(search)).partitions(_CHUNK):
                yield from _with_children(connection, some)

    def count_calls(self, search: Search) -> int:
        """Return how many calls a search finds."""
        with self.reading() as connection:
            found = connection.execute(select(func.count()).select_from(_query(search).subquery()))
            return int(found.scalar_one())

    def get(self, prefix: str) -> CallRow:
        """Return the one call whose id is, or begins with, prefix. Raises NoSuchCall."""
        wanted = prefix.strip().lower()
        with self.reading() as connection:
            found = connection.execute(select(calls).where(calls.c.id == wanted)).all()
            if not found and wanted:
                begins = calls.c.id.startswith(wanted, autoescape=True)
                found = connection.execute(select(calls).where(begins).limit(2)).all()
            if len(found) != 1:
                what = "several calls have such an id" if found else "no call has this id"
                next_step = "write more of the id" if found else "`vittne list` shows the ids"
                raise NoSuchCall(what, self._where, next_step)
            return next(_with_children(connection, found))

    def get_all(self, ids: Sequence[str]) -> list[CallRow]:
        """Return the calls with these ids, as far as they are there, in no order."""
        with self.reading() as connection:
            return [
                row
                for some in _chunks(list(ids))
                for row in _with_children(
                    connection, connection.execute(select(calls).where(calls.c.id.in_(some))).all()
                )
            ]

    def folders(self) -> Iterator[tuple[str, str, str]]:
        """Yield (id, state, folder) of every call of which something is kept."""
        with self.reading() as connection:
            query = select(calls.c.id, calls.c.state, calls.c.folder).where(calls.c.folder != "")
            for row in connection.execute(query):
                yield row.id, row.state, row.folder

    def finished(self, ids: Sequence[str]) -> Iterator[tuple[str, str, str, int]]:
        """Yield (id, site, retention class, begin in us) of those calls that are over."""
        columns = calls.c.id, calls.c.site, calls.c.retention_class, calls.c.started_us
        for some in _chunks(list(ids)):
            with self.reading() as connection:
                query = select(*columns).where(calls.c.id.in_(some), calls.c.state == FINISHED)
                for row in connection.execute(query):
                    yield row.id, row.site, row.retention_class, row.started_us

    def recording(self) -> list[CallRow]:
        """Return the calls that are being recorded, or were when their writer died."""
        with self._engine.connect() as connection:
            found = connection.execute(select(calls).where(calls.c.state == RECORDING)).all()
            return list(_with_children(connection, found))

    def outcomes(self) -> dict[str, int]:
        """Return the number of calls by outcome; those that go on are under ""."""
        with self.reading() as connection:
            query = select(calls.c.outcome, func.count()).where(is_no_canary())
            query = query.group_by(calls.c.outcome).order_by(calls.c.outcome)
            return {str(row.outcome): int(row[1]) for row in connection.execute(query)}

    def put_pauses(self, bodies: Sequence[dict[str, Any]]) -> None:
        """Write pauses (Pause.to_json), replacing what was known of the same ids. They outlast a power cut."""
        with self.writing(lasting=True) as connection:
            _upsert(
                connection,
                pauses,
                [
                    {
                        "id": body["id"],
                        "asked_us": body["asked_at"] // 1000,
                        "ended_us": body["to_at"] // 1000 if body["ended_by"] else None,
                        "body": body,
                    }
                    for body in bodies
                ],
            )

    def get_pause(self, pause_id: str) -> dict[str, Any] | None:
        """Return a pause as it was written last."""
        with self.reading() as connection:
            found = connection.execute(select(pauses.c.body).where(pauses.c.id == pause_id)).first()
            return None if found is None else dict(found.body)

    def live_pauses(self) -> list[dict[str, Any]]:
        """Return the pauses that nobody ended, oldest first."""
        return self.list_pauses(live=True)

    def list_pauses(
        self, live: bool = False, limit: int | None = None, since_us: int | None = None, until_us: int | None = None
    ) -> list[dict[str, Any]]:
        """Return pauses, the newest so many, oldest first; since_us, until_us (not included): when asked for."""
        query = select(pauses.c.body).order_by(pauses.c.asked_us.desc())
        if live:
            query = query.where(pauses.c.ended_us.is_(None))
        if since_us is not None:
            query = query.where(pauses.c.asked_us >= since_us)
        if until_us is not None:
            query = query.where(pauses.c.asked_us < until_us)
        if limit is not None:
            query = query.limit(limit)
        with self.reading() as connection:
            return [dict(row.body) for row in connection.execute(query)][::-1]

    def has_run(self, number: int) -> bool:
        """Say whether a run is known."""
        with self.reading() as connection:
            return connection.execute(select(runs.c.id).where(runs.c.id == number)).first() is not None

    def put_run(self, row: RunRow) -> RunRow:
        """Write a run and return it with its id; one that has an id already is replaced."""
        values = {name: getattr(row, name) for name in RunRow.__slots__ if name != "id"}
        values["source"] = list(row.source)
        with self.writing() as connection:
            if row.id is None:
                key = connection.execute(insert(runs).values(values)).inserted_primary_key
                assert key is not None
                return replace(row, id=key[0])
            connection.execute(update(runs).where(runs.c.id == row.id).values(values))
        return row

    def runs(self) -> list[RunRow]:
        """Return all runs, the first one first."""
        with self.reading() as connection:
            found = connection.execute(select(runs).order_by(runs.c.id)).mappings()
            return [RunRow(**{**row, "source": tuple(row["source"])}) for row in found]

    def put_unsignalled(self, run: int, rows: Sequence[StreamRow]) -> None:
        """Write the streams of a run that no signalling explains, replacing those written before."""
        with self.writing() as connection:
            connection.execute(delete(unsignalled).where(unsignalled.c.run == run))
            values = [{"run": run, "position": n, **_stream_values(row)} for n, row in enumerate(rows)]
            _insert(connection, unsignalled, values)

    def unsignalled(self, run: int | None = None) -> list[StreamRow]:
        """Return the streams that no signalling explains, of one run or of all."""
        query = select(unsignalled).order_by(unsignalled.c.run, unsignalled.c.position)
        if run is not None:
            query = query.where(unsignalled.c.run == run)
        with self.reading() as connection:
            return [_stream(row) for row in connection.execute(query)]

    def empty_log(self) -> bool:
        """Write SQLite's log into the database and empty it; False: somebody reads, and it holds what was erased."""
        if self._engine.dialect.name != "sqlite":
            return True
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA busy_timeout = 100")
            try:
                return bool(driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
            finally:
                driver.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def vacuum(self, tables: Sequence[str]) -> None:
        """Have PostgreSQL clear the pages of what was changed or removed. Raises StoreError."""
        with Transaction(self._engine.execution_options(isolation_level="AUTOCOMMIT"), "vacuum", self._where) as found:
            for name in tables:
                found.exec_driver_sql(f'VACUUM "{name}"')

    def reading(self) -> Transaction:
        """Return a transaction that reads."""
        return Transaction(self._engine, "read", self._where)

    def writing(self, lasting: bool = False) -> Transaction:
        """Return a transaction. lasting: when it is over it outlasts a power cut; others can be written again."""
        return Transaction(self._engine, "write", self._where, lasting)


class Transaction:
    """One transaction; the database's errors leave it as ours."""

    def __init__(self, engine: Engine, doing: str, where: str, lasting: bool = False) -> None:
        self._engine = engine
        self._lasting = lasting and engine.dialect.name == "sqlite"
        self._doing = doing
        self._where = where

    def __enter__(self) -> Connection:
        try:
            self._connection = self._engine.connect()
        except DBAPIError as error:
            raise self._ours(said(error.orig)) from error
        try:
            self._synchronise("FULL")
            self._connection.begin()
        except DBAPIError as error:
            self._connection.close()
            raise self._ours(said(error.orig)) from error
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if value is None:
                self._connection.commit()
        except DBAPIError as error:
            raise self._ours(said(error.orig)) from error
        finally:
            self._connection.rollback()
            self._synchronise("NORMAL")
            self._connection.close()
        if isinstance(value, DBAPIError):
            raise self._ours(said(value.orig)) from value
        if isinstance(value, JSONDecodeError):
            raise self._ours("a column does not hold what we write") from value

    def _synchronise(self, how: str) -> None:
        """Set SQLite's PRAGMA synchronous, between transactions."""
        if self._lasting:
            driver = self._connection.connection.driver_connection
            assert driver is not None
            driver.execute(f"PRAGMA synchronous = {how}")

    def _ours(self, reason: str) -> StoreError:
        next_step = "nothing was changed; see the cause, or have the catalogue rebuilt"
        return StoreError(f"cannot {self._doing} the catalogue: {reason[:200]}", self._where, next_step)


def _query(search: Search) -> Select[Any]:
    query = select(calls).where(is_canary() if search.canary else is_no_canary())
    if not search.unanswered:
        query = query.where(calls.c.answered_us.is_not(None))
    if search.since_us is not None:
        query = query.where(calls.c.started_us >= search.since_us)
    if search.until_us is not None:
        query = query.where(calls.c.started_us < search.until_us)
    if search.number:
        sides = (calls.c.caller, calls.c.callee)
        found = [side.icontains(search.number, autoescape=True) for side in sides]
        wanted = corrections.c.after.icontains(search.number, autoescape=True)
        named = corrections.c.field.in_([side.name for side in sides])
        found.append(exists().where(corrections.c.recording == calls.c.id, named, wanted))
        query = query.where(or_(*found))
    if search.outcome:
        query = query.where(calls.c.outcome == search.outcome)
    if search.announced:
        query = query.where(calls.c.announced == search.announced)
    if search.quarantined:
        query = query.where(calls.c.quarantined_us.is_not(None))
    if search.call_id:
        query = query.where(exists().where(dialogs.c.call == calls.c.id, dialogs.c.call_id == search.call_id))
    if search.codec:
        wanted = func.lower(streams.c.codec) == search.codec.lower()
        query = query.where(exists().where(streams.c.call == calls.c.id, wanted))
    if search.limit is not None:
        newest = query.order_by(calls.c.started_us.desc(), calls.c.id.desc()).limit(search.limit).subquery()
        return select(newest).order_by(newest.c.started_us, newest.c.id)
    return query.order_by(calls.c.started_us, calls.c.id)


def matching(search: Search) -> Select[Any]:
    """Return the query of a search, for others to narrow."""
    return _query(search)


def _with_children(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[CallRow]:
    ids = [row.id for row in rows]
    ids_of = {call: [row.call_id for row in some] for call, some in _children(connection, dialogs, ids)}
    streams_of = {call: [_stream(row) for row in some] for call, some in _children(connection, streams, ids)}
    for row in rows:
        values = dict(row._mapping)
        values["call_ids"] = tuple(ids_of.get(row.id, ()))
        values["streams"] = tuple(streams_of.get(row.id, ()))
        values["parties"] = tuple(row.parties)
        values["outcome_reasons"] = tuple(row.outcome_reasons)
        values["tags"] = tuple(row.tags)
        yield CallRow(**values)


def _children(connection: Connection, table: Table, ids: list[str]) -> Iterator[tuple[str, Iterator[Row[Any]]]]:
    query = select(table).where(table.c.call.in_(ids)).order_by(table.c.call, table.c.position)
    return groupby(connection.execute(query), key=lambda row: str(row.call))


_STREAM: Final = StreamRow.__slots__
_CALL: Final = tuple(column.name for column in calls.c)


def _stream(row: Row[Any]) -> StreamRow:
    return StreamRow(**{name: row._mapping[name] for name in _STREAM})


def _stream_values(row: StreamRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _STREAM}


def _call_values(row: CallRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _CALL}
    values["parties"] = list(row.parties)
    values["outcome_reasons"] = list(row.outcome_reasons)
    values["tags"] = list(row.tags)
    return values


def _dialog_values(rows: Iterable[CallRow]) -> list[dict[str, Any]]:
    return [
        {"call": row.id, "position": n, "call_id": call_id} for row in rows for n, call_id in enumerate(row.call_ids)
    ]


def _insert(connection: Connection, table: Table, values: list[dict[str, Any]]) -> None:
    if values:
        connection.execute(insert(table), values)


def _upsert(connection: Connection, table: Table, values: list[dict[str, Any]]) -> None:
    """Insert rows or replace all columns of those that are there, in the dialect's own words for it."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_or  # noqa: PLC0415
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_or  # type: ignore[assignment]  # noqa: PLC0415
    statement = insert_or(table)
    new = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=[table.c.id], set_=new), values)


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(ids), _CHUNK):
        yield ids[first : first + _CHUNK]
