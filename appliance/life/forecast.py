"""What is due in the months that come, as things are now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from vittne.appliance.life.precedence import EXPIRY, decide
from vittne.appliance.life.table import LifeTable


@dataclass(slots=True)
class Month:
    """Recordings that are due in a month, such as 2026-01. kept: so many of them would stay."""

    name: str
    recordings: int = 0
    size_bytes: int = 0
    kept: int = 0


@dataclass(slots=True)
class Forecast:
    """months: from the one that goes on, with what is overdue. later, never: recordings; size_bytes: of all."""

    months: list[Month] = field(default_factory=list)
    later: int = 0
    never: int = 0
    size_bytes: int = 0


def forecast(life: LifeTable, now_us: int, months: int) -> Forecast:
    """Return what is due in so many months. A hold or a restriction that is on it now is taken to stay."""
    names = month_names(now_us, months)
    found = Forecast([Month(name) for name in names])
    by_name = {one.name: one for one in found.months}
    for row in life.kept():
        found.size_bytes += row.size_bytes
        due = row.facts.expires_us
        if due is None:
            found.never += 1
            continue
        month = by_name.get(names[0] if due <= now_us else _name(due))
        if month is None:
            found.later += 1
            continue
        month.recordings += 1
        month.size_bytes += row.size_bytes
        month.kept += decide("expire", row.facts, max(due, now_us)).rule != EXPIRY
    return found


def month_names(now_us: int, count: int) -> list[str]:
    """Return the names of months, from the one that goes on.

    >>> month_names(1_764_000_000_000_000, 3)
    ['2025-11', '2025-12', '2026-01']
    """
    begin = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    first = begin.year * 12 + begin.month - 1
    return [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(first, first + count)]


def _name(at_us: int) -> str:
    try:
        return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m")
    except (ValueError, OverflowError, OSError):  # centuries from now
        return ""
