"""A little patience: packets that overtook each other on the way are put in their order before they are decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.messages import Rows

PATIENCE_NS: Final = 60_000_000
_MOST_WAITING: Final = 20_000  # packets
_COLUMNS: Final = ("mono_ns", "length", "timestamp", "number", "seq", "payload_type", "begin")


class Reorder:
    """Packets of some voices that wait, no longer than PATIENCE_NS."""

    def __init__(self) -> None:
        self._rows: Rows | None = None

    def put(self, rows: Rows) -> None:
        """Have packets wait. Those that find no room are left out: nobody speaks so fast."""
        before = self._rows
        if before is None:
            self._rows = replace(rows, voices=[], listen=None)
        elif len(before.mono_ns) + len(rows.mono_ns) <= _MOST_WAITING:
            both: dict[str, Any] = {
                name: np.concatenate([getattr(before, name), getattr(rows, name)]) for name in _COLUMNS
            }
            both["begin"][len(before.begin) :] += len(before.data)
            self._rows = replace(before, **both, data=np.concatenate([before.data, rows.data]))

    def due(self, upto_mono: int) -> Rows | None:
        """Return the packets that waited long enough, with all of their voice that go before them; None for none."""
        rows = self._rows
        if rows is None:
            return None
        aged = rows.mono_ns <= upto_mono - PATIENCE_NS
        which = aged.copy()
        for number in np.unique(rows.number[aged]).tolist():
            mine = rows.number == number
            newest = rows.seq[mine & aged]
            newest = newest[np.argmax((newest - newest[0]).astype(np.int16))]
            which |= mine & ((rows.seq - newest).astype(np.int16) <= 0)
        if not which.any():
            return None
        self._rows = _packed(_taken(rows, ~which)) if not which.all() else None
        return _taken(rows, which)


def _taken(rows: Rows, which: npt.NDArray[np.bool_]) -> Rows:
    columns: dict[str, Any] = {name: getattr(rows, name)[which] for name in _COLUMNS}
    return replace(rows, **columns)


def _packed(rows: Rows) -> Rows:
    """Return rows with the bytes of theirs alone."""
    pieces = [rows.data[at : at + size] for at, size in zip(rows.begin.tolist(), rows.length.tolist(), strict=True)]
    return replace(rows, begin=np.cumsum(rows.length) - rows.length, data=np.concatenate(pieces))
