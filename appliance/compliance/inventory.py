"""The record of processing (GDPR Art. 30): what is kept of whom, what for, on what ground, how long, given to whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, select

from vittne.appliance.config import Config
from vittne.appliance.policy.classes import RetentionClass
from vittne.appliance.policy.config import classes
from vittne.appliance.seal import events
from vittne.appliance.store.canaries import is_no_canary
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import audit, calls
from vittne.appliance.store.times import rfc3339

DATA: Final = (
    "voices of calls",
    "numbers, names and addresses in signalling",
    "times and lengths of calls",
    "who spoke when in a call, and which announcements were heard",
    "who listened, copied or changed",
)
MEASURES: Final = (
    "encryption of every recording (AES-256-GCM), keys apart",
    "signed manifests and a ledger that shows alterations",
    "what is said in a pause is left out before anything is stored",
    "every look is entered in the audit trail first",
)
COLUMNS: Final = (
    *("class", "site", "purpose", "lawful_basis", "recordings", "bytes", "without_proof", "oldest", "newest"),
    *("locked_for", "erased_after", "owner"),
)


@dataclass(slots=True)
class Line:
    """Recordings of one class, site, purpose and basis. Times are microseconds UTC."""

    of: tuple[str, str, str, str]
    kept: tuple[str, str, str]  # locked for, erased after, owner
    oldest_us: int
    recordings: int = 0
    size_bytes: int = 0
    without_proof: int = 0
    newest_us: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it by COLUMNS."""
        counts = (self.recordings, self.size_bytes, self.without_proof)
        times = (rfc3339(self.oldest_us), rfc3339(self.newest_us))
        return dict(zip(COLUMNS, (*self.of, *counts, *times, *self.kept), strict=True))


@dataclass(slots=True)
class Inventory:
    """Everything. controller: what only people know, by what it is called; recipients: who was given copies."""

    made_us: int
    controller: dict[str, str]
    persons: tuple[str, ...]
    recipients: list[dict[str, Any]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def without_basis(self) -> int:
        """How many recordings have no lawful basis."""
        return sum(line.recordings for line in self.lines if not line.of[3])

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "made_at": rfc3339(self.made_us),
            **self.controller,
            "categories_of_persons": list(self.persons),
            "categories_of_data": list(DATA),
            "measures": list(MEASURES),
            "recipients": self.recipients,
            "lines": [line.as_json() for line in self.lines],
            "without_basis": self.without_basis,
        }


def take_inventory(catalogue: Catalogue, config: Config, now_us: int) -> Inventory:
    """Add up what is kept now. Copies count since the trail begins."""
    said = config.inventory
    controller = {"controller": said.controller, "contact": said.contact, "owner": said.owner}
    found = Inventory(now_us, controller, said.persons)
    known = classes(config.classes)
    lines: dict[tuple[str, str, str, str], Line] = {}
    columns = (calls.c.retention_class, calls.c.site, calls.c.basis, calls.c.size_bytes, calls.c.started_us)
    query = select(*columns).where(calls.c.folder != "", calls.c.erased_us.is_(None), is_no_canary())
    with catalogue.reading() as connection:
        for row in connection.execution_options(yield_per=5000).execute(query):
            basis = dict(row.basis)
            key = (row.retention_class, row.site, str(basis.get("purpose", "")), str(basis.get("lawful_basis", "")))
            line = lines.get(key)
            if line is None:
                line = lines[key] = Line(key, _kept(known.get(row.retention_class), said.owner), row.started_us)
            line.recordings += 1
            line.size_bytes += row.size_bytes
            line.without_proof += bool(basis) and not basis.get("proven")
            line.oldest_us = min(line.oldest_us, row.started_us)
            line.newest_us = max(line.newest_us, row.started_us)
    found.lines = [lines[key] for key in sorted(lines)]
    found.recipients = [{"name": name, "copies": None, "from": "configuration"} for name in said.recipients]
    found.recipients += list(_given(catalogue))
    return found


def bases(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return how many recordings rest on what, and whether that is proven."""
    counts: dict[tuple[str, str, str], int] = {}
    query = select(calls.c.basis).where(calls.c.folder != "", calls.c.erased_us.is_(None), is_no_canary())
    with catalogue.reading() as connection:
        for row in connection.execution_options(yield_per=5000).execute(query):
            basis = dict(row.basis)
            words = [str(basis.get(name, "")) for name in ("lawful_basis", "purpose")]
            key = (words[0], words[1], "yes" if basis.get("proven") else "no")
            counts[key] = counts.get(key, 0) + 1
    names = ("lawful_basis", "purpose", "proven")
    return [{**dict(zip(names, key, strict=True)), "recordings": count} for key, count in sorted(counts.items())]


def without_basis(catalogue: Catalogue) -> Iterator[tuple[str, int, str]]:
    """Yield (id, started, why) of recordings that have no lawful basis, or rest on something that nothing proves."""
    query = select(calls.c.id, calls.c.started_us, calls.c.basis).where(
        calls.c.folder != "", calls.c.erased_us.is_(None), is_no_canary()
    )
    with catalogue.reading() as connection:
        for row in connection.execution_options(yield_per=5000).execute(query.order_by(calls.c.started_us)):
            basis = dict(row.basis)
            if not basis.get("lawful_basis"):
                yield row.id, row.started_us, "no lawful basis"
            elif basis["lawful_basis"] == "consent" and not basis.get("proven"):
                yield row.id, row.started_us, "consent that nothing proves"
            elif basis.get("proof") == "announcement" and not basis.get("proven"):
                yield row.id, row.started_us, "lacks notice: its announcement was not heard"


def _kept(known: RetentionClass | None, owner: str) -> tuple[str, str, str]:
    if known is None:
        return "not locked", "no class: nothing says when", owner
    least = "not locked" if known.least is None else str(known.least)
    return least, "never" if known.greatest is None else str(known.greatest), known.owner or owner


def _given(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    query = select(audit.c.actor, func.count(), func.max(audit.c.at_us)).where(audit.c.kind == events.EXPORTED)
    with catalogue.reading() as connection:
        for actor, count, last in connection.execute(query.group_by(audit.c.actor).order_by(audit.c.actor)):
            yield {"name": actor, "copies": int(count), "last_at": rfc3339(int(last)), "from": "audit trail"}
