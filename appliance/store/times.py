"""Times as whole microseconds since 1970 UTC, and as people write them (RFC 3339)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def now_us() -> int:
    """Return what the machine's clock says."""
    return time.time_ns() // 1000


def rfc3339(at_us: int) -> str:
    """Return a time as text, in UTC, with all six digits, so that text sorts as time does.

    Any 64-bit count of nanoseconds is in range once it was divided by 1000.

    >>> rfc3339(1_700_000_000_000_001)
    '2023-11-14T22:13:20.000001Z'
    """
    second, microseconds = divmod(at_us, 1_000_000)
    return f"{_second(second)}.{microseconds:06}Z"


@lru_cache(maxsize=256)  # what is written in a row mostly happened in the same second
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:-6]


def from_rfc3339(text: str) -> int:
    """Return the microseconds of a time written by rfc3339 or in any other zone; ValueError when it is none.

    >>> from_rfc3339("2023-11-14T23:13:20.000001+01:00")
    1700000000000001
    """
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError("a time without a zone says nothing")
    return (when - _EPOCH) // _MICROSECOND
