"""Sending what changed to the shared catalogue: a batch is one transaction there, with its mark in it.

A mark is random and written here before its batch is sent, and again when it is there. So at every start one of three
is true: there is the last mark (go on), the one that was announced (its batch arrived), or another one: this catalogue
was restored or made anew, or somebody else wrote there; then everything is compared, page by page, while changes wait.
Where most of the calls there are not here nothing is: a catalogue that was lost would take the shared one along.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from vittne.appliance.fleet.triggers import FRESH, MINE, Marks, marks
from vittne.appliance.fleet.units import BY_NAME, SEARCHED, UNITS, Unit, fitting
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.server import said
from vittne.appliance.store.tables import calls, shipping, unshipped
from vittne.appliance.store.times import now_us

BATCH: Final = 500  # keys in a transaction
_LOOKED_AT: Final = 5000  # keys read at a time, where nothing else is
_ANEW: Final = "anew"
_TIDIED: Final = ("calls", "dialogs", "streams", "listing", "corrections", "notes", "held", "audit")
_OF_DATA: Final = ("22", "23", "54")  # classes of SQLSTATE: what a row holds is refused, and not all of it


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be sent: keys by unit, and up to which number of the notes here."""

    keys: dict[str, list[str]]
    seq: int

    @property
    def size(self) -> int:
        """How many keys."""
        return sum(map(len, self.keys.values()))


@dataclass(frozen=True, slots=True)
class Step:
    """What is done, or about to be. mark: to be announced before it, "" when it needs none; to be settled after it."""

    word: str  # "announce", "settle", "anew", "copied", "refused", "lost"
    mark: str = ""
    seq: int = 0
    rows: int = 0
    reason: str = ""


