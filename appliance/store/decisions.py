"""Decisions on the gates of calls that may still be up: kept for some hours, by SIP Call-ID.

A call that goes on over a restart is another recording then; only its Call-ID is still the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import decisions

KEPT_US: Final = 12 * 3_600_000_000  # no call is longer
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """Somebody decided on a call's gate. call_id: SIP's."""

    call_id: str
    decision: str
    by: str
    at_us: int
    trigger: str = "api"


class DecisionTable:
    """Decisions in the catalogue's database. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def put(self, rows: Sequence[DecisionRow]) -> None:
        """Write decisions, in the place of the same ones; those that are old go. They outlast a power cut."""
        if not rows:
            return
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(decisions).where(decisions.c.at_us < max(r.at_us for r in rows) - KEPT_US))
            for row in rows:
                same = decisions.c.call_id == row.call_id, decisions.c.decision == row.decision
                connection.execute(delete(decisions).where(*same))
            values = [{name: getattr(row, name) for name in DecisionRow.__slots__} for row in rows]
            connection.execute(insert(decisions), values)

    def since(self, at_us: int) -> list[DecisionRow]:
        """Return decisions from a time on, oldest first."""
        query = select(decisions).where(decisions.c.at_us >= at_us).order_by(decisions.c.at_us.desc()).limit(_MOST)
        with self._catalogue.reading() as connection:
            return [DecisionRow(**row._mapping) for row in connection.execute(query)][::-1]
