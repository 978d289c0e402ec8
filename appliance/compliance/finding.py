"""What is found when somebody looks whether a requirement is met, and what rows of the report are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vittne.appliance.compliance.looking import Looking

MET: Final = "met"
NOT_MET: Final = "not met"
NO_DATA: Final = "nothing to judge"  # nothing of the kind happened in the time, so nothing shows that it works
NOT_COVERED: Final = "not covered in this version"
ORGANISATIONAL: Final = "organisational"  # no program can do it; what there is to help is told
STATES: Final = (NOT_MET, NO_DATA, NOT_COVERED, ORGANISATIONAL, MET)


@dataclass(frozen=True, slots=True)
class Finding:
    """A state of STATES, and what was seen, a sentence each."""

    state: str
    evidence: tuple[str, ...]


Check = Callable[["Looking"], Finding]


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement. regime: of REGIMES; command: shows the same, after `vittne`; "": none does."""

    regime: str
    article: str
    asks: str
    check: Check
    command: str


@dataclass(frozen=True, slots=True)
class Found:
    """A row and what was found."""

    row: Row
    finding: Finding

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "regime": self.row.regime,
            "article": self.row.article,
            "asks": self.row.asks,
            "state": self.finding.state,
            "evidence": list(self.finding.evidence),
            "command": f"vittne {self.row.command}" if self.row.command else "",
        }


def met_if(good: bool, *evidence: str) -> Finding:
    """Return MET or NOT_MET; empty sentences are left out."""
    return Finding(MET if good else NOT_MET, tuple(words for words in evidence if words))


def many(number: int, one: str, several: str = "") -> str:
    """Return a count with its noun.

    >>> many(1, "recording"), many(2, "recording"), many(2, "copy", "copies")
    ('1 recording', '2 recordings', '2 copies')
    """
    return f"{number} {one if number == 1 else several or one + 's'}"
