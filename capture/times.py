"""Times as people and standards write them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def rfc3339(at_ns: int) -> str | None:
    """Return a time in UTC with microseconds; None for 0, not yet."""
    if not at_ns:
        return None
    whole, part = divmod(at_ns // 1000, 1_000_000)
    return f"{_second(whole)}.{part:06d}Z"


@lru_cache(maxsize=4096)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
