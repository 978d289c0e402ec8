"""Looking for what must not be there, without being deceived by what is there by chance."""

from __future__ import annotations

import re
import time
from pathlib import Path

MEMORY = Path("/dev/shm")
_GONE_S = 60.0


def says(text: str, number: str) -> bool:
    """Say whether a number stands in a text; digits within a random id or a longer number are none."""
    return re.search(rf"(?<![0-9A-Za-z_-]){re.escape(number)}(?![0-9A-Za-z_-])", text) is not None


def left_in_memory(before: set[Path]) -> set[Path]:
    """Return what is in memory files beyond what was there before, once what other tests have there is gone."""
    new = set(MEMORY.iterdir()) - before
    until = time.monotonic() + _GONE_S
    while new and time.monotonic() < until:
        new &= set(MEMORY.iterdir())
        time.sleep(0.05)
    return new
