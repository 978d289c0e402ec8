"""Incidents (GDPR Art. 33 and 34): lines that somebody wrote, and the 72 hours that run from when it became known.

The text may name persons, so the trail and the ledger have only a commitment to each line: SHA-256 over its salt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import insert, select

from vittne.appliance.seal.canonical import Json, canonical
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import incidents
from vittne.appliance.store.times import rfc3339

OPENED: Final = "open"
NOTED: Final = "note"
TOLD: Final = "told"  # the authority was told
CLOSED: Final = "close"
CLOCK_US: Final = 72 * 3_600_000_000


class NoSuchIncident(StoreError):
    """No incident, or more than one, has an id that begins as asked."""


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody wrote. facts: of the first line title, known_us, and what the scope is asked with."""

    incident: str
    n: int
    word: str  # OPENED, NOTED, TOLD or CLOSED
    at_us: int
    by: str
    text: str
    facts: dict[str, Any]
    salt: str

    def terms(self) -> str:
        """Return a commitment to what it says: the trail has no text that may name people."""
        said: dict[str, Json] = {
            "incident": self.incident,
            "n": self.n,
            "word": self.word,
            "text": self.text,
            "facts": self.facts,
        }
        return hashlib.sha256(bytes.fromhex(self.salt) + canonical(said)).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return it for people and programs."""
        told = {"n": self.n, "word": self.word, "at": rfc3339(self.at_us), "by": self.by, "text": self.text}
        return {**told, "salt": self.salt, "commitment": self.terms()}


@dataclass(frozen=True, slots=True)
class Incident:
    """All lines of one incident, the first one first. Times are microseconds UTC."""

    lines: tuple[Line, ...]

    @property
    def id(self) -> str:
        """What it is called."""
        return self.lines[0].incident

    @property
    def title(self) -> str:
        """What happened, in a few words."""
        return str(self.lines[0].facts["title"])

    @property
    def opened_us(self) -> int:
        """When it was written down."""
        return self.lines[0].at_us

    @property
    def known_us(self) -> int:
        """When it became known: the clock's begin."""
        return int(self.lines[0].facts["known_us"])

    @property
    def due_us(self) -> int:
        """When the authority must have been told at the latest."""
        return self.known_us + CLOCK_US

    @property
    def told_us(self) -> int | None:
        """When the authority was told, as somebody wrote; None: not yet."""
        return next((line.at_us for line in self.lines if line.word == TOLD), None)

    @property
    def closed_us(self) -> int | None:
        """When it was closed; None: it is open."""
        return next((line.at_us for line in self.lines if line.word == CLOSED), None)

    def is_late(self, now_us: int) -> bool:
        """Whether the 72 hours ran out before anybody was told; closing it untold means that nobody had to be."""
        ended = self.told_us or self.closed_us or now_us
        return ended > self.due_us

    def as_json(self, now_us: int) -> dict[str, Any]:
        """Return it for people and programs."""
        return {
            "id": self.id,
            "title": self.title,
            "opened_at": rfc3339(self.opened_us),
            "known_at": rfc3339(self.known_us),
            "due_at": rfc3339(self.due_us),
            "told_at": None if self.told_us is None else rfc3339(self.told_us),
            "closed_at": None if self.closed_us is None else rfc3339(self.closed_us),
            "late": self.is_late(now_us),
            "scope": self.lines[0].facts.get("scope"),
            "lines": [line.as_json() for line in self.lines],
        }


class IncidentTable:
    """Incidents in the catalogue's database. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def put(self, line: Line) -> None:
        """Write a line; it outlasts a power cut."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(insert(incidents).values({name: getattr(line, name) for name in Line.__slots__}))

    def all(self) -> list[Incident]:
        """Return all, the one that was opened first first."""
        with self._catalogue.reading() as connection:
            rows = connection.execute(select(incidents).order_by(incidents.c.incident, incidents.c.n)).all()
        return sorted(_gathered([Line(**row._mapping) for row in rows]), key=lambda one: (one.opened_us, one.id))

    def get(self, prefix: str) -> Incident:
        """Return the one whose id begins so. Raises NoSuchIncident."""
        wanted = prefix.strip().lower()
        with self._catalogue.reading() as connection:
            begins = incidents.c.incident.startswith(wanted, autoescape=True)
            rows = connection.execute(
                select(incidents).where(begins).order_by(incidents.c.incident, incidents.c.n)
            ).all()
        found = list(_gathered([Line(**row._mapping) for row in rows])) if wanted else []
        if len(found) != 1:
            what = "several incidents have such an id" if found else "no incident has this id"
            raise NoSuchIncident(what, prefix[:60], "`vittne incident list --all` shows them")
        return found[0]


def _gathered(lines: Sequence[Line]) -> Iterator[Incident]:
    for _, some in groupby(lines, key=lambda line: line.incident):
        yield Incident(tuple(some))
