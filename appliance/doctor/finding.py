"""What a look at a tap or a box found: a name for programs, a weight, a sentence for people, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from vittne.appliance.saying import Said

Weight = Literal["good", "note", "warn", "bad"]
WEIGHTS: Final[tuple[Weight, ...]] = ("bad", "warn", "note", "good")


@dataclass(frozen=True, slots=True)
class Finding:
    """name: never changes, see docs/doctor.md. weight: bad (calls are lost, or will be), warn (they may be, somebody
    should look), note (worth knowing, nothing is lost), good. facts: numbers and names behind the sentence.
    """

    name: str
    weight: Weight
    words: Said
    remedy: Said | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs, in English."""
        return {
            "name": self.name,
            "weight": self.weight,
            "words": str(self.words),
            "remedy": "" if self.remedy is None else str(self.remedy),
            "facts": dict(self.facts),
        }


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with the worst first, otherwise as they came."""
    return sorted(findings, key=lambda one: WEIGHTS.index(one.weight))


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 2 when something is bad, 1 when something is to be looked at, else 0."""
    weights = {one.weight for one in findings}
    return 2 if "bad" in weights else 1 if "warn" in weights else 0


def listed(counts: Mapping[str, int], most: int = 6) -> str:
    """Return names with their numbers, the commonest first.

    >>> listed({"vlan": 2, "gre": 40})
    'gre (40), vlan (2)'
    """
    common = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{name} ({number})" for name, number in common[:most]) + (" …" if len(common) > most else "")


def share(part: int, whole: int) -> float:
    """Return a part of a whole, 0 to 1; 0 of nothing."""
    return part / whole if whole else 0.0


def percent(value: float) -> str:
    """Return a share as people read it.

    >>> percent(0.5), percent(0.0004), percent(0)
    ('50', '<0.1', '0')
    """
    if 0 < value < 0.001:
        return "<0.1"
    return f"{100 * value:.3g}"
