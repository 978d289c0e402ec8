"""Announcements in the catalogue's database: a row for every version, never altered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from vittne.appliance.announcements.terms import Terms, make_terms
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import announcements

_LISTS: Final = ("required_ms", "sites", "cut_ms")


class NoSuchAnnouncement(StoreError):
    """No announcement, or no version of it, is called so."""


class AnnouncementTable:
    """Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def versions(self, name: str = "") -> list[Terms]:
        """Return all versions, by name and number; name: of this announcement only."""
        query = select(announcements).order_by(announcements.c.name, announcements.c.version)
        if name:
            query = query.where(announcements.c.name == name)
        with self._catalogue.reading() as connection:
            return [_terms(row) for row in connection.execute(query).mappings()]

    def newest(self) -> list[Terms]:
        """Return the newest version of each announcement, retired ones as well."""
        return list({one.name: one for one in self.versions()}.values())

    def get(self, name: str, version: int | None = None) -> Terms:
        """Return an announcement: its newest version, or another one. Raises NoSuchAnnouncement."""
        found = [one for one in self.versions(name) if version in (None, one.version)] if name else []
        if not found:
            what = "there is no such announcement" if version is None else f"it has no version {version}"
            raise NoSuchAnnouncement(what, name[:70], "`vittne announcement list --all` shows them")
        return found[-1]

    def at(self, at_us: int) -> list[Terms]:
        """Return what counts at a time, by name: of each the newest version that had begun, unless it was over."""
        return counting(self.versions(), at_us)

    def next_change(self, at_us: int) -> int | None:
        """Return when something begins or is over next, after a time; None when nothing will."""
        times = [at for one in self.versions() for at in (one.from_us, one.until_us) if at is not None and at > at_us]
        return min(times, default=None)

    def put(self, terms: Terms) -> None:
        """Write a version; it is durable on return."""
        with self._catalogue.writing(lasting=True) as connection:
            put_all(connection, [terms])


def counting(versions: Iterable[Terms], at_us: int) -> list[Terms]:
    """Return what counts at a time of versions by name and number: of each name the newest that had begun."""
    begun = {one.name: one for one in versions if one.from_us is None or one.from_us <= at_us}
    return [one for one in begun.values() if not one.retired and (one.until_us is None or at_us < one.until_us)]


def put_all(connection: Connection, versions: Iterable[Terms]) -> None:
    """Write versions."""
    for one in versions:
        connection.execute(insert(announcements).values(_values(one)))


def _values(terms: Terms) -> dict[str, Any]:
    return {column.name: getattr(terms, column.name) for column in announcements.c} | {
        name: [list(one) if isinstance(one, tuple) else one for one in getattr(terms, name)] for name in _LISTS
    }


def _terms(row: Any) -> Terms:
    return make_terms(dict(row))
