"""The catalogue's rows as the life of a recording needs them: what decides, corrections, requests, erasures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import and_, func, insert, or_, select, update

from vittne.appliance.control.caller import Caller
from vittne.appliance.life.precedence import Facts
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.corrections import Correction, corrections_of
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.holds import HoldTable
from vittne.appliance.store.listing import relist
from vittne.appliance.store.rows import RECORDING
from vittne.appliance.store.tables import calls, corrections, erasures, requests
from vittne.appliance.store.times import rfc3339

_CHUNK: Final = 500
WAITS: Final = "waits"
DONE: Final = "done"
APPROVED: Final = "approved"
REFUSED: Final = "refused"
WITHDRAWN: Final = "withdrawn"  # by who asked
EXPIRED: Final = "expired"  # nobody decided in time


class NoSuchRequest(StoreError):
    """No request, or more than one, has such an id."""


@dataclass(frozen=True, slots=True)
class LifeRow:
    """A call, as far as its life is concerned."""

    id: str
    started_us: int
    size_bytes: int
    folder: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Request:
    """Something that one person asked for, and that a second one must want as well."""

    id: str
    operation: str
    recording: str
    order: Mapping[str, Any]
    asked_us: int
    asked_by: str
    state: str = WAITS
    decided_us: int | None = None
    decided_by: str = ""
    asked_user: str = ""  # ids of users who logged in; "" at a terminal
    decided_user: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the request as `request list --json` shows it."""
        values = {name: getattr(self, name) for name in ("id", "operation", "recording", "asked_by", "state")}
        decided = None if self.decided_us is None else rfc3339(self.decided_us)
        times = {"asked_at": rfc3339(self.asked_us), "decided_at": decided, "decided_by": self.decided_by}
        return {**values, "order": dict(self.order), **times}


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that was begun. word: of ours, for the ledger; manifest: SHA-256, "" where nothing was sealed."""

    recording: str
    at_us: int
    word: str
    reason: str
    by: str
    approvers: tuple[str, ...]
    manifest: str
    folder: str
    entry: int | None = None
    done_us: int | None = None


_LIFE: Final = (
    calls.c.id,
    calls.c.state,
    calls.c.started_us,
    calls.c.size_bytes,
    calls.c.folder,
    calls.c.retention_class,
    calls.c.locked_until_us,
    calls.c.expires_us,
    calls.c.restricted_us,
    calls.c.erased_us,
)


class LifeTable:
    """Reads and writes them. Raises StoreError. early: classes of which two persons may erase inside the lock."""

    def __init__(self, catalogue: Catalogue, early: frozenset[str] = frozenset()) -> None:
        self._catalogue = catalogue
        self._early = early
        self.holds = HoldTable(catalogue)

    def rows(self, ids: Sequence[str]) -> list[LifeRow]:
        """Return the calls with these ids, in their order; those that are not there are left out."""
        held = self.holds.of(ids)
        found: dict[str, LifeRow] = {}
        with self._catalogue.reading() as connection:
            for some in _chunks(ids):
                for row in connection.execute(select(*_LIFE).where(calls.c.id.in_(some))):
                    found[row[0]] = self._row(row, held)
        return [found[one] for one in ids if one in found]

    def get(self, recording: str) -> LifeRow:
        """Return one. Raises NoSuchCall."""
        return self.rows([self._catalogue.get(recording).id])[0]

    def due(self, at_us: int) -> Iterator[LifeRow]:
        """Yield what is over its greatest age, or has a class that has none, the oldest first."""
        yield from self._some(calls.c.expires_us <= at_us)

    def kept(self) -> Iterator[LifeRow]:
        """Yield every recording of which something is kept."""
        yield from self._some(calls.c.folder != "")

    def due_after(self, at_us: int, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
        """Return (end, id) of so many calls that are due, the oldest first, behind the one given."""
        last, recording = after
        behind = or_(calls.c.expires_us > last, and_(calls.c.expires_us == last, calls.c.id > recording))
        query = select(calls.c.expires_us, calls.c.id).where(calls.c.expires_us <= at_us, behind)
        query = query.where(calls.c.erased_us.is_(None)).order_by(calls.c.expires_us, calls.c.id).limit(limit)
        with self._catalogue.reading() as connection:
            return [(int(row[0]), str(row[1])) for row in connection.execute(query)]

    def for_room(self, at_us: int, classes: Sequence[str], limit: int) -> Iterator[LifeRow]:
        """Yield what may have to go when the disk fills, the oldest first, some at a time. classes: only of these."""
        ours = calls.c.retention_class.in_(classes) if classes else calls.c.retention_class != ""
        lives = and_(calls.c.locked_until_us.is_not(None), calls.c.locked_until_us > at_us)
        which = and_(calls.c.folder != "", calls.c.erased_us.is_(None), calls.c.state != RECORDING, ours, ~lives)
        last: tuple[int, str] = (-1, "")
        while True:
            behind = or_(calls.c.started_us > last[0], and_(calls.c.started_us == last[0], calls.c.id > last[1]))
            query = select(calls.c.id, calls.c.started_us).where(which, behind)
            query = query.order_by(calls.c.started_us, calls.c.id).limit(limit)
            with self._catalogue.reading() as connection:
                found = connection.execute(query).all()
            yield from self.rows([str(row[0]) for row in found])
            if len(found) < limit:
                return
            last = int(found[-1][1]), str(found[-1][0])

    def locked(self) -> Iterator[LifeRow]:
        """Yield whatever has a lock, also one that is over, and files."""
        yield from self._some(calls.c.locked_until_us.is_not(None))

    def without_end(self) -> dict[str, int]:
        """Return the number of calls by class that nothing will ever delete."""
        query = select(calls.c.retention_class, func.count()).where(
            calls.c.retention_class != "", calls.c.expires_us.is_(None), calls.c.erased_us.is_(None)
        )
        with self._catalogue.reading() as connection:
            return {str(row[0]): int(row[1]) for row in connection.execute(query.group_by(calls.c.retention_class))}

    def change(self, recording: str, **values: Any) -> None:
        """Write columns of a call; they outlast a power cut."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(update(calls).where(calls.c.id == recording).values(values))
            relist(connection, [recording])

    def correct(self, row: Correction) -> Correction:
        """Write a correction; it gets the next number of its recording."""
        with self._catalogue.writing(lasting=True) as connection:
            last = select(func.max(corrections.c.n)).where(corrections.c.recording == row.recording)
            numbered = replace(row, n=int(connection.execute(last).scalar() or 0) + 1)
            values = {name: getattr(numbered, name) for name in Correction.__slots__}
            connection.execute(insert(corrections).values(values))
            relist(connection, [row.recording])
        return numbered

    def corrections(self, recording: str) -> list[Correction]:
        """Return the corrections of a recording, oldest first."""
        return corrections_of(self._catalogue, [recording]).get(recording, [])

    def put_request(self, row: Request) -> None:
        """Write a request."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(insert(requests).values({name: getattr(row, name) for name in Request.__slots__}))

    def decide_request(self, request: str, state: str, by: Caller, at_us: int) -> None:
        """Write what became of a request."""
        self.set_request(request, state=state, decided_by=by.name, decided_user=by.user, decided_us=at_us)

    def set_request(self, request: str, **values: Any) -> None:
        """Write columns of a request."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(update(requests).where(requests.c.id == request).values(values))

    def request(self, prefix: str) -> Request:
        """Return the request whose id begins so. Raises NoSuchRequest."""
        with self._catalogue.reading() as connection:
            begins = requests.c.id.startswith(prefix.strip().lower(), autoescape=True)
            found = connection.execute(select(requests).where(begins).limit(2)).all() if prefix.strip() else []
        if len(found) != 1:
            what = "several requests have such an id" if found else "no request has this id"
            raise NoSuchRequest(what, prefix[:60], "`vittne request list --all` shows them")
        return Request(**found[0]._mapping)

    def requests(self, decided: bool = False, recording: str = "", operation: str = "") -> list[Request]:
        """Return requests, oldest first; decided: also those that wait no more."""
        query = select(requests).order_by(requests.c.asked_us, requests.c.id)
        if not decided:
            query = query.where(or_(requests.c.state == WAITS, requests.c.state == APPROVED))
        if recording:
            query = query.where(requests.c.recording == recording)
        if operation:
            query = query.where(requests.c.operation == operation)
        with self._catalogue.reading() as connection:
            return [Request(**row._mapping) for row in connection.execute(query)]

    def erasure(self, recording: str) -> Erasure | None:
        """Return the erasure of a recording, if it was begun."""
        with self._catalogue.reading() as connection:
            row = connection.execute(select(erasures).where(erasures.c.recording == recording)).first()
        return None if row is None else _erasure(row)

    def unfinished_erasures(self) -> list[Erasure]:
        """Return erasures that were begun and are not done, oldest first."""
        query = select(erasures).where(erasures.c.done_us.is_(None)).order_by(erasures.c.at_us)
        with self._catalogue.reading() as connection:
            return [_erasure(row) for row in connection.execute(query)]

    def _some(self, which: Any) -> Iterator[LifeRow]:
        held = self.holds.all_held()
        query = select(*_LIFE).where(which, calls.c.erased_us.is_(None)).order_by(calls.c.expires_us, calls.c.id)
        with self._catalogue.reading() as connection:
            for some in connection.execution_options(yield_per=5000).execute(query).partitions():
                for row in some:
                    yield self._row(row, held)

    def _row(self, row: Any, held: Mapping[str, tuple[str, ...]]) -> LifeRow:
        recording, state, started, size, folder, name, locked, expires, restricted, erased = row
        facts = Facts(
            state == RECORDING, name, locked, expires, restricted, erased, held.get(recording, ()), name in self._early
        )
        return LifeRow(recording, started, size, folder, facts)


def _erasure(row: Any) -> Erasure:
    return Erasure(**{**row._mapping, "approvers": tuple(row.approvers)})


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), _CHUNK):
        yield ids[begin : begin + _CHUNK]
