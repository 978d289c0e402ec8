"""The box's own side: triggers that note what changed, and how far the shared catalogue is. Only for SQLite.

The recorder writes as it always did; in the same transaction SQLite notes the key of what was written, once however
often it changes. So nothing is noted that was not written, and nothing written that is not noted.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, text, update

from vittne.appliance.fleet.units import UNITS
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import HEAD, shipping, unshipped

_NOW: Final = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
_NAME: Final = "ship_"
FRESH: Final = "new "  # a mark that was never sent: here begins something, and nobody is told when all is compared
MINE: Final = "mine "  # one of which somebody said that what is here counts, whatever is there


@dataclass(frozen=True, slots=True)
class Marks:
    """mark: of the last batch that is there. next: of one of which nobody knows yet; "" for none."""

    mark: str
    next: str


def switch_on(catalogue: Catalogue, url: str) -> bool:
    """Have changes noted from now on; False when some may have been missed, and all is to be compared."""
    with catalogue.writing(lasting=True) as connection:
        wanted = dict(_triggers())
        there = _there(connection)
        row = connection.execute(select(shipping)).first()
        about = {"head": HEAD, "url": url}
        is_same = there == wanted and row is not None and row.about == about
        if not is_same:
            _drop(connection, there)
            for words in wanted.values():
                connection.exec_driver_sql(words)
            connection.execute(delete(shipping))
            values = {"id": 1, "mark": FRESH + secrets.token_hex(16), "next": "", "about": about, "shipped_us": 0}
            connection.execute(insert(shipping).values(values))
    return is_same


def switch_off(catalogue: Catalogue) -> None:
    """Have nothing noted, and forget what was."""
    with catalogue.reading() as connection:
        if not _there(connection):
            return
    with catalogue.writing() as connection:
        _drop(connection, _there(connection))
        connection.execute(delete(unshipped))
        connection.execute(delete(shipping))


def count_mine(catalogue: Catalogue) -> bool:
    """Have the shared catalogue made as this one is, whatever that loses there; False when nothing is shared."""
    with catalogue.writing(lasting=True) as connection:
        mark = MINE + secrets.token_hex(16)
        return connection.execute(update(shipping).values(mark=mark, next="")).rowcount > 0


def go_on_from(catalogue: Catalogue, mark: str) -> None:
    """Note that this catalogue is what a mark there says: it was restored from there, and nothing else changed it."""
    with catalogue.writing(lasting=True) as connection:
        connection.execute(update(shipping).values(mark=mark, next=""))


def marks(catalogue: Catalogue) -> Marks:
    """Return how far the shared catalogue is."""
    with catalogue.reading() as connection:
        row = connection.execute(select(shipping.c.mark, shipping.c.next)).first()
    return Marks("", "") if row is None else Marks(row.mark, row.next)


def announce(catalogue: Catalogue, mark: str) -> None:
    """Note that a batch with this mark is about to be sent."""
    with catalogue.writing() as connection:
        connection.execute(update(shipping).values(next=mark))


def settle(catalogue: Catalogue, mark: str, seq: int, at_us: int) -> None:
    """Note that it is there: nothing is left to send up to a number, but for what changed since."""
    with catalogue.writing() as connection:
        connection.execute(delete(unshipped).where(unshipped.c.seq <= seq))
        connection.execute(update(shipping).values(mark=mark, next="", shipped_us=at_us))


def waiting(catalogue: Catalogue) -> tuple[int, int | None]:
    """Return how much waits, and since when the oldest of it does."""
    with catalogue.reading() as connection:
        row = connection.execute(select(func.count(), func.min(unshipped.c.at_us))).one()
    return int(row[0]), row[1]


def _triggers() -> Any:
    """Yield each trigger's name and words."""
    for unit in UNITS:
        for table, key in unit.tables:
            for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                name = f"{_NAME}{table.name}_{event.lower()}"
                which = f"unit = '{unit.name}' AND key = CAST({row}.\"{key.name}\" AS TEXT)"
                # The number is always a new one: what changes while it is being sent is sent once more.
                since = f"coalesce((SELECT min(at_us) FROM unshipped WHERE {which}), {_NOW})"  # noqa: S608 - our names
                values = f"('{unit.name}', CAST({row}.\"{key.name}\" AS TEXT), {since})"
                note = f"INSERT INTO unshipped (unit, key, at_us) VALUES {values}"  # noqa: S608
                forget = f"DELETE FROM unshipped WHERE {which} AND seq <> last_insert_rowid()"  # noqa: S608
                yield name, f'CREATE TRIGGER {name} AFTER {event} ON "{table.name}" BEGIN {note}; {forget}; END'


def _there(connection: Connection) -> dict[str, str]:
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE :name")
    return {row.name: row.sql for row in connection.execute(query, {"name": f"{_NAME}%"})}


def _drop(connection: Connection, names: Any) -> None:
    for name in names:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
