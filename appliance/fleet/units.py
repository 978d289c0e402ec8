"""What of a catalogue is shared, as units: rows of one or several tables that belong to one key and go together.

Only what is needed to find a call from elsewhere, and what of a recording is nowhere else but in backups. Users,
roles, passwords, factors, sessions, tokens, webhooks and their secrets, answers kept for repeated requests, cases of
persons, reviews and requests stay on their machine: no table goes that is not named here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Table, Text

from vittne.appliance.store.tables import (
    audit,
    calls,
    canaries,
    corrections,
    dialogs,
    erasures,
    held,
    holds,
    listing,
    notes,
    runs,
    stored,
    streams,
)

# An index of PostgreSQL takes 2 704 bytes at most; what is longer is an attack, and whole where it was recorded.
_INDEXED: Final = 600


@dataclass(frozen=True, slots=True)
class Unit:
    """tables: each with the column that has the unit's key, parents first.

    needs: the unit that rows of the first table refer to, and by which column.
    """

    name: str
    tables: tuple[tuple[Table, Column[Any]], ...]
    needs: tuple[str, Column[Any]] | None = None

    @property
    def key(self) -> Column[Any]:
        """The key's column in the first table."""
        return self.tables[0][1]

    def keys(self, some: list[str]) -> list[Any]:
        """Return keys as the database has them."""
        return list(some) if isinstance(self.key.type, Text) else [int(one) for one in some]


def _one(table: Table, key: Column[Any]) -> Unit:
    return Unit(table.name, ((table, key),))


# In the order in which they are copied: what others refer to comes first.
UNITS: Final[tuple[Unit, ...]] = (
    Unit(
        "calls",
        ((calls, calls.c.id), (dialogs, dialogs.c.call), (streams, streams.c.call), (listing, listing.c.recording)),
    ),
    _one(canaries, canaries.c.id),
    _one(runs, runs.c.id),
    _one(holds, holds.c.id),
    Unit("held", ((held, held.c.recording),), needs=("holds", held.c.hold)),
    _one(corrections, corrections.c.recording),
    _one(notes, notes.c.recording),
    _one(erasures, erasures.c.recording),
    _one(stored, stored.c.recording),
    _one(audit, audit.c.id),
)
BY_NAME: Final = {unit.name: unit for unit in UNITS}
# What somebody who searches over all recorders may read: neither the trail nor what people wrote.
SEARCHED: Final = (
    "alembic_version",
    "shipping",
    "calls",
    "canaries",
    "dialogs",
    "streams",
    "listing",
    "holds",
    "held",
    "corrections",
)


def fitting(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as PostgreSQL can hold it: no NUL, no half of a character, no number that is none."""
    found = {name: _fitting(value) for name, value in row.items()}
    for name in _indexed(table):
        if isinstance(found.get(name), str):
            found[name] = found[name][:_INDEXED]
    return found


def _indexed(table: Table) -> set[str]:
    return {one.name for index in table.indexes for one in index.columns} | {one.name for one in table.primary_key}


def _fitting(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_fitting(name): _fitting(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_fitting(one) for one in value]
    return value
