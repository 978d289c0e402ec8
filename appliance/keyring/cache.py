"""Data keys that were just opened, for at most five minutes: a page that plays a call asks for one many times."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

LONGEST_S: Final = 300.0
MOST: Final = 256


class KeyCache:
    """Keys by recording and part. Times are given, in seconds of any steady clock.

    A key's five minutes begin when it was opened; using it does not make them longer.
    """

    def __init__(self) -> None:
        self._keys: OrderedDict[tuple[str, int], tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, recording_id: str, part_no: int, key: bytes, now: float) -> None:
        """Keep a key that was opened now."""
        self._keys.pop((recording_id, part_no), None)
        self._keys[recording_id, part_no] = (now, key)
        while len(self._keys) > MOST:
            self._keys.popitem(last=False)

    def get(self, recording_id: str, part_no: int, now: float) -> bytes | None:
        """Return a key, if it was opened less than five minutes ago; all that are older are dropped."""
        while self._keys and now - next(iter(self._keys.values()))[0] >= LONGEST_S:
            self._keys.popitem(last=False)
        found = self._keys.get((recording_id, part_no))
        return None if found is None else found[1]

    def drop(self, recording_id: str, part_no: int) -> None:
        """Forget a key, because it was erased."""
        self._keys.pop((recording_id, part_no), None)

    def clear(self) -> None:
        """Forget all."""
        self._keys.clear()
