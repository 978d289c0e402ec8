"""Users who should be recorded and are not heard of: in scope, and without traffic (SYSC 10A.1.7)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from vittne.appliance.compliance.coverage import SEALED, Answered
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import rfc3339

_FILE_LIMIT: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class InScope:
    """A number that is to be recorded, from a day to a day, both included; None: no bound."""

    number: str
    since: date | None = None
    until: date | None = None

    def holds_on(self, day: date) -> bool:
        """Whether it is in scope on a day."""
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


@dataclass(frozen=True, slots=True)
class Silent:
    """A number in scope without a recording. answered: its calls that were seen; last_us: of the newest."""

    number: str
    answered: int
    last_us: int | None

    def as_json(self) -> dict[str, Any]:
        """Return it with its time as text."""
        last = None if self.last_us is None else rfc3339(self.last_us)
        return {"number": self.number, "answered": self.answered, "last_at": last}


def read_users(path: Path) -> list[InScope]:
    """Read a file of users: a line each, NUMBER[,FROM[,UNTIL]] with days as 2026-01-31; # begins a comment.

    Raises StoreError with the line that is none.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(_FILE_LIMIT).decode("utf-8")
    except OSError as error:
        raise explain(error, "read the users", path) from error
    except UnicodeDecodeError as error:
        raise StoreError("the file of users is no text", path, "write it in UTF-8") from error
    found = []
    for number, line in enumerate(csv.reader(text.splitlines()), 1):
        cells = [cell.strip() for cell in line]
        if not cells or not cells[0] or cells[0].startswith("#"):
            continue
        try:
            days = [date.fromisoformat(cell) if cell else None for cell in cells[1:3]]
            found.append(InScope(cells[0], *days))
        except ValueError as error:
            words = "write NUMBER, or NUMBER,FROM,UNTIL with days such as 2026-01-31"
            raise StoreError(f"line {number} is no user ({error})", path, words) from error
    return found


def silent(scope: Sequence[InScope], day: date, found: Iterable[Answered]) -> list[Silent]:
    """Return who is in scope on a day and has no sealed recording among the calls that were found."""
    wanted = {one.number for one in scope if one.holds_on(day)}
    recorded: set[str] = set()
    seen: dict[str, tuple[int, int]] = {}
    for call in found:
        for number in wanted.intersection(call.numbers):
            if call.state == SEALED:
                recorded.add(number)
            seen[number] = (seen.get(number, (0, 0))[0] + 1, call.at_us)
    return [Silent(number, *seen.get(number, (0, None))) for number in sorted(wanted - recorded)]
