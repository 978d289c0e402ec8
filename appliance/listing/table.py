"""Notes on recordings, and searches that somebody kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.listing import relist
from vittne.appliance.store.tables import calls, notes, saved_searches
from vittne.appliance.store.times import rfc3339


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about a recording. salt: of the commitment to it in the trail."""

    recording: str
    n: int
    at_us: int
    by: str
    text: str
    salt: str


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search that somebody kept. owner: a user's id; roles: whose holders see it as well."""

    id: str
    owner: str
    name: str
    body: dict[str, Any]
    roles: tuple[str, ...]
    made_us: int

    def as_json(self, user: str) -> dict[str, Any]:
        """Return it for a user."""
        told = {"id": self.id, "name": self.name, "query": self.body, "roles": list(self.roles)}
        return {**told, "is_mine": self.owner == user, "made_at": rfc3339(self.made_us)}


class ListingTable:
    """Reads and writes them. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def notes(self, recording: str) -> list[Note]:
        """Return the notes on a recording, the first one first."""
        query = select(notes).where(notes.c.recording == recording).order_by(notes.c.n)
        with self._catalogue.reading() as connection:
            return [Note(**row._mapping) for row in connection.execute(query)]

    def next_note(self, recording: str) -> int:
        """Return the number that the next note gets."""
        query = select(func.max(notes.c.n)).where(notes.c.recording == recording)
        with self._catalogue.reading() as connection:
            return int(connection.execute(query).scalar() or 0) + 1

    def put_note(self, note: Note) -> None:
        """Write a note; it outlasts a power cut."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(insert(notes).values({name: getattr(note, name) for name in Note.__slots__}))

    def tag(self, recording: str, tags: Collection[str]) -> None:
        """Write a call's tags; they outlast a power cut."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(update(calls).where(calls.c.id == recording).values(tags=list(tags)))
            relist(connection, [recording])

    def searches(self, owner: str, roles: Collection[str]) -> list[SavedSearch]:
        """Return what a user kept, and what others share with a role of theirs, by name."""
        query = select(saved_searches).order_by(saved_searches.c.name, saved_searches.c.id)
        with self._catalogue.reading() as connection:
            found = [_search(row) for row in connection.execute(query)]
        return [one for one in found if one.owner == owner or set(one.roles) & set(roles)]

    def put_search(self, one: SavedSearch) -> None:
        """Keep a search; one of the same owner and name is replaced."""
        values = {name: getattr(one, name) for name in SavedSearch.__slots__}
        same = saved_searches.c.owner == one.owner, saved_searches.c.name == one.name
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(saved_searches).where(*same))
            connection.execute(insert(saved_searches).values({**values, "roles": list(one.roles)}))

    def drop_search(self, search: str, owner: str) -> bool:
        """Forget a search; False when this owner has no such one."""
        which = saved_searches.c.id == search, saved_searches.c.owner == owner
        with self._catalogue.writing(lasting=True) as connection:
            return connection.execute(delete(saved_searches).where(*which)).rowcount > 0


def _search(row: Any) -> SavedSearch:
    return SavedSearch(**{**row._mapping, "roles": tuple(row.roles)})