class Sender:
    """Sends from one catalogue to another. about: of this recorder, for readers."""

    def __init__(self, here: Catalogue, there: Catalogue, about: dict[str, Any]) -> None:
        self._here = here
        self._there = there
        self._about = about
        self.has_erased = False
        self._looked: tuple[tuple[str, str], tuple[int, int]] | None = None  # at these marks: missing here, known

    def begin(self, reader: str) -> None:
        """Let a reader read what is searched, and nothing else. Raises StoreError."""
        with self._there.writing() as connection:
            if connection.execute(select(shipping.c.id)).first() is None:
                values = {"id": 1, "mark": "", "next": "", "about": self._about, "shipped_us": 0}
                connection.execute(insert(shipping).values(values))
            if reader:
                schema = connection.execute(text("SELECT current_schema()")).scalar()
                tables = ", ".join(f'"{name}"' for name in SEARCHED)
                connection.exec_driver_sql(f'GRANT USAGE ON SCHEMA "{schema}" TO "{reader}"')
                connection.exec_driver_sql(f'GRANT SELECT ON {tables} TO "{reader}"')

    def round(self) -> Iterator[Step]:
        """Send all that waits. Whoever takes a step does what it says before the next one. Raises StoreError."""
        mine, found = marks(self._here), self._mark_there()
        if not mine.mark:
            return
        if not found or found not in (mine.mark, mine.next):
            yield from self._anew(mine, found)
            found = self._mark_there()
            if found != marks(self._here).next:  # nothing was compared
                return
        if found != mine.mark:  # it arrived, and nobody here knows up to where it went: what waits is sent once more
            yield Step("settle", found)
        while (batch := self._next()) is not None:
            mark = secrets.token_hex(16)
            yield Step("announce", mark)
            yield from self._send(batch, mark)
            self.has_erased |= "erasures" in batch.keys
            yield Step("settle", mark, batch.seq, batch.size)

    def beat(self) -> None:
        """Say there that nothing waited here just now. Raises StoreError."""
        mine = marks(self._here).mark
        values = {"about": self._about, "shipped_us": now_us()}
        with self._there.writing() as connection:
            connection.execute(update(shipping).where(shipping.c.mark == mine).values(values))

    def tidy(self) -> None:
        """Have the server forget what was erased: until then it is in pages that nobody reads. Raises StoreError."""
        self._there.vacuum(_TIDIED)
        self.has_erased = False

    def _mark_there(self) -> str:
        with self._there.reading() as connection:
            return str(connection.execute(select(shipping.c.mark)).scalar_one())

    def _next(self) -> Batch | None:
        """Return what waits longest; None for nothing."""
        query = select(unshipped.c.seq, unshipped.c.unit, unshipped.c.key).order_by(unshipped.c.seq).limit(BATCH)
        keys: dict[str, list[str]] = {}
        seq = 0
        with self._here.reading() as connection:
            for row in connection.execute(query):
                keys.setdefault(row.unit, []).append(row.key)
                seq = row.seq
        return Batch(keys, seq) if seq else None

    def _send(self, batch: Batch, mark: str) -> list[Step]:
        """Send a batch; return what the server refuses for what it holds, key by key: that must not keep all others."""
        with self._here.reading() as connection:
            rows = _gathered(connection, batch.keys)
        try:
            with self._there.writing() as connection:
                for name, gathered in rows:
                    _replace(connection, name, gathered)
                self._put_mark(connection, mark)
            return []
        except StoreError as error:
            if not _is_of_data(error.__cause__):
                raise
        return list(self._one_by_one(batch, mark))

    def _one_by_one(self, batch: Batch, mark: str) -> Iterator[Step]:
        with self._here.reading() as here, self._there.writing() as there:
            for unit in UNITS:
                for key in batch.keys.get(unit.name, ()):
                    try:
                        with there.begin_nested():
                            for name, gathered in _gathered(here, {unit.name: [key]}):
                                _replace(there, name, gathered)
                    except DBAPIError as error:
                        if not _is_of_data(error):
                            raise
                        yield Step("refused", reason=f"{unit.name} {key[:60]}: {said(error.orig)}")
            self._put_mark(there, mark)

    def _put_mark(self, connection: Connection, mark: str) -> None:
        values = {"mark": mark, "about": self._about, "shipped_us": now_us()}
        connection.execute(update(shipping).values(values))

    def _anew(self, mine: Marks, found: str) -> Iterator[Step]:
        """Compare everything, and make it there as it is here; begun before, it goes on where it was."""
        word, _, rest = found.partition(" ")
        mark, unit_name, last = mine.next, UNITS[0].name, ""
        if word == _ANEW and mark and rest.startswith(f"{mark} "):
            unit_name, _, last = rest.removeprefix(f"{mark} ").partition(" ")
        else:
            if found and not mine.mark.startswith(MINE):
                if self._looked is None or self._looked[0] != (mine.mark, found):
                    self._looked = ((mine.mark, found), self._missing())
                missing, known = self._looked[1]
                if missing > known:
                    yield Step("lost", rows=missing)
                    return
            mark = secrets.token_hex(16)
            yield Step("anew", mark, reason="" if not found or mine.mark.startswith((FRESH, MINE)) else "found")
        names = [unit.name for unit in UNITS]
        for unit in UNITS[names.index(unit_name) :]:
            after = last if unit.name == unit_name else ""
            while keys := self._page(unit, after):
                after = keys[-1]
                where = f"{_ANEW} {mark} {unit.name} {after}"
                yield from self._send(Batch({unit.name: keys}, 0), where)
                yield Step("copied", rows=len(keys))
            self._drop_others(unit)
        with self._there.writing() as connection:
            self._put_mark(connection, mark)

    def _missing(self) -> tuple[int, int]:
        """Return how many calls there are not here, and how many are: an empty catalogue must not empty that one."""
        missing, known, after = 0, 0, ""
        while True:
            query = select(calls.c.id).where(calls.c.id > after).order_by(calls.c.id).limit(_LOOKED_AT)
            with self._there.reading() as there:
                found = list(there.execute(query).scalars())
            if not found:
                return missing, known
            after = found[-1]
            for begin in range(0, len(found), BATCH):
                some = found[begin : begin + BATCH]
                with self._here.reading() as here:
                    number = len(here.execute(select(calls.c.id).where(calls.c.id.in_(some))).all())
                known, missing = known + number, missing + len(some) - number

    def _page(self, unit: Unit, after: str) -> list[str]:
        query = select(unit.key).distinct().order_by(unit.key).limit(BATCH)
        if after:
            query = query.where(unit.key > unit.keys([after])[0])
        with self._here.reading() as connection:
            return [str(one) for one in connection.execute(query).scalars()]

    def _drop_others(self, unit: Unit) -> None:
        """Remove what is there and not here. Pages go in the order of the database there, whatever that is."""
        after: Any = None
        while True:
            query = select(unit.key).distinct().order_by(unit.key).limit(_LOOKED_AT)
            if after is not None:
                query = query.where(unit.key > after)
            with self._there.reading() as connection:
                found = list(connection.execute(query).scalars())
            if not found:
                return
            after = found[-1]
            for begin in range(0, len(found), BATCH):
                some = found[begin : begin + BATCH]
                with self._here.reading() as connection:
                    known = set(connection.execute(select(unit.key).where(unit.key.in_(some))).scalars())
                gone = [one for one in some if one not in known]
                if gone:
                    with self._there.writing() as connection:
                        for table, key in reversed(unit.tables):
                            connection.execute(delete(table).where(key.in_(gone)))


