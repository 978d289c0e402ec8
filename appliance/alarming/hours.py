"""Business hours: since when, within them, a call should have come. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from vittne.appliance.alarming.settings import CallsExpected

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def begun(expected: CallsExpected, at: datetime) -> datetime | None:
    """Return when the business hours that hold at a moment began, UTC; None outside of them.

    >>> expected = CallsExpected(days=("mon",), time_zone="Europe/Berlin", holidays=("2026-06-08",))
    >>> begun(expected, datetime(2026, 6, 1, 8, tzinfo=UTC)).isoformat()
    '2026-06-01T06:00:00+00:00'
    >>> begun(expected, datetime(2026, 6, 8, 8, tzinfo=UTC)), begun(expected, datetime(2026, 6, 1, 16, tzinfo=UTC))
    (None, None)
    """
    zone = ZoneInfo(expected.time_zone)
    day = at.astimezone(zone).date()
    if _DAYS[day.weekday()] not in expected.days or day in map(date.fromisoformat, expected.holidays):
        return None
    first, last = expected.hours
    begin = datetime.combine(day, first, zone)
    end = datetime.combine(day + timedelta(days=last is None), last or first.min, zone)
    return begin.astimezone(UTC) if begin <= at < end else None
