"""What verification says: for each thing that was looked at, whether it holds, in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOLDS: Final = "holds"
FAILS: Final = "fails"
UNCHECKED: Final = "unchecked"  # what is needed for it is not here; the words say what


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    result: str
    words: str

    @property
    def ok(self) -> bool:
        """Nothing was found wrong."""
        return self.result != FAILS


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of one recording, or of what lies around them (subject "archive")."""

    subject: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Nothing was found wrong."""
        return all(check.ok for check in self.checks)


def holds(name: str, words: str) -> Check:
    """Return a check that found everything in order."""
    return Check(name, HOLDS, words)


def fails(name: str, words: str) -> Check:
    """Return a check that found something wrong; words: what was found, and what it means."""
    return Check(name, FAILS, words)


def unchecked(name: str, words: str) -> Check:
    """Return a check that could not be made, and why."""
    return Check(name, UNCHECKED, words)
