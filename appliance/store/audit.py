"""The audit trail's rows. What a row says is fixed by a hash in the ledger (appliance/audit.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import insert, select, update

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import audit
from vittne.appliance.store.times import rfc3339


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who did what, when. recording: "" when it is about none; entry: its index in the ledger, once it has one."""

    id: str
    at_us: int
    kind: str
    actor: str
    via: str
    recording: str
    details: dict[str, Any]
    salt: str
    entry: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the row for people and programs, with what checks it against the ledger."""
        return {
            "at": rfc3339(self.at_us),
            "kind": self.kind,
            "actor": self.actor,
            "via": self.via,
            "recording": self.recording,
            "details": self.details,
            "id": self.id,
            "salt": self.salt,
            "entry": self.entry,
        }


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which rows: all conditions must hold. until_us is not included."""

    since_us: int | None = None
    until_us: int | None = None
    actor: str = ""
    recording: str = ""
    kinds: tuple[str, ...] = field(default=())
    limit: int | None = None  # the newest so many
    before: tuple[int, str] | None = None  # older than the row of this time and id


_COLUMNS: Final = tuple(column.name for column in audit.c)


class AuditTable:
    """Rows in the catalogue's database. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def put(self, rows: Sequence[AuditRow]) -> None:
        """Write new rows; they outlast a power cut."""
        if rows:
            with self._catalogue.writing(lasting=True) as connection:
                connection.execute(insert(audit), [{name: getattr(row, name) for name in _COLUMNS} for row in rows])

    def entered(self, entries: Sequence[tuple[str, int]]) -> None:
        """Note which entry of the ledger each row (id) has."""
        with self._catalogue.writing() as connection:
            for row, entry in entries:
                connection.execute(update(audit).where(audit.c.id == row).values(entry=entry))

    def without_entry(self) -> list[AuditRow]:
        """Return rows that a crash kept from the ledger, oldest first."""
        with self._catalogue.reading() as connection:
            query = select(audit).where(audit.c.entry.is_(None)).order_by(audit.c.at_us)
            return [AuditRow(**row._mapping) for row in connection.execute(query)]

    def get(self, row_id: str) -> AuditRow | None:
        """Return the row with this id."""
        with self._catalogue.reading() as connection:
            row = connection.execute(select(audit).where(audit.c.id == row_id)).first()
        return None if row is None else AuditRow(**row._mapping)

    def search(self, search: AuditSearch = AuditSearch()) -> Iterator[AuditRow]:
        """Yield rows, oldest first."""
        query = select(audit)
        if search.since_us is not None:
            query = query.where(audit.c.at_us >= search.since_us)
        if search.until_us is not None:
            query = query.where(audit.c.at_us < search.until_us)
        if search.actor:
            query = query.where(audit.c.actor == search.actor)
        if search.recording:
            query = query.where(audit.c.recording == search.recording)
        if search.kinds:
            query = query.where(audit.c.kind.in_(search.kinds))
        if search.before is not None:
            at_us, row_id = search.before
            query = query.where((audit.c.at_us < at_us) | ((audit.c.at_us == at_us) & (audit.c.id < row_id)))
        newest = query.order_by(audit.c.at_us.desc(), audit.c.id.desc())
        if search.limit is not None:
            newest = newest.limit(search.limit)
        with self._catalogue.reading() as connection:
            ordered = newest.subquery()
            for row in connection.execute(select(ordered).order_by(ordered.c.at_us, ordered.c.id)):
                yield AuditRow(**row._mapping)
