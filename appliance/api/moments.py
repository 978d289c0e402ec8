"""Times and spans of time in queries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from vittne.appliance.api.bodies import ApiModel, Moment
from vittne.appliance.api.problems import Problem

DAY_US: Final = 86_400_000_000


def us_of(moment: datetime) -> int:
    """Return microseconds since 1970 UTC.

    >>> us_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    gone = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds


class Span(ApiModel):
    """A time, RFC 3339. until is not included; default: the last days up to now."""

    since: Moment | None = None
    until: Moment | None = None

    def times(self, now_us: int, days: int = 30) -> tuple[int, int]:
        """Return begin and end. Raises Problem when it ends before it begins."""
        until = now_us if self.until is None else us_of(self.until)
        since = until - days * DAY_US if self.since is None else us_of(self.since)
        if since >= until:
            raise Problem(422, "/problems/no-time", "The time ends before it begins", "give since before until")
        return since, until
