"""What the ledger says became of each recording, kept on the disk: so that memory stays flat however many there are.

The same as History, read through a temporary SQLite database that nobody else can open and that goes with it. For
whoever looks at all recordings; a few are found with history_of().
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from vittne.appliance.seal.history import CutEntry, ErasedEntry, History
from vittne.appliance.seal.scan import Scan, scan_ledger
from vittne.appliance.seal.verifykey import VerifyKey

T = TypeVar("T")

_COLUMNS: Final = "kind INTEGER, name TEXT, n INTEGER, value TEXT, PRIMARY KEY (kind, name, n)"
_SCHEMA: Final = f"CREATE TABLE told ({_COLUMNS}) WITHOUT ROWID"
_CACHE: Final = "PRAGMA cache_size = -8192"  # KiB


class Spill:
    """A temporary database of values by kind and name, in the order in which they came."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a file without a name
        for line in ("PRAGMA journal_mode = OFF", _CACHE, _SCHEMA, "BEGIN"):
            self._db.execute(line)
        self._kinds = 0

    def close(self) -> None:
        """Remove it."""
        self._db.close()

    def kind(self) -> int:
        """Return a new kind."""
        self._kinds += 1
        return self._kinds

    def add(self, kind: int, name: str, value: object, only_last: bool = False) -> None:
        """Keep a value behind the others of a name; only_last: instead of them."""
        text = json.dumps(value)
        number = "0" if only_last else "(SELECT coalesce(max(n), -1) + 1 FROM told WHERE kind = ?1 AND name = ?2)"
        self._db.execute(f"INSERT OR REPLACE INTO told VALUES (?1, ?2, {number}, ?3)", (kind, name, text))  # noqa: S608

    def values(self, kind: int, name: str) -> list[Any]:
        """Return the values of a name."""
        query = "SELECT value FROM told WHERE kind = ? AND name = ? ORDER BY n"
        return [json.loads(row[0]) for row in self._db.execute(query, (kind, name))]

    def names(self, kind: int) -> Iterator[str]:
        """Yield the names of a kind, in order."""
        with closing(self._db.execute("SELECT DISTINCT name FROM told WHERE kind = ? ORDER BY name", (kind,))) as found:
            for row in found:
                yield row[0]

    def count(self, kind: int) -> int:
        """Return how many names there are of a kind."""
        return int(self._db.execute("SELECT count(DISTINCT name) FROM told WHERE kind = ?", (kind,)).fetchone()[0])


class Spilled(Mapping[str, T], Generic[T]):
    """Values by name, on the disk. make: from all that was kept under a name."""

    def __init__(self, spill: Spill, make: Callable[[list[Any]], T]) -> None:
        self._spill = spill
        self._make = make
        self._kind = spill.kind()

    def add(self, name: str, value: object, only_last: bool = False) -> None:
        """Keep a value behind the others of a name; only_last: instead of them."""
        self._spill.add(self._kind, name, value, only_last)

    def __getitem__(self, name: str) -> T:
        found = self._spill.values(self._kind, name)
        if not found:
            raise KeyError(name)
        return self._make(found)

    def __iter__(self) -> Iterator[str]:
        return self._spill.names(self._kind)

    def __len__(self) -> int:
        return self._spill.count(self._kind)


class SpilledHistory:
    """As History, of which it has all that is asked of every recording."""

    def __init__(self, spill: Spill) -> None:
        self.seals: Spilled[list[str]] = Spilled(spill, list)
        self.cuts: Spilled[list[CutEntry]] = Spilled(spill, lambda some: [CutEntry(*one) for one in some])
        self.opened: Spilled[bool] = Spilled(spill, bool)
        self.discarded: Spilled[bool] = Spilled(spill, bool)
        self.erased: Spilled[str] = Spilled(spill, lambda some: str(some[-1]))
        self.erasures: Spilled[ErasedEntry] = Spilled(spill, lambda some: ErasedEntry(*some[-1]))
        self._capsules: Spilled[str] = Spilled(spill, lambda some: str(some[-1]))

    def capsule(self, recording: str, part_no: int) -> str | None:
        """Return the hash of the capsule that a part's key came in."""
        return self._capsules.get(f"{recording} {part_no}")

    def visit(self, index: int, entry: bytes) -> None:
        """Take in one entry."""
        one = History()
        one.visit(index, entry)
        _add_all(self.seals, ((name, manifest) for name, some in one.seals.items() for manifest in some))
        cuts = ((name, cut) for name, some in one.cuts.items() for cut in some)
        _add_all(self.cuts, ((name, [c.version, c.before, c.manifest, c.kept, c.event]) for name, c in cuts))
        for marks, names in ((self.opened, one.opened), (self.discarded, one.discarded)):
            for name in names:
                marks.add(name, True, only_last=True)
        for name, at in one.erased.items():
            told = one.erasures.get(name)
            if told is not None:  # both or none, as there
                self.erased.add(name, at, only_last=True)
                self.erasures.add(name, [told.index, told.at_us, told.word, told.manifest], only_last=True)
        for (name, part_no), capsule in one.capsules.items():
            self._capsules.add(f"{name} {part_no}", capsule, only_last=True)


def _add_all(where: Spilled[Any], told: Iterable[tuple[str, object]]) -> None:
    for name, value in told:
        where.add(name, value)


def read_spilled(directory: Path, key: VerifyKey, spill: Spill) -> tuple[SpilledHistory, Scan]:
    """Read the ledger in a directory, checking all of it. Raises LedgerDamaged, StoreError."""
    history = SpilledHistory(spill)
    return history, scan_ledger(directory, key, history.visit)