_Gathered = list[tuple[Table, list[dict[str, Any]]]]


def _gathered(connection: Connection, keys: dict[str, list[str]]) -> list[tuple[str, tuple[list[str], _Gathered]]]:
    """Return the rows of keys, by unit, what others refer to first."""
    wanted = {name: list(some) for name, some in keys.items()}
    for unit in UNITS:
        if unit.needs is not None and unit.name in wanted:
            name, column = unit.needs
            query = select(column).distinct().where(unit.key.in_(unit.keys(wanted[unit.name])))
            known = set(wanted.get(name, ()))
            wanted.setdefault(name, []).extend(one for one in connection.execute(query).scalars() if one not in known)
    found = []
    for unit in UNITS:
        if some := wanted.get(unit.name):
            rows: _Gathered = []
            for table, key in unit.tables:
                of = connection.execute(select(table).where(key.in_(unit.keys(some))))
                rows.append((table, [fitting(table, dict(row._mapping)) for row in of]))
            found.append((unit.name, (some, rows)))
    return found


def _replace(connection: Connection, name: str, gathered: tuple[list[str], _Gathered]) -> None:
    """Make the rows of keys there what they are here. Those that others refer to are never gone in between."""
    unit = BY_NAME[name]
    some, rows = gathered
    keys = unit.keys(some)
    first, key = unit.tables[0]
    is_one = [column.name for column in first.primary_key] == [key.name]
    for table, column in reversed(unit.tables):
        gone = keys
        if table is first and is_one:
            there = {row[key.name] for row in rows[0][1]}
            gone = [one for one in keys if one not in there]
        if gone:
            connection.execute(delete(table).where(column.in_(gone)))
    for table, values in rows:
        if values:
            connection.execute(_put(table), {"rows": json.dumps(values, separators=(",", ":"))})


def _put(table: Table) -> Any:
    """Return what writes any number of rows in one statement: they come as one parameter."""
    columns = ", ".join(f'"{column.name}"' for column in table.c)
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    new = ", ".join(f'"{c.name}" = excluded."{c.name}"' for c in table.c if not c.primary_key)
    return text(
        f'INSERT INTO "{table.name}" ({columns}) SELECT {columns}'  # noqa: S608 - names of our own tables
        f' FROM json_populate_recordset(NULL::"{table.name}", CAST(:rows AS json))'
        f" ON CONFLICT ({key}) DO {f'UPDATE SET {new}' if new else 'NOTHING'}"
    )


def _is_of_data(error: BaseException | None) -> bool:
    """Say whether the server refused what a row holds."""
    driver = error.orig if isinstance(error, DBAPIError) else None
    told = driver.args[0] if driver is not None and driver.args else None
    return isinstance(told, dict) and str(told.get("C", ""))[:2] in _OF_DATA
