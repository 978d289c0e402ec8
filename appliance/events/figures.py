"""Sums over the archive for metrics: what takes long to add up, read away from the loop and not often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import case, func, select

from vittne.appliance.stamps.standing import ledger_size
from vittne.appliance.storage.table import StoredTable
from vittne.appliance.storage.table import Sums as TargetSums
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.tables import announcement_call, calls

_DAY_US: Final = 24 * 3600 * 1_000_000
_FILES: Final = {"catalogue": CATALOGUE_FILE, "keys": "keys.db"}
_MARKS: Final = {
    "quarantined": calls.c.quarantined_us,
    "restricted": calls.c.restricted_us,
    "erased": calls.c.erased_us,
    "locked": calls.c.locked_until_us,
}


@dataclass(frozen=True, slots=True)
class ArchiveFigures:
    """states: recordings by the catalogue's word; marks: those that are erased, in quarantine ...

    announced, expected, proven: calls of the last 24 hours by verdict; that a rule wanted announced; that were.
    targets: storage targets by name; file_bytes: sizes of files by what they hold; entries: of the ledger.
    """

    states: dict[str, int] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    announced: dict[str, int] = field(default_factory=dict)
    expected: int = 0
    proven: int = 0
    targets: dict[str, TargetSums] = field(default_factory=dict)
    file_bytes: dict[str, int] = field(default_factory=dict)
    entries: int = 0


def archive_figures(catalogue: Catalogue, data_dir: Path, targets: Sequence[str], at_us: int) -> ArchiveFigures:
    """Add everything up. Raises StoreError."""
    marks = [func.sum(case((column.is_not(None), 1), else_=0)) for column in _MARKS.values()]
    verdicts = announcement_call.c.announced, announcement_call.c.expected, announcement_call.c.proven
    lately = announcement_call.c.at_us >= at_us - _DAY_US
    with catalogue.reading() as connection:
        rows = connection.execute(select(calls.c.state, func.count(), *marks).group_by(calls.c.state)).all()
        told = connection.execute(select(*verdicts, func.count()).where(lately).group_by(*verdicts)).all()
    announced: dict[str, int] = {}
    for word, _, _, count in told:
        announced[word] = announced.get(word, 0) + count
    return ArchiveFigures(
        states={row[0]: int(row[1]) for row in rows},
        marks={mark: sum(int(row[2 + n] or 0) for row in rows) for n, mark in enumerate(_MARKS)},
        announced=announced,
        expected=sum(row[3] for row in told if row.expected),
        proven=sum(row[3] for row in told if row.expected and row.proven),
        targets={name: StoredTable(catalogue).sums(name) for name in targets},
        file_bytes={what: _size(data_dir / name) for what, name in _FILES.items()},
        entries=ledger_size(data_dir),
    )


def _size(path: Path) -> int:
    """Return the size of a database with what it has not merged yet; 0 where it is elsewhere."""
    found = 0
    for one in (path, path.with_name(path.name + "-wal")):
        try:
            found += one.stat().st_size
        except OSError:
            continue
    return found
