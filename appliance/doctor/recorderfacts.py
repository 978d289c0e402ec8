"""What a recorder that runs says of itself, for who asks it whether all is well: numbers and names, nobody's calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from vittne.appliance.doctor.tapfacts import Counts


@dataclass(frozen=True, slots=True)
class RecorderFacts:
    """told_s_ago: since the worker spoke, None before its first word. quiet_s: since a packet came.

    rates: packets/s of each interface. keys: unlocked, locked, elsewhere (no private key here) or unknown.
    alarms: names of those that stand. occupancy: of the fullest ring, 0 to 1.
    """

    interfaces: tuple[str, ...] = ()
    running_s: float = 0.0
    told_s_ago: float | None = None
    quiet_s: float | None = None
    workers: int = 0
    packets_per_s: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    occupancy: float = 0.0
    live_calls: int = 0
    keys: str = "unknown"
    alarms: tuple[str, ...] = ()
    counters: Counts = field(default_factory=dict)


_FACTS: Final = TypeAdapter(RecorderFacts)


def read_facts(told: dict[str, Any]) -> RecorderFacts:
    """Return what a recorder answered; pydantic's ValidationError (a ValueError) when it speaks otherwise."""
    return _FACTS.validate_python(told)


Facts = Callable[[], RecorderFacts]
