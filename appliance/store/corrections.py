"""Corrections (GDPR Art. 16): how a field of a call is shown, where it was recorded wrongly. What is sealed stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.tables import corrections
from vittne.appliance.store.times import rfc3339


@dataclass(frozen=True, slots=True)
class Correction:
    """One field of a call that was shown wrongly, and how it is to be shown."""

    recording: str
    n: int
    field: str
    before: str
    after: str
    reason: str
    by: str
    at_us: int

    def as_json(self) -> dict[str, Any]:
        """Return the correction as `history --json` shows it."""
        values = {name: getattr(self, name) for name in ("n", "field", "before", "after", "reason", "by")}
        return {**values, "at": rfc3339(self.at_us)}


def corrections_of(catalogue: Catalogue, recordings: Sequence[str] | None = None) -> dict[str, list[Correction]]:
    """Return corrections by recording, oldest first; of some, or of all."""
    query = select(corrections).order_by(corrections.c.recording, corrections.c.n)
    if recordings is not None:
        query = query.where(corrections.c.recording.in_(list(recordings)))
    found: dict[str, list[Correction]] = {}
    with catalogue.reading() as connection:
        for row in connection.execute(query):
            found.setdefault(row.recording, []).append(Correction(**row._mapping))
    return found


def corrected(row: CallRow, made: Sequence[Correction]) -> CallRow:
    """Return a call with its corrected values in the place of those that are sealed."""
    values = {"caller": row.caller, "callee": row.callee, "site": row.site}
    values.update({one.field: one.after for one in made})
    return replace(row, caller=values["caller"], callee=values["callee"], site=values["site"])


def corrected_json(row: CallRow, made: Sequence[Correction]) -> dict[str, Any]:
    """Return a call as `list --json` shows it: corrected, with what was recorded under "corrected"."""
    shown = corrected(row, made).as_json()
    if made:
        shown["corrected"] = {one.field: getattr(row, one.field) for one in made}
    return shown


def marked(row: CallRow, made: Sequence[Correction]) -> CallRow:
    """Return a call for tables: corrected, and said to be."""
    if row.erased_us is not None:
        return row
    new = corrected(row, made)
    values = {one.field: f"{getattr(new, one.field)} (corrected)" for one in made}
    return replace(
        new,
        caller=values.get("caller", new.caller),
        callee=values.get("callee", new.callee),
        site=values.get("site", new.site),
    )
