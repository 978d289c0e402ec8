"""Retention classes: how long a recording is locked, and when it has to go at the latest (COMPLIANCE 1.2).

Presets for regimes that people name; none of them is legal advice. A class is fixed when a recording is sealed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

_AGE: Final = re.compile(r"(\d{1,5})([dy])")


@dataclass(frozen=True, slots=True)
class Age:
    """Days, or calendar years."""

    days: int = 0
    years: int = 0

    def after(self, at_us: int) -> int:
        """Return the time so much later, microseconds UTC. A 29 February without its year becomes 1 March."""
        moment = datetime.fromtimestamp(at_us // 1_000_000, UTC)
        try:
            later = moment.replace(year=moment.year + self.years)
        except ValueError:
            later = moment.replace(year=moment.year + self.years, month=3, day=1)
        later += timedelta(days=self.days)
        return int(later.timestamp()) * 1_000_000 + at_us % 1_000_000

    def __str__(self) -> str:
        return f"{self.years} y" if self.years else f"{self.days} d"


def read_age(text: str) -> Age:
    """Return the age that a text such as 90d or 5y says. ValueError when it says none.

    >>> read_age("5y"), read_age("90d")
    (Age(days=0, years=5), Age(days=90, years=0))
    """
    found = _AGE.fullmatch(text.replace(" ", ""))
    number = int(found[1]) if found is not None else 0
    if found is None or not 0 < number <= (100 if found[2] == "y" else 36_525):
        raise ValueError(f"{text[:20]!r} is no age such as 90d or 5y, up to 100 years")
    return Age(years=number) if found[2] == "y" else Age(days=number)


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """least: locked so long; greatest: erased then. None: no lock; no end by itself, which needs an owner."""

    name: str
    least: Age | None
    greatest: Age | None
    owner: str = ""


def is_longer(one: Age, other: Age) -> bool:
    """Whether one age lasts longer than another, counted from a day without a leap year near."""
    begin = int(datetime.combine(date(2001, 3, 1), datetime.min.time(), UTC).timestamp()) * 1_000_000
    return one.after(begin) > other.after(begin)


def _years(number: int) -> Age:
    return Age(years=number)


PRESETS: Final[dict[str, RetentionClass]] = {
    one.name: one
    for one in (
        RetentionClass("daily", None, Age(days=1)),
        RetentionClass("gdpr-90d", None, Age(days=90)),
        RetentionClass("pci-none", None, _years(1)),
        RetentionClass("cftc-1y", _years(1), _years(1)),
        RetentionClass("sec-3y", _years(3), _years(3)),
        RetentionClass("mifid-5y", _years(5), _years(5)),
        RetentionClass("fca-5y", _years(5), _years(5)),
        RetentionClass("sec-6y", _years(6), _years(6)),
        RetentionClass("hipaa-6y", _years(6), _years(6)),
        RetentionClass("sox-7y", _years(7), _years(7)),
    )
}
UNLIMITED: Final = "unlimited"  # becomes a class when the configuration names its owner
