"""Second factors as the catalogue keeps them: written by the one writer (factor_operations.py), read by the API.

totp      {"secret": sealed, see factorkey.py; "step": the last one that was used}
passkey   {"credential": base64url, "public_key": base64url, "count": of signatures, "host": relying party}
recovery  {"left": [SHA-256 in hex of codes that were not used]}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, insert, select, update

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import factors
from vittne.appliance.store.times import rfc3339


@dataclass(frozen=True, slots=True)
class Factor:
    """One second factor of a user. Times are microseconds UTC."""

    id: str
    user: str
    kind: str
    label: str
    body: dict[str, Any]
    created_us: int
    used_us: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for the user whose it is, and for who runs users: nothing that proves anything."""
        return {
            "id": self.id,
            "kind": self.kind,
            "label": self.label,
            "left": len(self.body["left"]) if self.kind == "recovery" else None,
            "created_at": rfc3339(self.created_us),
            "used_at": rfc3339(self.used_us) if self.used_us is not None else None,
        }


_NAMES: Final = Factor.__slots__


class FactorTable:
    """The table of factors. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def of(self, user: str) -> list[Factor]:
        """Return a user's factors, the oldest first."""
        query = select(factors).where(factors.c.user == user).order_by(factors.c.created_us, factors.c.id)
        with self._catalogue.reading() as connection:
            return [Factor(**{name: row._mapping[name] for name in _NAMES}) for row in connection.execute(query)]

    def kinds(self, user: str) -> frozenset[str]:
        """Return which kinds a user has."""
        with self._catalogue.reading() as connection:
            return frozenset(connection.execute(select(factors.c.kind).where(factors.c.user == user)).scalars())

    def kinds_of_all(self) -> dict[str, list[str]]:
        """Return which kinds each user has."""
        found: dict[str, list[str]] = {}
        with self._catalogue.reading() as connection:
            for row in connection.execute(select(factors.c.user, factors.c.kind).distinct().order_by(factors.c.kind)):
                found.setdefault(row.user, []).append(row.kind)
        return found

    def by_credential(self, credential: str) -> Factor | None:
        """Return the passkey with this credential id."""
        query = select(factors).where(factors.c.kind == "passkey")
        with self._catalogue.reading() as connection:
            for row in connection.execute(query):
                if row.body.get("credential") == credential:
                    return Factor(**{name: row._mapping[name] for name in _NAMES})
        return None

    def put(self, factor: Factor) -> None:
        """Write a factor, new or changed."""
        values = {name: getattr(factor, name) for name in _NAMES}
        with self._catalogue.writing(lasting=True) as connection:
            if connection.execute(update(factors).where(factors.c.id == factor.id).values(values)).rowcount == 0:
                connection.execute(insert(factors).values(values))

    def remove(self, *ids: str) -> None:
        """Forget some factors."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(factors).where(factors.c.id.in_(ids)))
