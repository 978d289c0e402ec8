"""Legal holds: which there are, and on which recordings they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, exists, func, insert, literal, select, update

from vittne.appliance.store.catalogue import Catalogue, Search, matching
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import calls, held, holds
from vittne.appliance.store.times import rfc3339

_CHUNK: Final = 500


class NoSuchHold(StoreError):
    """No hold, or more than one, has such an id."""


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One hold. search: what it was placed on, as fields of Search; None when it was placed on ids."""

    id: str
    label: str
    reason: str
    owner: str
    search: Mapping[str, Any] | None
    standing: bool
    placed_us: int
    placed_by: str
    released_us: int | None = None
    released_by: str = ""
    release_reason: str = ""
    salt: str = ""

    def as_json(self, recordings: int) -> dict[str, Any]:
        """Return the hold as `hold list --json` shows it; recordings: so many are held by it."""
        return {
            "id": self.id,
            "label": self.label,
            "reason": self.reason,
            "owner": self.owner,
            "search": None if self.search is None else dict(self.search),
            "standing": self.standing,
            "placed_at": rfc3339(self.placed_us),
            "placed_by": self.placed_by,
            "released_at": None if self.released_us is None else rfc3339(self.released_us),
            "released_by": self.released_by,
            "release_reason": self.release_reason,
            "recordings": recordings,
        }


def search_of(said: Mapping[str, Any]) -> Search:
    """Return a search from the fields that were kept; those of other versions are passed over."""
    known = {field.name for field in fields(Search)}
    return Search(**{name: value for name, value in said.items() if name in known and name != "limit"})


class HoldTable:
    """Holds in the catalogue's database. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def place(self, row: HoldRow, recordings: Sequence[str]) -> int:
        """Write a hold, on ids and on all that its search finds; return on how many. It outlasts a power cut."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(insert(holds).values({name: getattr(row, name) for name in HoldRow.__slots__}))
            for some in _chunks(recordings):
                connection.execute(insert(held), [{"hold": row.id, "recording": one} for one in some])
            if row.search is not None:
                _take(connection, row, matching(search_of(row.search)))
            return _count(connection, row.id)

    def release(self, hold: str, at_us: int, by: str, reason: str) -> None:
        """Let go of what a hold lies on. The recordings stay listed in it."""
        with self._catalogue.writing(lasting=True) as connection:
            gone = {"released_us": at_us, "released_by": by, "release_reason": reason}
            connection.execute(update(holds).where(holds.c.id == hold, holds.c.released_us.is_(None)).values(gone))

    def take_standing(self, recordings: Sequence[str] | None = None) -> None:
        """Put standing holds on what they match: of some recordings, or of all."""
        with self._catalogue.reading() as connection:
            live = and_(holds.c.standing, holds.c.released_us.is_(None))
            found = [HoldRow(**row._mapping) for row in connection.execute(select(holds).where(live))]
        if not found:
            return
        with self._catalogue.writing(lasting=True) as connection:
            for row in found:
                query = matching(search_of(row.search or {}))
                if recordings is None:
                    _take(connection, row, query)
                for some in _chunks(recordings or ()):
                    _take(connection, row, query.where(calls.c.id.in_(some)))

    def get(self, prefix: str) -> HoldRow:
        """Return the hold whose id begins so. Raises NoSuchHold."""
        with self._catalogue.reading() as connection:
            begins = holds.c.id.startswith(prefix.strip().lower(), autoescape=True)
            found = connection.execute(select(holds).where(begins).limit(2)).all() if prefix.strip() else []
        if len(found) != 1:
            what = "several holds have such an id" if found else "no hold has this id"
            raise NoSuchHold(what, prefix[:60], "`vittne hold list --all` shows them")
        return HoldRow(**found[0]._mapping)

    def rows(self, released: bool = False) -> list[tuple[HoldRow, int]]:
        """Return holds, oldest first, each with the number of its recordings. released: those too."""
        count = select(func.count()).where(held.c.hold == holds.c.id).scalar_subquery()
        query = select(holds, count).order_by(holds.c.placed_us, holds.c.id)
        if not released:
            query = query.where(holds.c.released_us.is_(None))
        with self._catalogue.reading() as connection:
            return [(HoldRow(*row[:-1]), int(row[-1])) for row in connection.execute(query)]

    def recordings(self, hold: str) -> Iterator[str]:
        """Yield the ids that a hold lies, or lay, on."""
        with self._catalogue.reading() as connection:
            query = select(held.c.recording).where(held.c.hold == hold).order_by(held.c.recording)
            for row in connection.execute(query):
                yield str(row[0])

    def of(self, recordings: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the labels of the holds that are on recordings, by id; who has none is not in it."""
        found: dict[str, list[str]] = {}
        with self._catalogue.reading() as connection:
            for some in _chunks(list(recordings)):
                query = _live().where(held.c.recording.in_(some)).order_by(holds.c.placed_us)
                for row in connection.execute(query):
                    found.setdefault(row.recording, []).append(row.label)
        return {recording: tuple(labels) for recording, labels in found.items()}

    def all_held(self) -> dict[str, tuple[str, ...]]:
        """Return the labels of the holds on every recording that is held."""
        found: dict[str, tuple[str, ...]] = {}
        with self._catalogue.reading() as connection:
            for row in connection.execute(_live().order_by(holds.c.placed_us)):
                found[row.recording] = (*found.get(row.recording, ()), row.label)
        return found

    def history(self, recording: str) -> list[HoldRow]:
        """Return all holds that were ever on a recording."""
        query = select(holds).join(held, held.c.hold == holds.c.id).where(held.c.recording == recording)
        with self._catalogue.reading() as connection:
            return [HoldRow(**row._mapping) for row in connection.execute(query.order_by(holds.c.placed_us))]


def forget_in_holds(connection: Connection, recordings: Sequence[str], speaks: Any) -> None:
    """Take out of released holds on erased recordings whatever tells of them. speaks: says so of a text."""
    query = select(holds).distinct().join(held, held.c.hold == holds.c.id).where(holds.c.released_us.is_not(None))
    for some in _chunks(recordings):
        for row in connection.execute(query.where(held.c.recording.in_(some))).all():
            if speaks([row.label, row.reason, row.release_reason, row.search]):
                gone = {"label": "", "reason": "", "release_reason": "", "search": None, "salt": ""}
                connection.execute(update(holds).where(holds.c.id == row.id).values(gone))


def _live() -> Select[Any]:
    query = select(held.c.recording, holds.c.label).join(holds, held.c.hold == holds.c.id)
    return query.where(holds.c.released_us.is_(None))


def _take(connection: Connection, row: HoldRow, found: Select[Any]) -> None:
    is_new = ~exists().where(held.c.hold == row.id, held.c.recording == calls.c.id)
    query = found.where(is_new).with_only_columns(literal(row.id), calls.c.id)
    connection.execute(insert(held).from_select(["hold", "recording"], query))


def _count(connection: Connection, hold: str) -> int:
    return int(connection.execute(select(func.count()).where(held.c.hold == hold)).scalar_one())


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), _CHUNK):
        yield ids[begin : begin + _CHUNK]
