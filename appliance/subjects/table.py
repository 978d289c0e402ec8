"""Cases and what was done in them, in the catalogue's database."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import func, insert, select, update

from vittne.appliance.seal.canonical import canonical
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import subject_acts, subjects
from vittne.appliance.store.times import rfc3339
from vittne.appliance.subjects.finding import Who

# No digit: an id stands beside reasons, in which nobody's number may stand.
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz"


class NoSuchCase(StoreError):
    """No case, or more than one, has such an id."""


def new_id() -> str:
    """Return an id of twelve letters."""
    return "".join(secrets.choice(_LETTERS) for _ in range(12))


@dataclass(frozen=True, slots=True)
class Case:
    """A request of a person. forget_us: when a closed case no longer knows who it was about."""

    id: str
    kind: str
    who: Mapping[str, Any]
    opened_us: int
    opened_by: str
    due_us: int
    closed_us: int | None = None
    closed_by: str = ""
    outcome: str = ""
    forget_us: int | None = None
    forgotten_us: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the case as `--json` shows it."""
        times = {"opened": self.opened_us, "due": self.due_us, "closed": self.closed_us}
        times |= {"forget": self.forget_us, "forgotten": self.forgotten_us}
        return {
            "id": self.id,
            "kind": self.kind,
            "who": Who.from_json(self.who).as_json(),
            **{f"{name}_at": None if at is None else rfc3339(at) for name, at in times.items()},
            "opened_by": self.opened_by,
            "closed_by": self.closed_by,
            "outcome": self.outcome,
        }


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done in a case, or was not: result and text say why. recording "": about none."""

    case: str
    n: int
    at_us: int
    by: str
    act: str
    recording: str
    result: str
    text: str
    salt: str

    def as_json(self) -> dict[str, Any]:
        """Return the act as `--json` shows it."""
        shown = {name: getattr(self, name) for name in ("n", "by", "act", "recording", "result", "text")}
        return {**shown, "at": rfc3339(self.at_us)}

    def commitment(self) -> str:
        """Return what the trail says of the text: it may name people, and the trail may not."""
        said = {"act": self.act, "recording": self.recording, "result": self.result, "text": self.text}
        return hashlib.sha256(bytes.fromhex(self.salt) + canonical(said)).hexdigest()


class CaseTable:
    """Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def put(self, case: Case) -> None:
        """Write a new case."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(insert(subjects).values({name: getattr(case, name) for name in Case.__slots__}))

    def change(self, case: str, **values: Any) -> None:
        """Write columns of a case."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(update(subjects).where(subjects.c.id == case).values(values))

    def get(self, prefix: str) -> Case:
        """Return the case whose id begins so. Raises NoSuchCase."""
        begins = prefix.strip().lower()
        query = select(subjects).where(subjects.c.id.startswith(begins, autoescape=True)).limit(2)
        with self._catalogue.reading() as connection:
            found = connection.execute(query).all() if begins else []
        if len(found) != 1:
            what = "several cases have such an id" if found else "no case has this id"
            raise NoSuchCase(what, prefix[:60], "`vittne subject list --all` shows them")
        return Case(*found[0])

    def cases(self, closed: bool = False) -> list[Case]:
        """Return cases, the first one due first. closed: those too."""
        query = select(subjects).order_by(subjects.c.due_us, subjects.c.id)
        if not closed:
            query = query.where(subjects.c.closed_us.is_(None))
        with self._catalogue.reading() as connection:
            return [Case(*row) for row in connection.execute(query)]

    def to_forget(self, at_us: int) -> list[Case]:
        """Return closed cases that are to know nobody any more."""
        query = select(subjects).where(subjects.c.forget_us <= at_us, subjects.c.forgotten_us.is_(None))
        with self._catalogue.reading() as connection:
            return [Case(*row) for row in connection.execute(query)]

    def forget(self, case: str, at_us: int) -> None:
        """Delete what a person is found by, and all that was written."""
        gone = {"text": "", "salt": ""}
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(update(subjects).where(subjects.c.id == case).values(who={}, forgotten_us=at_us))
            connection.execute(update(subject_acts).where(subject_acts.c.subject == case).values(gone))

    def numbered(self, case: str, acts: Sequence[Act]) -> list[Act]:
        """Return acts with the next numbers of their case."""
        last = select(func.max(subject_acts.c.n)).where(subject_acts.c.subject == case)
        with self._catalogue.reading() as connection:
            first = int(connection.execute(last).scalar() or 0) + 1
        return [replace(one, n=first + n) for n, one in enumerate(acts)]

    def put_acts(self, acts: Sequence[Act]) -> None:
        """Write acts."""
        rows = [
            {"subject": one.case, **{name: getattr(one, name) for name in Act.__slots__ if name != "case"}}
            for one in acts
        ]
        if rows:
            with self._catalogue.writing(lasting=True) as connection:
                connection.execute(insert(subject_acts), rows)

    def acts(self, case: str, recording: str = "") -> list[Act]:
        """Return what was done in a case, or with a recording in it, oldest first."""
        query = select(subject_acts).where(subject_acts.c.subject == case).order_by(subject_acts.c.n)
        if recording:
            query = query.where(subject_acts.c.recording == recording)
        with self._catalogue.reading() as connection:
            return [Act(*row) for row in connection.execute(query)]
