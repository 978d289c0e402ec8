"""A catalogue that was lost, brought back from the shared one, held against ledger and recordings.

Made in catalogue.shared.db, then put in place of what is there (kept as catalogue.before.db). From a catalogue that is
there, of a backup or begun anew, it goes on: what only that has stays, and so do its calls that were never sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from sqlalchemy import Connection, Table, delete, func, insert, select, tuple_

from vittne.appliance.audit_command import held_against
from vittne.appliance.backup.copying import copy_database
from vittne.appliance.fleet import triggers
from vittne.appliance.fleet.units import UNITS, Unit, fitting
from vittne.appliance.life.carry import note_what_is_lost
from vittne.appliance.life.erase import settle_erasures
from vittne.appliance.rebuild import Read, put_in_place, put_read, read_rows, remove_database
from vittne.appliance.recover import recover
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.server import DatabaseServer
from vittne.appliance.store.tables import calls, runs, shipping, stored
from vittne.appliance.store.times import rfc3339

NEW_FILE: Final = "catalogue.shared.db"
_CHUNK: Final = 200
_COPYING: Final = "anew "  # how a mark begins while everything is being compared (sending.py)
_NO_ROW: Final = "has no row"


@dataclass(slots=True)
class Restored:
    """What came of it, of when (sent_us). rows: by table.

    from_disk: calls that only their recordings told of; not_here: recordings whose folder is not on this disk; missing:
    entries of the ledger whose row in the trail did not come back; erased_again: what had come back and was erased;
    is_stopped: nothing is erased any more, for what is missing. problems: for people.
    """

    sent_us: int
    rows: dict[str, int] = field(default_factory=dict)
    from_disk: int = 0
    not_here: int = 0
    missing: int = 0
    erased_again: int = 0
    is_stopped: bool = False
    problems: list[str] = field(default_factory=list)


def restore(data: Path, server: DatabaseServer, url: str, replace: bool) -> Restored:
    """Bring the catalogue back; the caller holds the directory's lock. url: as configured.

    replace: although there is one. Raises StoreError: then the directory is as it was.
    """
    old, new = data / CATALOGUE_FILE, data / NEW_FILE
    if old.exists() and not replace:
        next_step = "with --replace what only it has stays, and it is kept as catalogue.before.db"
        raise StoreError("there is a catalogue here", old, next_step)
    remove_database(new)
    try:
        if old.exists():
            copy_database(old, new)
        with Catalogue(server, read_only=True) as there, Catalogue(new) as here:
            found, mark = _brought(there, here)
            triggers.switch_on(here, url)
            if mark.startswith(_COPYING):
                found.problems.append("a comparison there was cut short: some of it may be older than the rest")
            elif not old.exists():  # else all is compared when sending begins: for what only that one had
                triggers.go_on_from(here, mark)
            _from_disk(data, here, found)  # behind the triggers: it is sent
            here.empty_log()
        put_in_place(new, old)
    except BaseException:
        remove_database(new)
        raise
    _settle(data, found)
    return found


def _brought(there: Catalogue, here: Catalogue) -> tuple[Restored, str]:
    """Copy all that is shared. Returns what came, and the mark there."""
    triggers.switch_off(here)
    with there.reading() as reading, here.writing(lasting=True) as writing:
        row = reading.execute(select(shipping)).first()
        if row is None or not row.mark:
            what = "nothing of this recorder was ever sent to the shared catalogue"
            raise StoreError(what, str(row and row.about), "restore a backup, or `vittne rebuild`")
        found = Restored(int(row.shipped_us))
        for unit in reversed(UNITS):
            _clear(reading, writing, unit)
        for unit in UNITS:
            for table, _ in unit.tables:
                found.rows[table.name] = _copy(reading, writing, table)
        _refuse_outside(writing)
    return found, str(row.mark)


def _clear(reading: Connection, writing: Connection, unit: Unit) -> None:
    """Make room for the rows of keys that are there."""
    if unit.tables[0][0] is runs:  # each catalogue numbers them itself
        writing.execute(delete(runs))
        return
    for some in reading.execute(select(unit.key).distinct()).scalars().partitions(_CHUNK):
        for table, key in reversed(unit.tables):
            writing.execute(delete(table).where(key.in_(some)))


def _refuse_outside(writing: Connection) -> None:
    """Raise StoreError where a place is not below the archive: others could write there, and here it is removed by."""
    asked = [(calls, calls.c.id, calls.c.folder), (stored, stored.c.recording, stored.c.place)]
    for table, key, column in asked:
        for row in writing.execute(select(key, column).where(column != "")):
            place = PurePosixPath(row[1])
            if place.is_absolute() or ".." in place.parts or place.name.removeprefix(".") != row[0]:
                what = f"the shared catalogue says that {table.name} has a recording outside of the archive"
                raise StoreError(what, f"{row[0]}: {row[1]}"[:200], "somebody altered it: restore a backup")


def _copy(reading: Connection, writing: Connection, table: Table) -> int:
    """Copy a table; return its number of rows. Raises StoreError where one is not here as it is there."""
    count = 0
    keys = list(table.primary_key)
    for some in reading.execute(select(table)).mappings().partitions(_CHUNK):
        rows = {tuple(row[key.name] for key in keys): dict(row) for row in some}
        writing.execute(insert(table), list(rows.values()))
        back = writing.execute(select(table).where(tuple_(*keys).in_(list(rows)))).mappings()
        same = {tuple(row[key.name] for key in keys): fitting(table, dict(row)) for row in back}
        for key, row in rows.items():
            if same.get(key) != fitting(table, row):
                raise StoreError(f"a row of {table.name} is not here as it is there", str(key)[:100], "try it again")
        count += len(rows)
    if count != reading.execute(select(func.count()).select_from(table)).scalar_one():
        raise StoreError(f"rows of {table.name} changed while they were read", "", "stop whoever writes there")
    return count


def _from_disk(data: Path, here: Catalogue, found: Restored) -> None:
    """Add the calls of recordings that were sealed and not sent; count those that are not on this disk."""
    with here.reading() as connection:
        known = set(connection.execute(select(calls.c.id)).scalars())
    some: list[Read] = []
    for read in read_rows(data, known):
        some.append(read)
        if read.problem:
            found.problems.append(f"{read.row.id}: {read.problem}")
        if len(some) >= _CHUNK:
            put_read(here, some)
            some.clear()
        found.from_disk += 1
    put_read(here, some)
    found.not_here = sum(not (data / folder).is_dir() for _, _, folder in here.folders())


def _settle(data: Path, found: Restored) -> None:
    """Hold the trail against the ledger, stop erasing where it has gaps, and enter what was done."""
    _, _, wrong = held_against(data)
    found.missing = sum(_NO_ROW in words for words in wrong)
    found.problems += [words for words in wrong if _NO_ROW not in words]
    if found.missing:
        found.is_stopped = note_what_is_lost(data)
    at = rfc3339(found.sent_us)
    told: dict[str, Json] = {"sent_at": at, "from_disk": found.from_disk, "missing": found.missing}
    registrar = Registrar(data)
    try:
        told |= {name: found.rows[name] for name in ("calls", "audit")}
        registrar.ledger.record({"t": events.CATALOGUE_RESTORED, **told})
        registrar.ledger.flush()
        recover(registrar)
        found.erased_again = len(settle_erasures(registrar, thorough=True))
    finally:
        registrar.close()
