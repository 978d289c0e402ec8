"""What the catalogue knows of copies at targets: which there are, and what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, func, insert, or_, select

from vittne.appliance.store.canaries import is_no_canary
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import FINISHED
from vittne.appliance.store.tables import away, calls, erasures, held, holds, stored
from vittne.appliance.store.times import now_us

STORED: Final = "stored"  # whole, read back, and of the version that counts
STALE: Final = "stale"  # the recording was cut since
FAILED: Final = "failed"  # nothing whole is there: problem says why
DAMAGED: Final = "damaged"  # it was whole, and is not any more
LEAVING: Final = "leaving"  # erased, and a lock keeps the copy until next_us
GONE: Final = "gone"
_WANTING: Final = (STALE, FAILED, DAMAGED)
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """A copy of a recording at a target, or what became of it."""

    recording: str
    target: str
    state: str
    place: str
    manifest: str = ""
    size_bytes: int = 0
    stored_us: int | None = None
    checked_us: int | None = None
    locked_us: int | None = None
    held: bool = False
    next_us: int = 0
    tries: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """A recording as it should be at a target. folder: below the data directory; was: what is known to be there."""

    recording: str
    folder: str
    locked_us: int | None
    held: bool
    was: Stored | None


@dataclass(frozen=True, slots=True)
class Sums:
    """How a target stands. waiting_since_us: when the oldest recording that is not there ended."""

    stored: int = 0
    bytes: int = 0
    waiting: int = 0
    waiting_since_us: int | None = None
    leaving: int = 0
    damaged: int = 0


_HELD: Final = exists().where(held.c.recording == calls.c.id, held.c.hold == holds.c.id, holds.c.released_us.is_(None))
_NAMES: Final = tuple(field.name for field in fields(Stored))


class StoredTable:
    """Reads and writes it. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def of(self, recording: str) -> list[Stored]:
        """Return what is known of a recording's copies, by target."""
        query = select(stored).where(stored.c.recording == recording).order_by(stored.c.target)
        with self._catalogue.reading() as connection:
            return [Stored(**row._mapping) for row in connection.execute(query)]

    def at(self, target: str, *states: str) -> Iterator[Stored]:
        """Yield the copies at a target, in these states."""
        query = select(stored).where(stored.c.target == target, stored.c.state.in_(states)).order_by(stored.c.place)
        with self._catalogue.reading() as connection:
            for row in connection.execution_options(yield_per=_CHUNK).execute(query):
                yield Stored(**row._mapping)

    def put(self, rows: Sequence[Stored]) -> None:
        """Write rows, replacing what was known."""
        with self._catalogue.writing(lasting=True) as connection:
            for row in rows:
                one = and_(stored.c.recording == row.recording, stored.c.target == row.target)
                connection.execute(delete(stored).where(one))
            if rows:
                connection.execute(insert(stored), [{name: getattr(row, name) for name in _NAMES} for row in rows])

    def stale(self, recording: str) -> None:
        """Note that a recording was cut: no copy of it is of the version that counts."""
        rows = [replace(row, state=STALE, next_us=0) for row in self.of(recording) if row.state in (STORED, DAMAGED)]
        if rows:
            self.put(rows)

    def to_copy(self, target: str, at_us: int, limit: int) -> list[Wish]:
        """Return recordings that are not at a target as they should be, and may be tried now, the oldest first."""
        may = or_(stored.c.recording.is_(None), stored.c.next_us <= at_us)
        return self._wishes(_wanted(target).where(may).order_by(calls.c.ended_us, calls.c.id).limit(limit))

    def to_lock(self, target: str, at_us: int, limit: int) -> list[Wish]:
        """Return copies whose lock is shorter than their recording's, or whose hold is another."""
        longer = calls.c.locked_until_us > func.coalesce(stored.c.locked_us, 0)
        differs = case((_HELD, True), else_=False) != stored.c.held
        query = _joined(target).where(stored.c.state == STORED, calls.c.erased_us.is_(None), or_(longer, differs))
        return self._wishes(query.where(or_(stored.c.tries == 0, stored.c.next_us <= at_us)).limit(limit))

    def to_tidy(self, target: str, at_us: int, limit: int) -> list[Stored]:
        """Return copies beside which files of a former version wait, or something failed, and that may be tried now."""
        query = select(stored).where(stored.c.target == target, stored.c.state == STORED)
        query = query.where(stored.c.next_us > 0, stored.c.next_us <= at_us).limit(limit)
        with self._catalogue.reading() as connection:
            return [Stored(**row._mapping) for row in connection.execute(query)]

    def to_remove(self, target: str, at_us: int, limit: int) -> list[Stored]:
        """Return copies of erased recordings that may go now."""
        query = select(stored).join(calls, calls.c.id == stored.c.recording)
        query = query.where(stored.c.target == target, calls.c.erased_us.is_not(None))
        is_fresh = and_(stored.c.state != LEAVING, stored.c.tries == 0)
        query = query.where(stored.c.state != GONE, or_(is_fresh, stored.c.next_us <= at_us))
        # A copy may have been begun, and the recording erased before anything was entered of it.
        on = and_(stored.c.recording == erasures.c.recording, stored.c.target == target)
        begun = select(erasures.c.recording, erasures.c.folder).select_from(erasures.outerjoin(stored, on))
        begun = begun.where(stored.c.recording.is_(None), erasures.c.done_us.is_not(None), erasures.c.folder != "")
        with self._catalogue.reading() as connection:
            found = [Stored(**row._mapping) for row in connection.execute(query.limit(limit))]
            for recording, folder in connection.execute(begun.limit(limit)):
                found.append(Stored(recording, target, FAILED, str(folder).removeprefix("recordings/")))
        return found

    def to_check(self, target: str, before_us: int, limit: int) -> list[Stored]:
        """Return copies that were not read back since then."""
        query = select(stored).where(stored.c.target == target, stored.c.state == STORED)
        query = query.where(stored.c.checked_us < before_us).order_by(stored.c.checked_us).limit(limit)
        with self._catalogue.reading() as connection:
            return [Stored(**row._mapping) for row in connection.execute(query)]

    def to_leave(self, before_us: int, limit: int, locking: Sequence[str] | None = None) -> list[str]:
        """Return recordings that were copied somewhere before then, and whose parts lie here still.

        locking: targets that lock; given, a locked recording must be at one of them.
        """
        copied: ColumnElement[bool] = exists().where(
            stored.c.recording == calls.c.id, stored.c.state == STORED, stored.c.stored_us < before_us
        )
        if locking is not None:
            is_there = and_(stored.c.recording == calls.c.id, stored.c.state == STORED, stored.c.target.in_(locking))
            is_free = or_(calls.c.locked_until_us.is_(None), calls.c.locked_until_us <= now_us())
            copied = and_(copied, or_(is_free, exists().where(is_there)))
        gone = exists().where(away.c.recording == calls.c.id)
        query = select(calls.c.id).where(copied, ~gone, calls.c.erased_us.is_(None))
        query = query.where(calls.c.folder != "", calls.c.state == FINISHED).order_by(calls.c.started_us).limit(limit)
        with self._catalogue.reading() as connection:
            return [str(row[0]) for row in connection.execute(query)]

    def is_away(self, recording: str) -> bool:
        """Say whether a recording's parts left this machine."""
        with self._catalogue.reading() as connection:
            return connection.execute(select(away).where(away.c.recording == recording)).first() is not None

    def all_away(self) -> frozenset[str]:
        """Return all whose parts left this machine."""
        with self._catalogue.reading() as connection:
            return frozenset(str(row[0]) for row in connection.execute(select(away.c.recording)))

    def note_away(self, recordings: Sequence[str], at_us: int) -> None:
        """Note that parts are about to leave this machine."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(away).where(away.c.recording.in_(recordings)))
            connection.execute(insert(away), [{"recording": one, "since_us": at_us} for one in recordings])

    def sums(self, target: str) -> Sums:
        """Return how a target stands."""
        query = select(stored.c.state, func.count(), func.sum(stored.c.size_bytes)).where(stored.c.target == target)
        waiting = _wanted(target).with_only_columns(func.count(), func.min(calls.c.ended_us))
        with self._catalogue.reading() as connection:
            by = {row[0]: (int(row[1]), int(row[2] or 0)) for row in connection.execute(query.group_by(stored.c.state))}
            count, since = connection.execute(waiting).one()
        n = {state: by.get(state, (0, 0))[0] for state in (LEAVING, DAMAGED)}
        kept = by.get(STORED, (0, 0))
        return Sums(*kept, int(count), since, n[LEAVING], n[DAMAGED])

    def _wishes(self, query: Select[Any]) -> list[Wish]:
        with self._catalogue.reading() as connection:
            return [_wish(row) for row in connection.execute(query)]


def _joined(target: str) -> Select[Any]:
    """Return the query for recordings with what is known of their copies at a target."""
    on: ColumnElement[bool] = and_(stored.c.recording == calls.c.id, stored.c.target == target)
    wanted = (calls.c.id, calls.c.folder, calls.c.locked_until_us, case((_HELD, True), else_=False).label("is_held"))
    return select(*wanted, stored).select_from(calls.outerjoin(stored, on))


def _wanted(target: str) -> Select[Any]:
    is_wanted = or_(stored.c.recording.is_(None), stored.c.state.in_(_WANTING))
    return _joined(target).where(
        calls.c.state == FINISHED, calls.c.folder != "", calls.c.erased_us.is_(None), is_wanted, is_no_canary()
    )


def _wish(row: Any) -> Wish:
    recording, folder, locked, is_held, *rest = row
    was = None if rest[0] is None else Stored(*rest)
    return Wish(recording, folder, locked, bool(is_held), was)
